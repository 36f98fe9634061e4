//! The only place that changes state; also the loader.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::{StepIx, Unit};
use crate::machine::StepKind;
use crate::machine::beginning::{arrived, begin, begin_again, claim, go_on, offer, park, withdraw};
use crate::machine::ending::{Ending, KeptAs};
use crate::machine::entry::{At, Entry};
use crate::machine::event::{
    DriverReleased, DriverTaken, Event, IntentChanged, RunEnded, RunReopened, RunSignalled, StepArrived,
    StepCollected, StepFailed, StepIterated, StepKept, StepLost, StepRepeated, StepResolved,
};
use crate::machine::failure::{AfterLoss, StepError};
use crate::machine::log::Recorded;
use crate::machine::slot::{Round, Slot};
use crate::machine::state::{Intent, RunState};
use crate::machine::step_state::StepState;
use crate::machine::transitions::is_legal;
use crate::machine::wait::{Arrival, Signal};
use crate::machine::waiting::{arrive, expect_judged, judge, wait};
use crate::spec::Stage;
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;
use crate::value::ValueRef;

/// An event that cannot follow the state: the log is corrupt, or a backend has broken its promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("illegal transition at event {seq}: {what}")]
pub struct IllegalTransition {
    /// The event's number.
    pub seq: u64,
    /// What does not fit.
    pub what: String,
}

/// Applies one event.
///
/// # Errors
/// [`IllegalTransition`]; the state is then unspecified.
pub fn apply(state: &mut RunState, recorded: &Recorded) -> Result<(), IllegalTransition> {
    apply_at(state, recorded.seq, recorded.at, &recorded.event)
}

/// Applies one event that has no place in a log yet.
///
/// # Errors
/// As [`apply`].
pub(crate) fn apply_at(
    state: &mut RunState,
    seq: u64,
    at: Timestamp,
    event: &Event,
) -> Result<(), IllegalTransition> {
    let illegal = |what: String| IllegalTransition { seq, what };
    if seq != state.head.seq + 1 {
        return Err(illegal(format!("expected event {}", state.head.seq + 1)));
    }
    if (state.head.seq == 0) != matches!(event, Event::RunCreated(_)) {
        return Err(illegal("a run begins with `run.created`, once".into()));
    }
    if state.head.ended.is_some() && !matches!(event, Event::RunReopened(_)) {
        return Err(illegal(format!("`{}` after the run has ended", event.kind())));
    }
    match event.unit() {
        Some(unit) => apply_to_unit(state, unit, event, at).map_err(illegal)?,
        None => apply_to_run(state, event, at).map_err(illegal)?,
    }
    state.head.seq = seq;
    state.head.last_at = at;
    Ok(())
}

/// Applies a log.
///
/// # Errors
/// As [`apply`].
pub fn fold(state: &mut RunState, log: &[Recorded]) -> Result<(), IllegalTransition> {
    log.iter().try_for_each(|recorded| apply(state, recorded))
}

