//! How a run ends, and how an unknown outcome is settled, before the end and after it.

use crate::id::Unit;
use crate::machine::command::{Asked, Rejection};
use crate::machine::decide::attempt::not_begun;
use crate::machine::decide::guard::slot;
use crate::machine::ending::Ending;
use crate::machine::event::{
    Event, IntentChanged, RunEnded, RunReopened, StageBegun, StepCancelled, StepResolved,
};
use crate::machine::failure::StepError;
use crate::machine::kind::StepKind;
use crate::machine::state::{Intent, RunState};
use crate::machine::step_state::StepState;
use crate::spec::Stage;
use crate::value::ValueRef;

pub(super) fn resolve(
    state: &RunState,
    step: Unit,
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
    Ok(resolved(state, step, applied, asked, state.is_stopped(slot.stage)))
}

pub(super) fn reconcile(
    state: &RunState,
    step: Unit,
    attempt: u32,
    applied: Option<&ValueRef>,
    asked: &Asked,
) -> Result<Vec<Event>, Rejection> {
    match slot(state, step)?.state {
        StepState::OutcomeUnknown { attempt: unknown } if unknown == attempt => {
            resolve(state, step, applied, asked)
        }
        _ => Err(Rejection::Fenced),
    }
}

fn resolved(
    state: &RunState,
    step: Unit,
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
    if applied.is_none() {
        events.extend(not_again(state, step, cancelling));
    }
    events
}

/// What ends a step that could begin again, where nothing of it begins any more: the others have had to stop already.
pub(super) fn not_again(state: &RunState, step: Unit, cancelling: bool) -> Option<Event> {
    if cancelling {
        return Some(StepCancelled { step, attempt: state.slot(step).attempts }.into());
    }
    state.slot(step.step).overdue.then(|| not_begun(step, state.step_is_late(step)))
}

pub(super) fn is_unknown(state: &RunState, step: Unit) -> bool {
    state.find(step).is_some_and(|slot| slot.state.kind() == StepKind::OutcomeUnknown)
}

/// A cancelled run ends with what is unknown left open. Settling that later is a generation of its own, in which
/// nothing begins; it ends at once, unless nothing turns out to have been stopped: then the outputs are still owed.
pub(super) fn resolve_after_the_end(
    state: &RunState,
    step: Unit,
    applied: Option<&ValueRef>,
    asked: &Asked,
) -> Vec<Event> {
    let Asked { by, reason } = asked.clone();
    let generation = state.head.generation + 1;
    let mut events = vec![
        RunReopened {
            generation,
            steps: Vec::new(),
            inside: Vec::new(),
            by: by.clone(),
            reason: reason.clone(),
        }
        .into(),
        IntentChanged { intent: Intent::Cancel, by, reason }.into(),
    ];
    let settled = resolved(state, step, applied, asked, true);
    let collected = state.collected(&settled);
    events.extend(settled);
    events.extend(collected);
    let others = state.count(StepKind::Cancelled) + state.count(StepKind::OutcomeUnknown) - 1;
    if others > 0 || applied.is_none() {
        events.push(RunEnded { status: Ending::Cancelled, outputs: None, error: None }.into());
    }
    events
}

pub(super) fn conclude(
    state: &RunState,
    outputs: &Result<ValueRef, StepError>,
) -> Result<Vec<Event>, Rejection> {
    if !state.is_settled() {
        return Err(Rejection::WrongState { state: "open", wanted: "settled" });
    }
    let (status, error) = match state.verdict() {
        Some(verdict) => (verdict.status, verdict.error.clone()),
        None => verdict(state, outputs),
    };
    if let Some((stage, steps)) = next_stage(state, status) {
        return Ok(vec![StageBegun { stage, status, error, steps }.into()]);
    }
    let (status, error) = with_cleanup(state, status, error);
    Ok(vec![
        match (status, outputs) {
            (Ending::Completed, Ok(outputs)) => {
                RunEnded { status, outputs: Some(outputs.clone()), error: None }
            }
            (Ending::Completed, Err(error)) => {
                RunEnded { status: Ending::Failed, outputs: None, error: Some(error.clone()) }
            }
            (Ending::Failed, _) => RunEnded { status, outputs: None, error },
            (Ending::Cancelled, _) => RunEnded { status, outputs: None, error: None },
        }
        .into(),
    ])
}

