//! Attempts: how they are prepared, begin, end, are lost, and when they are due.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::{OwnerId, Unit};
use crate::machine::beginning::arrived;
use crate::machine::command::{Begin, Fence, Finished, Prepared, Rejection};
use crate::machine::decide::child::{delegated, overdue};
use crate::machine::decide::guard::{in_state, proceeding, slot};
use crate::machine::decide::offer::offered;
use crate::machine::decide::qa::unjudged;
use crate::machine::decide::steer::cancelled;
use crate::machine::ending::Ending;
use crate::machine::event::{
    Event, RunDue, RunOverdue, StepArrived, StepBegun, StepCancelled, StepCollected, StepContinued, StepDue,
    StepExpanded, StepFailed, StepInterrupted, StepIterated, StepLost, StepOutcomeUnknown, StepOverdue,
    StepParked, StepRepeated, StepSkipped, StepSucceeded, StepWaiting,
};
use crate::machine::failure::{AfterLoss, StepError};
use crate::machine::fan::MAX_ITEMS;
use crate::machine::hold::Hold;
use crate::machine::kind::StepKind;
use crate::machine::slot::Slot;
use crate::machine::state::RunState;
use crate::machine::step_state::{SkipReason, StepState};
use crate::machine::wait::{Arrival, WaitOn};
use crate::spec::retry::ErrorClass;
use crate::spec::{EffectClass, OnExpiry, Stage};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// After this many losses a step is not begun again unasked: it may be what kills its executors.
pub(crate) const MAX_CRASHES: u16 = 3;

pub(super) fn prepared(
    state: &RunState,
    step: Unit,
    verdict: &Prepared,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let slot = slot(state, step)?;
    in_state(slot, &[StepKind::Ready, StepKind::Parked], "ready")?;
    if arrived(&slot.state).is_some() {
        return Err(Rejection::WrongState { state: "to go on", wanted: "ready" });
    }
    proceeding(state, slot)?;
    let may_begin = state.may_begin(step);
    events.push(match verdict {
        Prepared::Skip => {
            let reason = if may_begin { SkipReason::Condition } else { SkipReason::Need };
            StepSkipped { step, reason }.into()
        }
        _ if !may_begin => {
            return Err(Rejection::WrongState { state: "without its needs", wanted: "ready" });
        }
        Prepared::Enough | Prepared::Again { .. } | Prepared::Fault(_) if slot.to_judge().is_some() => {
            judged(state, slot, step, verdict)
        }
        // What it gave the last time comes first.
        _ if slot.to_judge().is_some() => {
            return Err(Rejection::WrongState { state: "to be judged", wanted: "ready" });
        }
        // What is expanded or judged needs no place, so it was never parked.
        Prepared::Expand { .. } if slot.parked().is_some() => {
            return Err(Rejection::WrongState { state: "parked", wanted: "ready" });
        }
        Prepared::Enough | Prepared::Again { .. } => {
            return Err(Rejection::WrongState { state: "not to be judged", wanted: "run once more" });
        }
        Prepared::Expand { items, count } => return expanded(state, step, items, *count, events),
        // Nothing begins for all items at once.
        _ if step.item().is_none()
            && state.spec(step).options().each.is_some()
            && !matches!(verdict, Prepared::Fault(_)) =>
        {
            return Err(Rejection::WrongState { state: "not expanded", wanted: "an item" });
        }
        Prepared::Begin(begin) | Prepared::Offer { begin, .. } | Prepared::Delegate { begin, .. }
            if is_anothers(state, begin.owner) =>
        {
            return Err(Rejection::Fenced);
        }
        Prepared::Begin(begin) => begun(slot, step, begin),
        Prepared::Offer { begin, offer } => offered(state, slot, step, begin, offer),
        Prepared::Delegate { begin, child, until } => {
            delegated(slot, step, begin, *child, *until, events);
            return Ok(());
        }
        Prepared::Ask { digest, .. } if slot.granted() == Some(digest) => {
            return Err(Rejection::NotOpen("has been granted: the step may begin"));
        }
        Prepared::Ask { digest, message, until, .. } => {
            let on = WaitOn::Approval {
                digest: *digest,
                message: message.clone(),
                show: None,
                then: OnExpiry::Fail,
            };
            StepWaiting { step, attempt: 0, on, until: *until }.into()
        }
        Prepared::Deny { reason, .. } => {
            not_begun(step, StepError::new(ErrorClass::Denied, format!("refused by policy: {reason}")))
        }
        Prepared::Fault(error) => not_begun(step, error.clone()),
    });
    Ok(())
}