fn apply_to_run(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::RunCreated(created) => {
            state.head.created_at = at;
            state.head.since = created.not_before.unwrap_or(at);
            state.head.not_before = created.not_before;
            state.head.entry = created.place.clone().map(|hold| Entry::new(hold, &created.within));
            state.head.within = (!created.within.is_empty()).then(|| created.within.as_slice().into());
            state.head.inputs = created.inputs.clone();
            state.head.by = created.by.clone();
        }
        Event::RunDue(_) => {
            state.head.not_before.take().ok_or("falls due without having been put off")?;
            // Where somebody does not want to wait, its deadline counts from now.
            state.head.since = state.head.since.min(at);
            touch_open(state);
        }
        Event::RunParked(_) => state.go(&[At::Outside], At::InLine)?,
        Event::RunEntered(_) => state.go(&[At::Outside, At::InLine], At::Inside)?,
        Event::RunForked(_) if state.head.seq != 1 => {
            return Err("a run is forked when it is created".into());
        }
        Event::RunForked(forked) => state.enter_inside(forked.inside.iter().cloned()),
        Event::DriverTaken(DriverTaken { owner, epoch }) => {
            if *epoch != state.head.driver_epoch + 1 {
                return Err(format!("driver epoch {epoch} after {}", state.head.driver_epoch));
            }
            state.head.driver = Some(*owner);
            state.head.driver_epoch = *epoch;
        }
        Event::DriverReleased(DriverReleased { owner, epoch }) => {
            if state.head.driver != Some(*owner) || state.head.driver_epoch != *epoch {
                return Err(format!("released by {owner}, who does not drive"));
            }
            state.head.driver = None;
        }
        Event::IntentChanged(changed) => change_intent(state, changed, at)?,
        Event::RunOverdue(overdue) => {
            if state.head.stage != Stage::Main || state.head.overdue.is_some() {
                return Err("the run is late a second time".into());
            }
            state.head.overdue = Some(Arc::new(overdue.error.clone()));
            touch_open(state);
        }
        Event::StageBegun(begun) => state.begin_stage(begun, at)?,
        Event::RunSignalled(RunSignalled { name, data, by, .. }) => {
            let signal = Signal { name: name.clone(), data: data.clone(), by: by.clone(), at };
            state.head.signals.keep(signal);
        }
        Event::RunEnded(RunEnded { status, outputs, error }) => {
            if !state.is_settled() {
                return Err("the run ended with open steps".into());
            }
            let last = state.head.stage;
            state.pass_over(|stage| last < stage, at);
            state.head.ended = Some((*status, at));
            state.head.driver = None;
            state.give_back();
            state.head.outputs = outputs.clone();
            state.head.error = error.clone().map(Arc::new);
        }
        Event::RunReopened(reopened) => {
            reopen(state, reopened)?;
            state.head.since = at;
        }
        other => return Err(format!("`{}` names no step", other.kind())),
    }
    Ok(())
}

fn change_intent(state: &mut RunState, changed: &IntentChanged, at: Timestamp) -> Result<(), String> {
    let cancels = changed.intent == Intent::Cancel;
    if state.head.intent == Intent::Cancel && (!cancels || state.is_stopped(state.head.stage)) {
        return Err("a cancelled run wants something else".into());
    }
    // What comes after the steps proper goes on when they are cancelled, and stops when it is itself.
    state.head.aborted = cancels && state.head.stage != Stage::Main;
    state.head.intent = changed.intent;
    state.head.held_by = (changed.intent == Intent::Pause).then(|| changed.by.clone());
    // What is cancelled waits for no time: there is something to do at once.
    if state.head.not_before.take_if(|_| cancels).is_some() {
        state.head.since = at;
    }
    touch_open(state);
    Ok(())
}

/// What may be begun or must be stopped is another now.
fn touch_open(state: &mut RunState) {
    let open = state.index.actionable.iter().chain(state.index.running.iter());
    // Whoever has claimed something is told to stop by its row; of what is only offered, that says nothing.
    let is_claimed = |at: &u32| state.slots[*at as usize].state.kind() == StepKind::Running;
    open.chain(state.index.away.iter().filter(is_claimed)).for_each(|at| state.touched.insert(at));
}

