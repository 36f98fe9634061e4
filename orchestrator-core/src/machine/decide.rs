//! The only place that knows what may happen.

use std::collections::BTreeSet;

use crate::id::{OwnerId, StepIx};
use crate::machine::command::{Asked, Begin, Command, Decide, Fence, Finished, Prepared, Rejection};
use crate::machine::event::{
    AfterLoss, Arrival, DriverReleased, DriverTaken, Ending, Event, IntentChanged, RunEnded, RunReopened,
    StepArrived, StepBegun, StepCancelled, StepContinued, StepDue, StepError, StepFailed, StepInterrupted,
    StepLost, StepOutcomeUnknown, StepResolved, StepSkipped, StepSucceeded, StepWaiting, WaitOn,
};
use crate::machine::kind::StepKind;
use crate::machine::state::{Intent, RunState, SkipReason, Slot, StepState};
use crate::spec::retry::ErrorClass;
use crate::spec::{EffectClass, OnExpiry};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// After this many losses a step is not begun again unasked: it may be what kills its executors.
pub(crate) const MAX_CRASHES: u16 = 3;

/// What follows from a command. An empty list means: nothing, it was so already.
///
/// # Errors
/// [`Rejection`]: the command changes nothing, and why.
pub fn decide(state: &RunState, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let mut events = Vec::new();
    decide_into(state, command, now, &mut events)?;
    Ok(events)
}

/// As [`decide`], for a caller that already has a place for the events: they are added to `events`. The two commands
/// that every step is made of cost no list of their own.
pub(crate) fn decide_into(
    state: &RunState,
    command: &Command,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    match command {
        _ if state.head.ended.is_some() => events.extend(decide_after_the_end(state, command)?),
        Command::Prepared { step, verdict } => events.push(prepared(state, *step, verdict)?),
        Command::Finish { step, attempt, fence, outcome } => {
            events.push(finish(state, *step, *attempt, *fence, outcome, now)?);
        }
        _ => events.extend(decide_rarely(state, command, now)?),
    }
    Ok(())
}

fn decide_after_the_end(state: &RunState, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Retry { steps, asked } => retry(state, steps, asked),
        Command::Resolve { step, applied, asked } if is_unknown(state, *step) => {
            Ok(resolve_after_the_end(state, *step, applied.as_ref(), asked))
        }
        _ => Err(Rejection::Ended(match state.head.ended {
            Some((Ending::Failed, _)) => "failed",
            Some((Ending::Cancelled, _)) => "been cancelled",
            _ => "completed",
        })),
    }
}

fn decide_rarely(state: &RunState, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::TakeDriver { owner, dead } => take(state, *owner, *dead),
        Command::ReleaseDriver(fence) => release(state, *fence),
        Command::Prepared { step, verdict } => Ok(vec![prepared(state, *step, verdict)?]),
        Command::Continue { step, owner } => go_on(state, *step, *owner),
        Command::Finish { step, attempt, fence, outcome } => {
            Ok(vec![finish(state, *step, *attempt, *fence, outcome, now)?])
        }
        Command::Lost { owner } => Ok(lost(state, *owner)),
        Command::Wake => Ok(wake(state, now)),
        Command::Decide(decision) => decide_approval(state, decision, now),
        Command::Pause(asked) => want(state, Intent::Pause, asked),
        Command::Resume(asked) => want(state, Intent::Proceed, asked),
        Command::Cancel(asked) => want(state, Intent::Cancel, asked),
        Command::Resolve { step, applied, asked } => resolve(state, *step, applied.as_ref(), asked),
        Command::Retry { .. } => Err(Rejection::NothingToRetry("the run has not ended yet")),
        Command::Conclude(outputs) => conclude(state, outputs),
    }
}

fn slot(state: &RunState, step: StepIx) -> Result<&Slot, Rejection> {
    state.slots.get(step.index()).ok_or(Rejection::UnknownStep)
}

fn take(state: &RunState, owner: OwnerId, dead: Option<OwnerId>) -> Result<Vec<Event>, Rejection> {
    match state.head.driver {
        // Death is final: who has died comes back as a new incarnation.
        _ if dead == Some(owner) => Err(Rejection::Fenced),
        Some(driver) if driver == owner => Ok(Vec::new()),
        Some(driver) if dead != Some(driver) => Err(Rejection::Driven(driver)),
        _ => Ok(vec![DriverTaken { owner, epoch: state.head.driver_epoch + 1 }.into()]),
    }
}

fn release(state: &RunState, fence: Fence) -> Result<Vec<Event>, Rejection> {
    if state.head.driver != Some(fence.owner) || state.head.driver_epoch != fence.epoch {
        return Err(Rejection::Fenced);
    }
    Ok(vec![DriverReleased { owner: fence.owner, epoch: fence.epoch }.into()])
}

