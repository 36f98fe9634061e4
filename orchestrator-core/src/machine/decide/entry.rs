//! Whether a run may be under way: it takes its place, waits for one, or is turned away.

use std::sync::Arc;

use crate::id::OwnerId;
use crate::machine::command::Rejection;
use crate::machine::decide::attempt::is_anothers;
use crate::machine::decide::steer::all_cancelled;
use crate::machine::ending::Ending;
use crate::machine::event::{Event, RunEnded, RunEntered, RunParked};
use crate::machine::failure::StepError;
use crate::machine::hold::Hold;
use crate::machine::kind::StepKind;
use crate::machine::state::RunState;

/// Said again, it is so already.
pub(super) fn enter(state: &RunState, owner: OwnerId) -> Result<Vec<Event>, Rejection> {
    Ok(at_the_door(state, owner)?.map(|_| RunEntered {}.into()).into_iter().collect())
}

/// Said again, it is so already.
pub(super) fn stand_in_line(state: &RunState, owner: OwnerId) -> Result<Vec<Event>, Rejection> {
    let new = at_the_door(state, owner)?.filter(|_| state.waited_place().is_none());
    Ok(new.map(|hold| RunParked { hold: hold.clone() }.into()).into_iter().collect())
}

/// What has not begun is cancelled, and the run fails. Nothing comes after: nothing was done in this generation.
pub(super) fn turn_away(
    state: &RunState,
    owner: OwnerId,
    error: &StepError,
) -> Result<Vec<Event>, Rejection> {
    if at_the_door(state, owner)?.is_none() {
        return Ok(Vec::new());
    }
    if state.count(StepKind::OutcomeUnknown) > 0 {
        return stand_in_line(state, owner);
    }
    let mut events: Vec<Event> = all_cancelled(state).collect();
    let collected = state.collected(&events);
    events.extend(collected);
    events.push(RunEnded { status: Ending::Failed, outputs: None, error: Some(error.clone()) }.into());
    Ok(events)
}

/// The place that the run needs and does not have, if something of it may begin.
fn at_the_door(state: &RunState, owner: OwnerId) -> Result<Option<&Arc<Hold>>, Rejection> {
    if is_anothers(state, owner) {
        return Err(Rejection::Fenced);
    }
    let Some(entry) = state.head.entry.as_ref().filter(|_| !state.has_entered()) else {
        return Ok(None);
    };
    match state.proceeds(state.head.stage) {
        true => Ok(Some(&entry.hold)),
        false => Err(Rejection::Held("paused, put off or to stop")),
    }
}
