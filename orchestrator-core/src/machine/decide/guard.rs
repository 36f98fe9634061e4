//! What a command must meet.

use crate::id::Unit;
use crate::machine::command::Rejection;
use crate::machine::kind::StepKind;
use crate::machine::slot::Slot;
use crate::machine::state::{Intent, RunState};

pub(super) fn slot(state: &RunState, step: Unit) -> Result<&Slot, Rejection> {
    state.find(step).ok_or(Rejection::UnknownStep)
}

/// Pause, cancel, a later time and a place that others have hold whatever has not begun.
pub(super) fn proceeding(state: &RunState, slot: &Slot) -> Result<(), Rejection> {
    match state.head.intent {
        Intent::Pause => Err(Rejection::Held("paused")),
        _ if state.head.not_before.is_some() => Err(Rejection::Held("put off")),
        _ if state.head.overdue.is_some() && state.is_stopped(slot.stage) => {
            Err(Rejection::Held("past its deadline"))
        }
        _ if state.is_stopped(slot.stage) => Err(Rejection::Held("being cancelled")),
        _ if slot.overdue => Err(Rejection::Held("past the deadline of the step")),
        _ if !state.has_entered() => Err(Rejection::Held("without its place")),
        _ => Ok(()),
    }
}

pub(super) fn in_state(slot: &Slot, wanted: &[StepKind], name: &'static str) -> Result<(), Rejection> {
    if wanted.contains(&slot.state.kind()) {
        return Ok(());
    }
    Err(Rejection::WrongState { state: slot.state.shown(), wanted: name })
}