fn reopen(state: &mut RunState, reopened: &RunReopened) -> Result<(), String> {
    if state.head.ended.is_none() || reopened.generation != state.head.generation + 1 {
        return Err("only an ended run is reopened, one generation at a time".into());
    }
    let again: BTreeSet<Unit> = reopened.steps.iter().copied().collect();
    for unit in &again {
        let kind = state.find(*unit).map(|slot| slot.state.kind());
        if !kind.is_some_and(StepKind::is_terminal) {
            return Err(format!("step {unit:?} is reopened from {kind:?}"));
        }
    }
    let stage = again.iter().map(|unit| state.slot(*unit).stage).min().unwrap_or_default();
    if stage == Stage::Main && !again.is_empty() {
        state.close_cleanup();
    }
    for unit in again.iter().filter(|unit| unit.item().is_none()) {
        let step = unit.step;
        let of = state.slots[step.index()].stage;
        if of == Stage::Compensation {
            match state.fan(step) {
                Some(_) => state.reopen_undo(step, |item| again.contains(&Unit::item_of(step, item))),
                None => {
                    let place = StepState::Pending { missing: 1 };
                    state.change(step.0, |slot| slot.begin_anew(place));
                }
            }
            continue;
        }
        if again.range(Unit::items_of(step)).next().is_some() {
            state.reopen_items(step, |item| again.contains(&Unit::item_of(step, item)));
            continue;
        }
        let open = |need: &&StepIx| {
            again.contains(&Unit::of(**need)) || !state.slots[need.index()].state.is_terminal()
        };
        let gate = usize::from(stage < of);
        let missing = state.workflow.step(step).needs.iter().filter(open).count() + gate;
        let place = match missing {
            0 => StepState::Ready,
            missing => StepState::Pending { missing: missing as u32 },
        };
        state.supersede_items(step);
        state.change(step.0, |slot| slot.begin_anew(place));
    }
    // A step that was cancelled while one above it still ran does not know how that one has ended.
    for step in state.plan.waves().into_iter().flatten() {
        let slot = &state.slots[step.index()];
        let tainted = slot.state.is_terminal() && is_tainted(state, step.into());
        if slot.tainted != tainted {
            state.change(step.0, |slot| slot.tainted = tainted);
        }
    }
    state.reopen_inside(&again, &reopened.inside);
    state.head.generation = reopened.generation;
    state.head.intent = Intent::Proceed;
    state.head.stage = stage;
    state.head.aborted = false;
    state.head.overdue = None;
    state.head.undone = 0;
    state.head.held_by = None;
    state.head.ended = None;
    state.head.outputs = None;
    state.head.error = None;
    state.undo_next();
    Ok(())
}

fn apply_to_unit(state: &mut RunState, unit: Unit, event: &Event, at: Timestamp) -> Result<(), String> {
    let Some(place) = state.place(unit) else {
        return Err(format!("`{}` names step {unit:?}, which is unknown", event.kind()));
    };
    let from = state.slots[place as usize].state.kind();
    let due = state.newly_due(unit, &state.slots[place as usize], event, at);
    if let Event::StepExpanded(expanded) = event {
        if unit.item().is_some() || from != StepKind::Ready {
            return Err(format!("step {unit:?} is expanded from {from:?}"));
        }
        state.expand(unit.step, &expanded.items, expanded.count, due, at);
        state.head.started_at.get_or_insert(at);
        return Ok(());
    }
    let seq = state.head.seq + 1;
    let to = state.change(place, |slot| {
        change_slot(slot, event, at)?;
        if due.is_some() {
            slot.extra().due = due;
        }
        let to = slot.state.kind();
        slot.ended_at = to.is_terminal().then_some(at);
        slot.ended_seq = if to.is_terminal() { seq } else { 0 };
        Ok::<_, String>(to)
    })?;
    if !is_legal(from, event.kind(), to) {
        return Err(format!("`{}` leads step {unit:?} from {from:?} to {to:?}", event.kind()));
    }
    let begins = matches!(to, StepKind::Running | StepKind::Offered | StepKind::Waiting | StepKind::Parked);
    if begins && !state.has_entered() {
        return Err(format!("`{}` leads step {unit:?} to {to:?} before the run has its place", event.kind()));
    }
    if let Event::StepArrived(StepArrived { arrival: Arrival::Signal(signal), .. }) = event {
        state.head.signals.take(signal)?;
    }
    if matches!(to, StepKind::Running | StepKind::Offered) {
        state.head.started_at.get_or_insert(at);
    }
    if to.is_terminal() {
        state.slots[place as usize].tainted = is_tainted(state, unit);
    }
    match unit.item() {
        Some(_) => state.item_moved(unit, from, to),
        None if to.is_terminal() => {
            for nth in state.plan.successor_range(unit.step) {
                state.need_ended(state.plan.successor(nth));
            }
        }
        None => {}
    }
    if to.is_terminal() && state.head.stage == Stage::Compensation {
        state.undo_next();
    }
    Ok(())
}