/// Whether another drives the run: whoever could not take it, or has lost it, begins nothing of it.
pub(super) fn is_anothers(state: &RunState, owner: OwnerId) -> bool {
    state.head().driver.is_some_and(|driver| driver != owner)
}

/// What follows from the last time of a step that is repeated.
fn judged(state: &RunState, slot: &Slot, step: Unit, verdict: &Prepared) -> Event {
    let max = state.spec(step).options().repeat.as_ref().map_or(0, |repeat| repeat.max);
    match (verdict, slot.to_judge()) {
        (Prepared::Fault(error), _) => not_begun(step, error.clone()),
        (Prepared::Enough, Some(output)) => {
            StepSucceeded { step, attempt: slot.attempts, output: output.clone() }.into()
        }
        (Prepared::Again { at }, _) if slot.iterations() < max => StepRepeated { step, until: *at }.into(),
        _ => {
            let message = format!("the condition of `repeat` has not come true in {max} times");
            not_begun(step, StepError::new(ErrorClass::Failed, message))
        }
    }
}

fn expanded(
    state: &RunState,
    step: Unit,
    items: &ValueRef,
    count: u32,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    if step.item().is_some() || state.spec(step).options().each.is_none() {
        return Err(Rejection::WrongState { state: "one of a kind", wanted: "a step with items" });
    }
    if state.slots.len() - state.plan.len() + count as usize > MAX_ITEMS {
        let message = format!("{count} items: all steps of a run together may have {MAX_ITEMS}");
        events.push(not_begun(step, StepError::new(ErrorClass::Invalid, message)));
        return Ok(());
    }
    events.push(StepExpanded { step, items: items.clone(), count }.into());
    if count == 0 {
        events.push(StepCollected { step, status: Ending::Completed, error: None }.into());
    }
    Ok(())
}

pub(super) fn begun(slot: &Slot, step: Unit, begin: &Begin) -> Event {
    StepBegun {
        step,
        attempt: slot.attempts + 1,
        epoch: slot.epoch + 1,
        owner: begin.owner,
        effect: begin.effect,
        request: request_of(slot, begin),
        decision: begin.decision,
        holds: begin.holds.clone(),
    }
    .into()
}

/// What was to begin, or to go on, waits for a place under its key. Said again, it is so already.
pub(super) fn park(
    state: &RunState,
    step: Unit,
    owner: OwnerId,
    hold: &Arc<Hold>,
) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, step)?;
    in_state(slot, &[StepKind::Ready, StepKind::Arrived, StepKind::Parked], "ready")?;
    proceeding(state, slot)?;
    if is_anothers(state, owner) {
        return Err(Rejection::Fenced);
    }
    // Only what could begin waits for a place: no step for all its items at once, and nothing that is to be judged first.
    let is_list = step.item().is_none() && state.spec(step).options().each.is_some();
    if !state.may_begin(step) || is_list || slot.to_judge().is_some() {
        return Err(Rejection::WrongState { state: "not to begin", wanted: "ready" });
    }
    match slot.parked() {
        Some(waits) if waits == hold => Ok(Vec::new()),
        _ => Ok(vec![StepParked { step, hold: hold.clone() }.into()]),
    }
}

/// Every attempt of a generation sends the same bytes, whatever a later rendering gives.
pub(super) fn request_of(slot: &Slot, begin: &Begin) -> ValueRef {
    slot.request.as_ref().unwrap_or(&begin.request).clone()
}

pub(super) fn not_begun(step: Unit, error: StepError) -> Event {
    StepFailed { step, attempt: 0, error, retry_at: None }.into()
}

