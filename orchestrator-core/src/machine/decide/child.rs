//! Steps that another run carries out: how it is begun, what its end means, and how a child follows its parent.

use crate::id::{RunId, Unit};
use crate::machine::command::{Begin, ChildEnd, Rejection};
use crate::machine::decide::attempt::{begun, retry_at};
use crate::machine::decide::guard::slot;
use crate::machine::event::{
    Event, IntentChanged, StepCancelled, StepFailed, StepIterated, StepSucceeded, StepWaiting,
};
use crate::machine::failure::StepError;
use crate::machine::slot::Slot;
use crate::machine::state::{Intent, RunState};
use crate::machine::step_state::StepState;
use crate::machine::wait::WaitOn;
use crate::spec::Stage;
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;

/// The step begins, and waits for the run that carries it out: nothing of it is executed here.
pub(super) fn delegated(
    slot: &Slot,
    step: Unit,
    begin: &Begin,
    child: RunId,
    until: Option<Timestamp>,
    events: &mut Vec<Event>,
) {
    let attempt = slot.attempts + 1;
    events.push(begun(slot, step, begin));
    events.push(StepWaiting { step, attempt, on: WaitOn::Child { run: child, late: false }, until }.into());
}

/// The time to wait for a child is over. It is stopped first: nothing follows while it may still do something.
pub(super) fn overdue(step: Unit, attempt: u32, child: RunId) -> Event {
    StepWaiting { step, attempt, on: WaitOn::Child { run: child, late: true }, until: None }.into()
}

/// The run that carries out a step has ended. What is said of another run than the one waited for, or said once more,
/// changes nothing.
pub(super) fn child_ended(
    state: &RunState,
    step: Unit,
    child: RunId,
    end: &ChildEnd,
    now: Timestamp,
) -> Result<Event, Rejection> {
    let slot = slot(state, step)?;
    let StepState::Waiting { attempt, on, .. } = &slot.state else { return Err(Rejection::Fenced) };
    let WaitOn::Child { run, late } = **on else { return Err(Rejection::Fenced) };
    if run != child {
        return Err(Rejection::Fenced);
    }
    let attempt = *attempt;
    let cancelling = state.is_stopped(slot.stage);
    let is_repeated = state.spec(step).options().repeat.is_some();
    let failed = |error: &StepError| {
        let retry_at = retry_at(state, step, slot, error.class, None, now);
        StepFailed { step, attempt, error: error.clone(), retry_at }.into()
    };
    Ok(match end {
        _ if slot.overdue && !cancelling => failed(&state.step_is_late(step)),
        _ if late && !cancelling => failed(&StepError::new(
            ErrorClass::Timeout,
            format!("{child} did not end in time and was stopped"),
        )),
        ChildEnd::Completed(output) if !is_repeated => {
            StepSucceeded { step, attempt, output: output.clone() }.into()
        }
        ChildEnd::Completed(output) if !cancelling => {
            StepIterated { step, attempt, output: output.clone() }.into()
        }
        ChildEnd::Failed(error) => failed(error),
        ChildEnd::Cancelled(error) if !cancelling => failed(error),
        // Of a step that is repeated, whether it was the last time is not judged any more.
        ChildEnd::Completed(_) | ChildEnd::Cancelled(_) => StepCancelled { step, attempt }.into(),
    })
}

/// A child does what is wanted of its parent. What someone has paused by name stays paused when the parent goes on.
pub(super) fn follow(state: &RunState, intent: Intent, parent: RunId) -> Vec<Event> {
    let held_by_parent = || state.head.held_by.as_deref().is_some_and(|by| by == parent.to_string());
    let changes = match (state.head.intent, intent) {
        (Intent::Cancel, _) => false,
        // What comes after the steps proper is not what is meant: it is on its way to the end.
        (_, Intent::Cancel) if state.head.stage != Stage::Main => false,
        (Intent::Pause, Intent::Proceed) => held_by_parent(),
        (now, wanted) => now != wanted,
    };
    if !changes {
        return Vec::new();
    }
    let mut events = vec![IntentChanged { intent, by: parent.to_string().into(), reason: None }.into()];
    if intent == Intent::Cancel {
        events.extend(super::steer::all_cancelled(state));
    }
    events
}