/// Pause and cancel hold whatever has not begun.
fn proceeding(state: &RunState) -> Result<(), Rejection> {
    match state.head.intent {
        Intent::Proceed => Ok(()),
        Intent::Pause => Err(Rejection::Held("paused")),
        Intent::Cancel => Err(Rejection::Held("being cancelled")),
    }
}

fn in_state(slot: &Slot, wanted: StepKind, name: &'static str) -> Result<(), Rejection> {
    if slot.state.kind() == wanted {
        return Ok(());
    }
    Err(Rejection::WrongState { state: slot.state.shown(), wanted: name })
}

fn prepared(state: &RunState, step: StepIx, verdict: &Prepared) -> Result<Event, Rejection> {
    let slot = slot(state, step)?;
    in_state(slot, StepKind::Ready, "ready")?;
    proceeding(state)?;
    let may_begin = state.workflow.step(step).judges_its_needs() || state.standing(step).success;
    Ok(match verdict {
        Prepared::Skip => {
            let reason = if may_begin { SkipReason::Condition } else { SkipReason::Need };
            StepSkipped { step, reason }.into()
        }
        _ if !may_begin => {
            return Err(Rejection::WrongState { state: "without its needs", wanted: "ready" });
        }
        Prepared::Begin(begin) => begun(slot, step, begin),
        Prepared::Ask { digest, .. } if slot.granted.as_deref() == Some(digest) => {
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
    })
}

fn begun(slot: &Slot, step: StepIx, begin: &Begin) -> Event {
    StepBegun {
        step,
        attempt: slot.attempts + 1,
        epoch: slot.epoch + 1,
        owner: begin.owner,
        effect: begin.effect,
        // Every attempt of a generation sends the same bytes, whatever a later rendering gives.
        request: slot.request.as_ref().unwrap_or(&begin.request).clone(),
        decision: begin.decision,
    }
    .into()
}

fn not_begun(step: StepIx, error: StepError) -> Event {
    StepFailed { step, attempt: 0, error, retry_at: None }.into()
}

fn go_on(state: &RunState, step: StepIx, owner: OwnerId) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, step)?;
    in_state(slot, StepKind::Arrived, "waiting to go on")?;
    proceeding(state)?;
    Ok(vec![StepContinued { step, attempt: slot.attempts, epoch: slot.epoch + 1, owner }.into()])
}