/// Whether an ended step has failed, or one above it has.
fn is_tainted(state: &RunState, unit: Unit) -> bool {
    let slot = state.slot(unit);
    let failed = slot.state.kind() == StepKind::Failed && !slot.tolerated;
    // Where no step has failed, none is tainted, and nothing has to be looked up.
    failed
        || state.index.failed_steps() > 0
            && state.spec(unit).needs.iter().any(|need| state.slots[need.index()].tainted)
}

/// What an event does to the step it names. Whether it may is checked against the table by the caller.
fn change_slot(slot: &mut Slot, event: &Event, at: Timestamp) -> Result<(), String> {
    slot.state = match event {
        Event::StepBegun(begun) => begin(slot, begun, at)?,
        Event::StepParked(parked) => park(slot, parked),
        Event::StepContinued(continued) => go_on(slot, continued)?,
        Event::StepOffered(offered) => offer(slot, offered, at)?,
        Event::StepClaimed(claimed) => claim(slot, claimed)?,
        Event::StepWithdrawn(withdrawn) => withdraw(slot, withdrawn)?,
        Event::StepSucceeded(succeeded) => {
            expect_attempt(slot, succeeded.attempt)?;
            expect_judged(slot, &succeeded.output)?;
            StepState::Succeeded { output: succeeded.output.clone() }
        }
        Event::StepIterated(iterated) => iterate(slot, iterated)?,
        Event::StepRepeated(repeated) => repeat(slot, repeated)?,
        Event::StepFailed(failed) => fail(slot, failed)?,
        Event::StepLost(lost) => lose(slot, lost)?,
        Event::StepOutcomeUnknown(unknown) => {
            expect_attempt(slot, unknown.attempt)?;
            // Counted as a loss until someone has settled it.
            slot.losses = slot.losses.saturating_add(1);
            StepState::OutcomeUnknown { attempt: unknown.attempt }
        }
        Event::StepInterrupted(interrupted) => {
            expect_attempt(slot, interrupted.attempt)?;
            begin_again(slot)
        }
        Event::StepWaiting(waiting) => wait(slot, waiting, at)?,
        Event::StepJudged(judged) => judge(slot, judged)?,
        Event::StepArrived(arrived) => arrive(slot, arrived)?,
        Event::StepKept(kept) => keep(slot, kept),
        Event::StepDue(_) => StepState::Ready,
        Event::StepOverdue(_) if slot.overdue => return Err("is late a second time".into()),
        Event::StepOverdue(_) => {
            slot.overdue = true;
            slot.state.clone()
        }
        Event::StepCollected(collected) => collect(slot, collected)?,
        Event::StepSkipped(skipped) => StepState::Skipped { reason: skipped.reason },
        Event::StepCancelled(_) => StepState::Cancelled,
        Event::StepResolved(resolved) => resolve(slot, resolved)?,
        other => return Err(format!("`{}` is not about a step", other.kind())),
    };
    Ok(())
}

fn collect(slot: &Slot, collected: &StepCollected) -> Result<StepState, String> {
    let StepState::Expanded(items) = slot.state else {
        return Err("collects the items of a step that has none".into());
    };
    if items.open > 0 {
        return Err(format!("ends with {} open items", items.open));
    }
    Ok(match (collected.status, &collected.error) {
        (Ending::Completed, _) => StepState::Succeeded { output: ValueRef::null() },
        (Ending::Cancelled, _) => StepState::Cancelled,
        (Ending::Failed, Some(error)) => StepState::Failed { error: Arc::new(error.clone()) },
        (Ending::Failed, None) => return Err("has failed without a reason".into()),
    })
}