/// What is to go on with what it waited for, if it may.
pub(super) fn to_go_on(state: &RunState, step: Unit, owner: OwnerId) -> Result<&Slot, Rejection> {
    let slot = slot(state, step)?;
    in_state(slot, &[StepKind::Arrived, StepKind::Parked], "waiting to go on")?;
    if arrived(&slot.state).is_none() {
        return Err(Rejection::WrongState { state: "ready", wanted: "waiting to go on" });
    }
    proceeding(state, slot)?;
    if is_anothers(state, owner) {
        return Err(Rejection::Fenced);
    }
    Ok(slot)
}

pub(super) fn go_on(state: &RunState, step: Unit, owner: OwnerId) -> Result<Vec<Event>, Rejection> {
    let slot = to_go_on(state, step, owner)?;
    Ok(vec![StepContinued { step, attempt: slot.attempts, epoch: slot.epoch + 1, owner }.into()])
}

pub(super) fn finish(
    state: &RunState,
    step: Unit,
    attempt: u32,
    fence: Fence,
    outcome: &Finished,
    now: Timestamp,
) -> Result<Event, Rejection> {
    let slot = slot(state, step)?;
    match &slot.state {
        // What the driver executes itself is lost with its driver, whose death a commit asserts.
        StepState::Running { remote: false, .. } if matches!(outcome, Finished::Lost) => {
            return Err(Rejection::Fenced);
        }
        StepState::Running { attempt: current, fence: held, .. } if *current == attempt && *held == fence => {
        }
        _ => return Err(Rejection::Fenced),
    }
    let cancelling = state.is_stopped(slot.stage);
    let failed = |error: &StepError, not_before| {
        let retry_at = retry_at(state, step, slot, error.class, not_before, now);
        StepFailed { step, attempt, error: error.clone(), retry_at }.into()
    };
    Ok(match outcome {
        // Whether it was the last time is not judged any more.
        Finished::Succeeded(_) if cancelling && state.spec(step).options().repeat.is_some() => {
            StepCancelled { step, attempt }.into()
        }
        Finished::Succeeded(output) if state.spec(step).options().repeat.is_some() => {
            StepIterated { step, attempt, output: output.clone() }.into()
        }
        Finished::Succeeded(output) => StepSucceeded { step, attempt, output: output.clone() }.into(),
        Finished::Failed { error, not_before } => failed(error, *not_before),
        Finished::Lost => {
            let then = after_loss(state, step, slot);
            StepLost { step, attempt, owner: fence.owner, then }.into()
        }
        Finished::Unknown(error) if slot.effect == Some(EffectClass::AtMostOnce) => {
            StepOutcomeUnknown { step, attempt, error: error.clone() }.into()
        }
        Finished::Unknown(_) | Finished::Waiting { .. } | Finished::Interrupted if cancelling => {
            StepCancelled { step, attempt }.into()
        }
        Finished::Unknown(_) | Finished::Waiting { .. } | Finished::Interrupted if slot.overdue => {
            failed(&state.step_is_late(step), None)
        }
        // Where a repetition does no harm, nobody has to find out what has happened: it counts as a failure.
        Finished::Unknown(error) => failed(error, None),
        Finished::Waiting { on, until } => {
            // A moment that nobody names has come.
            let until = until.or_else(|| matches!(on, WaitOn::Until).then_some(now));
            StepWaiting { step, attempt, on: on.clone(), until }.into()
        }
        Finished::Interrupted => StepInterrupted { step, attempt }.into(),
    })
}

/// When a failed attempt is followed by another, if it is.
pub(super) fn retry_at(
    state: &RunState,
    step: Unit,
    slot: &Slot,
    class: ErrorClass,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let policy = state.spec(step).options().retry.as_ref()?;
    let failures = u32::from(slot.failures) + 1;
    let used = failures + u32::from(slot.losses);
    if state.is_stopped(slot.stage) || slot.overdue || !policy.covers(class) || used >= policy.max_attempts {
        return None;
    }
    Some(match not_before {
        // However far off it is: nobody comes sooner.
        Some(earliest) => now + policy.delay_after(earliest.since(now), state.run, step, failures),
        None => now + policy.delay(state.run, step, failures),
    })
}

pub(super) fn lost(state: &RunState, owner: OwnerId) -> Vec<Event> {
    let mut events = Vec::new();
    for step in state.index.running.iter().map(|at| state.unit_at(at)) {
        let slot = state.slot(step);
        if let StepState::Running { attempt, fence, .. } = &slot.state
            && fence.owner == owner
        {
            let then = after_loss(state, step, slot);
            events.push(StepLost { step, attempt: *attempt, owner, then }.into());
        }
    }
    events
}