fn finish(
    state: &RunState,
    step: StepIx,
    attempt: u32,
    fence: Fence,
    outcome: &Finished,
    now: Timestamp,
) -> Result<Event, Rejection> {
    let slot = slot(state, step)?;
    match &slot.state {
        StepState::Running { attempt: current, fence: held, .. } if *current == attempt && *held == fence => {
        }
        _ => return Err(Rejection::Fenced),
    }
    let cancelling = state.head.intent == Intent::Cancel;
    let failed = |error: &StepError, not_before| {
        let retry_at = retry_at(state, step, slot, error.class, not_before, now);
        StepFailed { step, attempt, error: error.clone(), retry_at }.into()
    };
    Ok(match outcome {
        Finished::Succeeded(output) => StepSucceeded { step, attempt, output: output.clone() }.into(),
        Finished::Failed { error, not_before } => failed(error, *not_before),
        Finished::Unknown(error) if slot.effect == Some(EffectClass::AtMostOnce) => {
            StepOutcomeUnknown { step, attempt, error: error.clone() }.into()
        }
        Finished::Unknown(_) | Finished::Waiting { .. } | Finished::Interrupted if cancelling => {
            StepCancelled { step, attempt }.into()
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
fn retry_at(
    state: &RunState,
    step: StepIx,
    slot: &Slot,
    class: ErrorClass,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let policy = state.workflow.step(step).options().retry.as_ref()?;
    let failures = u32::from(slot.failures) + 1;
    let used = failures + u32::from(slot.losses);
    if state.head.intent == Intent::Cancel || !policy.covers(class) || used >= policy.max_attempts {
        return None;
    }
    let at = now + policy.delay(state.run, step, failures);
    Some(not_before.map_or(at, |earliest| at.max(earliest)))
}

fn lost(state: &RunState, owner: OwnerId) -> Vec<Event> {
    let mut events = Vec::new();
    for step in state.index.running.iter() {
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

fn after_loss(state: &RunState, step: StepIx, slot: &Slot) -> AfterLoss {
    if slot.effect == Some(EffectClass::AtMostOnce) {
        return AfterLoss::Unknown;
    }
    if state.head.intent == Intent::Cancel {
        return AfterLoss::Cancel;
    }
    let losses = slot.losses + 1;
    let used = u32::from(slot.failures) + u32::from(losses);
    let retry = state.workflow.step(step).options().retry.as_ref();
    if retry.is_some_and(|policy| used >= policy.max_attempts) {
        AfterLoss::Fail
    } else if losses >= MAX_CRASHES {
        AfterLoss::Quarantine
    } else {
        AfterLoss::Again
    }
}

fn wake(state: &RunState, now: Timestamp) -> Vec<Event> {
    let due = state.index.timers.iter().take_while(|(until, _)| *until <= now);
    due.map(|(_, step)| fall_due(state, *step)).collect()
}

fn fall_due(state: &RunState, step: StepIx) -> Event {
    let StepState::Waiting { attempt, on, .. } = &state.slot(step).state else {
        return StepDue { step }.into();
    };
    let attempt = *attempt;
    let WaitOn::Approval { then, .. } = **on else {
        return StepArrived { step, attempt, arrival: Arrival::Due }.into();
    };
    // A policy's question (attempt 0) that nobody answers is a no, whatever the step says of its own waits.
    if then == OnExpiry::Fail || attempt == 0 {
        let error = StepError::new(ErrorClass::Timeout, "nobody decided in time");
        return StepFailed { step, attempt, error, retry_at: None }.into();
    }
    StepArrived { step, attempt, arrival: Arrival::Expired { then } }.into()
}

fn decide_approval(state: &RunState, decision: &Decide, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let step = decision.step;
    let slot = slot(state, step)?;
    let StepState::Waiting { attempt, on, until, .. } = &slot.state else {
        let is_new = matches!(slot.state.kind(), StepKind::Pending | StepKind::Ready);
        return Err(Rejection::NotOpen(match is_new && slot.attempts == 0 && slot.granted.is_none() {
            true => "has not been asked for yet",
            false => "is no longer open",
        }));
    };
    let WaitOn::Approval { digest, .. } = **on else {
        return Err(Rejection::NotOpen("was never asked for: the step waits for a moment"));
    };
    if until.is_some_and(|until| until <= now) {
        return Err(Rejection::NotOpen("has expired"));
    }
    if decision.digest.is_some_and(|seen| seen != digest) {
        return Err(Rejection::NotOpen("was asked anew with other content: look at it again"));
    }
    let mut events = vec![StepArrived { step, attempt: *attempt, arrival: decision.into() }.into()];
    if *attempt == 0 && !decision.approved {
        let message = format!("rejected by {}", decision.asked.by);
        events.push(not_begun(step, StepError::new(ErrorClass::Denied, message)));
    }
    Ok(events)
}

fn want(state: &RunState, intent: Intent, asked: &Asked) -> Result<Vec<Event>, Rejection> {
    if state.head.intent == intent {
        return Ok(Vec::new());
    }
    if state.head.intent == Intent::Cancel {
        return Err(Rejection::Held("being cancelled"));
    }
    let mut events =
        vec![IntentChanged { intent, by: asked.by.clone(), reason: asked.reason.clone() }.into()];
    if intent == Intent::Cancel {
        events.extend(state.slots().filter_map(|(step, slot)| cancelled(step, slot)));
    }
    Ok(events)
}

/// What cancelling does to a step at once. A running one is told to stop and ends by its own outcome; an unknown
/// outcome stays unknown.
fn cancelled(step: StepIx, slot: &Slot) -> Option<Event> {
    let kind = slot.state.kind();
    let stays = kind.is_terminal() || matches!(kind, StepKind::Running | StepKind::OutcomeUnknown);
    (!stays).then(|| StepCancelled { step, attempt: slot.attempts }.into())
}

fn resolve(
    state: &RunState,
    step: StepIx,
    applied: Option<&ValueRef>,
    asked: &Asked,
) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, step)?;
    if !slot.state.kind().needs_outsider() {
        return Err(Rejection::WrongState {
            state: slot.state.shown(),
            wanted: "outcome_unknown or blocked",
        });
    }
    Ok(resolved(state, step, applied, asked, state.head.intent == Intent::Cancel))
}

fn resolved(
    state: &RunState,
    step: StepIx,
    applied: Option<&ValueRef>,
    asked: &Asked,
    cancelling: bool,
) -> Vec<Event> {
    let attempt = state.slot(step).attempts;
    let resolved = StepResolved {
        step,
        attempt,
        output: applied.cloned(),
        by: asked.by.clone(),
        reason: asked.reason.clone(),
    };
    let mut events = vec![resolved.into()];
    if applied.is_none() && cancelling {
        events.push(StepCancelled { step, attempt }.into());
    }
    events
}

fn is_unknown(state: &RunState, step: StepIx) -> bool {
    state.slots.get(step.index()).is_some_and(|slot| slot.state.kind() == StepKind::OutcomeUnknown)
}

/// A cancelled run ends with what is unknown left open. Settling that later is a generation of its own, in which
/// nothing begins; it ends at once, unless nothing turns out to have been stopped: then the outputs are still owed.
fn resolve_after_the_end(
    state: &RunState,
    step: StepIx,
    applied: Option<&ValueRef>,
    asked: &Asked,
) -> Vec<Event> {
    let Asked { by, reason } = asked.clone();
    let generation = state.head.generation + 1;
    let mut events = vec![
        RunReopened { generation, steps: Vec::new(), by: by.clone(), reason: reason.clone() }.into(),
        IntentChanged { intent: Intent::Cancel, by, reason }.into(),
    ];
    events.extend(resolved(state, step, applied, asked, true));
    let others = state.count(StepKind::Cancelled) + state.count(StepKind::OutcomeUnknown) - 1;
    if others > 0 || applied.is_none() {
        events.push(RunEnded { status: Ending::Cancelled, outputs: None, error: None }.into());
    }
    events
}

fn retry(state: &RunState, steps: &[StepIx], asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let open = |step: StepIx| {
        matches!(
            state.slot(step).state.kind(),
            StepKind::Failed | StepKind::Cancelled | StepKind::OutcomeUnknown
        )
    };
    let named: Vec<StepIx> = if steps.is_empty() {
        state.plan.steps().filter(|step| open(*step)).collect()
    } else {
        steps.to_vec()
    };
    if named.is_empty() {
        return Err(Rejection::NothingToRetry("no step has failed or was cancelled"));
    }
    for step in &named {
        let slot = slot(state, *step)?;
        if !open(*step) {
            let state = slot.state.shown();
            return Err(Rejection::WrongState { state, wanted: "failed or cancelled" });
        }
        if slot.state.kind() == StepKind::OutcomeUnknown {
            return Err(Rejection::NothingToRetry("an unknown outcome must be resolved first"));
        }
    }
    // What depends on a repeated step is repeated with it.
    let mut found: BTreeSet<StepIx> = named.iter().copied().collect();
    let mut again = named.clone();
    while let Some(step) = again.pop() {
        again.extend(state.plan.successors(step).filter(|successor| found.insert(*successor)));
    }
    if found.iter().any(|step| is_unknown(state, *step)) {
        return Err(Rejection::NothingToRetry(
            "the unknown outcome of a step that depends on it must be resolved first",
        ));
    }
    if named.iter().any(|step| is_held_back(state, *step, &found)) {
        return Err(Rejection::NothingToRetry("a step it needs has not completed: retry that one"));
    }
    let reopened = RunReopened {
        generation: state.head.generation + 1,
        steps: found.into_iter().collect(),
        by: asked.by.clone(),
        reason: asked.reason.clone(),
    };
    Ok(vec![reopened.into()])
}

/// Whether a step would only be skipped again: what it needs has ended without success and is not retried with it.
fn is_held_back(state: &RunState, step: StepIx, retried: &BTreeSet<StepIx>) -> bool {
    let spec = state.workflow.step(step);
    !spec.judges_its_needs()
        && spec.needs.iter().any(|need| {
            let kind = state.slot(*need).state.kind();
            kind.is_terminal() && kind != StepKind::Succeeded && !retried.contains(need)
        })
}

fn conclude(state: &RunState, outputs: &Result<ValueRef, StepError>) -> Result<Vec<Event>, Rejection> {
    if !state.is_settled() {
        return Err(Rejection::WrongState { state: "open", wanted: "settled" });
    }
    let stopped = state.count(StepKind::Cancelled) + state.count(StepKind::OutcomeUnknown) > 0;
    let failed = state.count(StepKind::Failed) > 0;
    // Steps that an earlier generation has left cancelled keep the run from being complete.
    let ended = if stopped && (state.head.intent == Intent::Cancel || !failed) {
        RunEnded { status: Ending::Cancelled, outputs: None, error: None }
    } else if failed {
        RunEnded { status: Ending::Failed, outputs: None, error: first_failure(state) }
    } else {
        match outputs {
            Ok(outputs) => {
                RunEnded { status: Ending::Completed, outputs: Some(outputs.clone()), error: None }
            }
            Err(error) => RunEnded { status: Ending::Failed, outputs: None, error: Some(error.clone()) },
        }
    };
    Ok(vec![ended.into()])
}

/// The run's error is that of its first failed step, with the step's name.
fn first_failure(state: &RunState) -> Option<StepError> {
    state.slots().find_map(|(step, slot)| match &slot.state {
        StepState::Failed { error } => {
            let message = format!("step `{}` failed: {}", state.workflow.step(step).name, error.message);
            Some(StepError::new(error.class, message))
        }
        _ => None,
    })
}