fn keep(slot: &mut Slot, kept: &StepKept) -> StepState {
    slot.kept = true;
    if kept.child.is_some() {
        slot.extra().child = kept.child;
    }
    match &kept.state {
        KeptAs::Succeeded { output } => StepState::Succeeded { output: output.clone() },
        KeptAs::Failed { error } => StepState::Failed { error: Arc::new(error.clone()) },
        KeptAs::Skipped { reason } => StepState::Skipped { reason: *reason },
    }
}

fn iterate(slot: &mut Slot, iterated: &StepIterated) -> Result<StepState, String> {
    expect_attempt(slot, iterated.attempt)?;
    expect_judged(slot, &iterated.output)?;
    slot.forget_feedback();
    let count = slot.iterations() + 1;
    slot.extra().round = Some(Round { count, output: Some(iterated.output.clone()) });
    // The next time is a request of its own, with attempts of its own.
    slot.request = None;
    slot.failures = 0;
    slot.losses = 0;
    Ok(StepState::Ready)
}

fn repeat(slot: &mut Slot, repeated: &StepRepeated) -> Result<StepState, String> {
    match &mut slot.extra().round {
        Some(round) if round.output.is_some() => round.output = None,
        _ => return Err("is repeated without having run".into()),
    }
    Ok(repeated.until.map_or(StepState::Ready, |until| StepState::Backoff { until }))
}

pub(super) fn expect_attempt(slot: &Slot, attempt: u32) -> Result<(), String> {
    if attempt == slot.attempts {
        return Ok(());
    }
    Err(format!("speaks of attempt {attempt}, the latest is {}", slot.attempts))
}

fn fail(slot: &mut Slot, failed: &StepFailed) -> Result<StepState, String> {
    // 0 says that none was begun: from here on, not in an earlier generation.
    let begun = match slot.state {
        StepState::Running { attempt, .. } | StepState::Waiting { attempt, .. } => attempt,
        _ => 0,
    };
    if failed.attempt != begun {
        return Err(format!("speaks of attempt {}, the current is {begun}", failed.attempt));
    }
    if failed.error.class == ErrorClass::Evidence {
        slot.extra().feedback = Some(failed.error.message.clone());
    }
    if begun > 0 {
        slot.failures = slot.failures.saturating_add(1);
    }
    Ok(match failed.retry_at {
        Some(until) => StepState::Backoff { until },
        None => StepState::Failed { error: Arc::new(failed.error.clone()) },
    })
}

fn lose(slot: &mut Slot, lost: &StepLost) -> Result<StepState, String> {
    expect_attempt(slot, lost.attempt)?;
    if !matches!(slot.state, StepState::Running { fence, .. } if fence.owner == lost.owner) {
        return Err(format!("lost with {}, who does not execute it", lost.owner));
    }
    slot.losses = slot.losses.saturating_add(1);
    let attempt = lost.attempt;
    Ok(match lost.then {
        AfterLoss::Again => begin_again(slot),
        AfterLoss::Unknown => StepState::OutcomeUnknown { attempt },
        AfterLoss::Quarantine => StepState::Quarantined { attempt, arrival: arrived(&slot.state) },
        AfterLoss::Cancel => StepState::Cancelled,
        AfterLoss::Fail => {
            let message = format!("the process that executed attempt {attempt} died, and no attempt is left");
            StepState::Failed { error: Arc::new(StepError::new(ErrorClass::Lost, message)) }
        }
    })
}

fn resolve(slot: &mut Slot, resolved: &StepResolved) -> Result<StepState, String> {
    expect_attempt(slot, resolved.attempt)?;
    Ok(match &resolved.output {
        Some(output) => StepState::Succeeded { output: output.clone() },
        None => {
            // Someone vouches that nothing has happened: the loss is not held against the step.
            slot.losses = slot.losses.saturating_sub(1);
            begin_again(slot)
        }
    })
}