fn after_loss(state: &RunState, step: Unit, slot: &Slot) -> AfterLoss {
    if slot.effect == Some(EffectClass::AtMostOnce) {
        return AfterLoss::Unknown;
    }
    if state.is_stopped(slot.stage) {
        return AfterLoss::Cancel;
    }
    let losses = slot.losses + 1;
    let used = u32::from(slot.failures) + u32::from(losses);
    let retry = state.spec(step).options().retry.as_ref();
    if slot.overdue || retry.is_some_and(|policy| used >= policy.max_attempts) {
        AfterLoss::Fail
    } else if losses >= MAX_CRASHES {
        AfterLoss::Quarantine
    } else {
        AfterLoss::Again
    }
}

pub(super) fn wake(state: &RunState, now: Timestamp, events: &mut Vec<Event>) {
    if state.head.not_before.is_some_and(|due| due <= now) {
        events.push(RunDue { by: None, reason: None }.into());
    }
    if state.run_due().is_some_and(|due| due <= now) {
        events.extend(run_overdue(state));
        return;
    }
    let late = state.late(now);
    events.extend(late.iter().map(|step| fall_overdue(state, *step)));
    // A late step may have as many items as a run can have, each with a timer of its own.
    let late: BTreeSet<Unit> = late.into_iter().collect();
    let due = state.index.timers.iter().take_while(|(until, _)| *until <= now);
    for step in due.map(|(_, at)| state.unit_at(*at)).filter(|step| !late.contains(step)) {
        if let StepState::Waiting { on, .. } = &state.slot(step).state
            && let WaitOn::Qa { then, .. } = **on
        {
            unjudged(state, step, on, then, now, events);
        } else {
            events.push(fall_due(state, step));
        }
    }
}

/// The steps proper end here, as if they were cancelled.
fn run_overdue(state: &RunState) -> Vec<Event> {
    let mut events = vec![RunOverdue { error: state.run_is_late() }.into()];
    let open = state.slots().filter(|(_, slot)| slot.stage == Stage::Main);
    events.extend(open.filter_map(|(step, slot)| cancelled(step, slot)));
    events
}

/// A step has missed its deadline: it fails at once, or is told to stop.
fn fall_overdue(state: &RunState, step: Unit) -> Event {
    let slot = state.slot(step);
    let attempt = match &slot.state {
        // Whether somebody executes what is offered is not known here: it is withdrawn, or who does is told to stop.
        StepState::Running { .. } | StepState::Offered { .. } | StepState::Expanded(_) => {
            return StepOverdue { step }.into();
        }
        // Another run carries it out, and is told to stop.
        state if state.child().is_some() => return StepOverdue { step }.into(),
        StepState::Waiting { attempt, .. } => *attempt,
        _ => 0,
    };
    StepFailed { step, attempt, error: state.step_is_late(step), retry_at: None }.into()
}

fn fall_due(state: &RunState, step: Unit) -> Event {
    let StepState::Waiting { attempt, on, .. } = &state.slot(step).state else {
        return StepDue { step }.into();
    };
    let attempt = *attempt;
    let too_late = |message: String| {
        let error = StepError::new(ErrorClass::Timeout, message);
        StepFailed { step, attempt, error, retry_at: None }.into()
    };
    match &**on {
        // A policy's question (attempt 0) that nobody answers is a no, whatever the step says of its own waits.
        WaitOn::Approval { then, .. } if *then == OnExpiry::Fail || attempt == 0 => {
            too_late("nobody decided in time".to_owned())
        }
        WaitOn::Approval { then, .. } => {
            StepArrived { step, attempt, arrival: Arrival::Expired { then: *then } }.into()
        }
        WaitOn::Child { run, .. } => overdue(step, attempt, *run),
        WaitOn::Signal { name } => too_late(format!("the signal `{name}` has not come in time")),
        // Of what needs a judgement, `wake` decides itself.
        WaitOn::Until | WaitOn::Qa { .. } => StepArrived { step, attempt, arrival: Arrival::Due }.into(),
    }
}