/// How the steps proper have ended. Steps that an earlier generation has left cancelled keep the run from being complete.
fn verdict(state: &RunState, outputs: &Result<ValueRef, StepError>) -> (Ending, Option<StepError>) {
    let stopped = state.has_stopped();
    let cancelled = state.head.intent == Intent::Cancel;
    if let Some(late) = state.head.overdue.as_deref().filter(|_| stopped && !cancelled) {
        return (Ending::Failed, Some(late.clone()));
    }
    let failed = state.index.failed_steps() > 0;
    if stopped && (cancelled || !failed) {
        return (Ending::Cancelled, None);
    }
    if failed {
        return (Ending::Failed, first_failure(state, |stage| stage == Stage::Main));
    }
    match outputs {
        Ok(_) => (Ending::Completed, None),
        Err(error) => (Ending::Failed, Some(error.clone())),
    }
}

/// What begins now, if something does; with the compensations, if it is their turn.
fn next_stage(state: &RunState, status: Ending) -> Option<(Stage, Vec<Unit>)> {
    let now = state.head.stage;
    // One that has no place has done nothing that could be undone or tidied up, and begins nothing.
    if !state.has_entered() {
        return None;
    }
    if status == Ending::Failed && now < Stage::Compensation {
        let steps = state.to_undo();
        if !steps.is_empty() {
            return Some((Stage::Compensation, steps));
        }
    }
    let on_failure = (status == Ending::Failed).then_some(Stage::OnFailure);
    let later = on_failure.into_iter().chain([Stage::Finally]).filter(|stage| now < *stage);
    later.into_iter().find(|stage| state.is_open(*stage)).map(|stage| (stage, Vec::new()))
}

/// What comes after the steps proper may fail too.
fn with_cleanup(state: &RunState, status: Ending, error: Option<StepError>) -> (Ending, Option<StepError>) {
    let of_cleanup = first_failure(state, |stage| stage != Stage::Main);
    match (status, error, of_cleanup) {
        (Ending::Completed, _, Some(failure)) => (Ending::Failed, Some(failure)),
        (Ending::Completed, _, None) if state.has_stopped() => (Ending::Cancelled, None),
        (Ending::Failed, Some(error), Some(failure)) => {
            let message = format!("{}; then {}", error.message, failure.message);
            (Ending::Failed, Some(StepError::new(error.class, message)))
        }
        (status, error, _) => (status, error),
    }
}

/// The error of the first step of some stages that has failed, with the step's name.
fn first_failure(state: &RunState, of: impl Fn(Stage) -> bool) -> Option<StepError> {
    let steps = state.plan.steps().map(|step| (step, state.slot(step)));
    let mut steps = steps.filter(|(_, slot)| !slot.tolerated && of(slot.stage));
    steps.find_map(|(step, slot)| match &slot.state {
        StepState::Failed { error } => {
            let message = format!("step `{}` failed: {}", state.workflow.step(step).name, error.message);
            Some(StepError::new(error.class, message))
        }
        _ => None,
    })
}

/// What an ended run has done is undone on request, and the run ends again as it had, but for one that had completed.
pub(super) fn compensate(state: &RunState, asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let steps = state.to_undo();
    let Some((status, _)) = state.head.ended.filter(|_| !steps.is_empty()) else {
        return Err(Rejection::NothingToUndo);
    };
    if state.count(StepKind::OutcomeUnknown) > 0 {
        return Err(Rejection::NothingToRetry("an unknown outcome must be resolved first"));
    }
    let status = if status == Ending::Failed { status } else { Ending::Cancelled };
    let error = state.head.error.as_deref().cloned();
    let Asked { by, reason } = asked.clone();
    let generation = state.head.generation + 1;
    Ok(vec![
        RunReopened { generation, steps: Vec::new(), inside: Vec::new(), by, reason }.into(),
        StageBegun { stage: Stage::Compensation, status, error, steps }.into(),
    ])
}
