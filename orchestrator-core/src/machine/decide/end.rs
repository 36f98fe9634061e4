//! How a run ends, and how an unknown outcome is settled, before the end and after it.

use crate::id::Unit;
use crate::machine::command::{Asked, Rejection};
use crate::machine::decide::guard::slot;
use crate::machine::event::{
    Ending, Event, IntentChanged, RunEnded, RunReopened, StepCancelled, StepError, StepResolved,
};
use crate::machine::kind::StepKind;
use crate::machine::state::{Intent, RunState, StepState};
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
    Ok(resolved(state, step, applied, asked, state.head.intent == Intent::Cancel))
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
    if applied.is_none() && cancelling {
        events.push(StepCancelled { step, attempt }.into());
    }
    events
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
        RunReopened { generation, steps: Vec::new(), by: by.clone(), reason: reason.clone() }.into(),
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
    let stopped = state.count(StepKind::Cancelled) + state.count(StepKind::OutcomeUnknown) > 0;
    let failed = state.index.failed_steps > 0;
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
    let steps = state.plan.steps().map(|step| (step, state.slot(step)));
    steps.filter(|(_, slot)| !slot.tolerated).find_map(|(step, slot)| match &slot.state {
        StepState::Failed { error } => {
            let message = format!("step `{}` failed: {}", state.workflow.step(step).name, error.message);
            Some(StepError::new(error.class, message))
        }
        _ => None,
    })
}
