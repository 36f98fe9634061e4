//! Who drives the run, what people want of it, and what they decide.

use crate::id::{OwnerId, Unit};
use crate::machine::command::{Asked, Decide, Fence, Rejection};
use crate::machine::decide::attempt::not_begun;
use crate::machine::decide::guard::slot;
use crate::machine::event::{
    DriverReleased, DriverTaken, Event, IntentChanged, RunDue, StepArrived, StepCancelled,
};
use crate::machine::failure::StepError;
use crate::machine::kind::StepKind;
use crate::machine::slot::Slot;
use crate::machine::state::{Intent, RunState};
use crate::machine::step_state::StepState;
use crate::machine::wait::WaitOn;
use crate::spec::Stage;
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;

pub(super) fn take(state: &RunState, owner: OwnerId, dead: Option<OwnerId>) -> Result<Vec<Event>, Rejection> {
    match state.head.driver {
        // Death is final: who has died comes back as a new incarnation.
        _ if dead == Some(owner) => Err(Rejection::Fenced),
        Some(driver) if driver == owner => Ok(Vec::new()),
        Some(driver) if dead != Some(driver) => Err(Rejection::Driven(driver)),
        _ => Ok(vec![DriverTaken { owner, epoch: state.head.driver_epoch + 1 }.into()]),
    }
}

pub(super) fn release(state: &RunState, fence: Fence) -> Result<Vec<Event>, Rejection> {
    if state.head.driver != Some(fence.owner) || state.head.driver_epoch != fence.epoch {
        return Err(Rejection::Fenced);
    }
    Ok(vec![DriverReleased { owner: fence.owner, epoch: fence.epoch }.into()])
}

pub(super) fn decide_approval(
    state: &RunState,
    decision: &Decide,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let step = decision.step;
    let slot = slot(state, step)?;
    let StepState::Waiting { attempt, on, until, .. } = &slot.state else {
        let is_new = matches!(slot.state.kind(), StepKind::Pending | StepKind::Ready | StepKind::Parked);
        return Err(Rejection::NotOpen(match is_new && slot.attempts == 0 && slot.granted().is_none() {
            true => "has not been asked for yet",
            false => "is no longer open",
        }));
    };
    let WaitOn::Approval { digest, .. } = **on else {
        return Err(Rejection::NotOpen("was never asked for: the step waits for something else"));
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

/// A run that is put off waits for its time no longer.
pub(super) fn begin_now(state: &RunState, asked: &Asked) -> Option<Event> {
    let Asked { by, reason } = asked.clone();
    state.head.not_before.map(|_| RunDue { by: Some(by), reason }.into())
}

pub(super) fn want(state: &RunState, intent: Intent, asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let stage = state.head.stage;
    // Who cancels a run once more means what comes after the steps proper.
    let once_more = intent == Intent::Cancel && !state.is_stopped(stage);
    if state.head.intent == intent && !once_more {
        return Ok(Vec::new());
    }
    if state.head.intent == Intent::Cancel && !once_more {
        return Err(Rejection::Held("being cancelled"));
    }
    let mut events =
        vec![IntentChanged { intent, by: asked.by.clone(), reason: asked.reason.clone() }.into()];
    if intent == Intent::Cancel {
        events.extend(all_cancelled(state));
    }
    Ok(events)
}

/// What cancelling does to all steps at once.
pub(super) fn all_cancelled(state: &RunState) -> impl Iterator<Item = Event> {
    let stage = state.head.stage;
    let open = state.slots().filter(move |(_, slot)| stage != Stage::Main || slot.stage == stage);
    open.filter_map(|(step, slot)| cancelled(step, slot))
}

/// What cancelling does to a step at once. A running one is told to stop and ends by its own outcome, one that another
/// run carries out by the end of that; an unknown outcome stays unknown. What is offered is withdrawn by the driver, unless it
/// has been claimed: then it runs.
pub(super) fn cancelled(step: Unit, slot: &Slot) -> Option<Event> {
    let kind = slot.state.kind();
    let stays = kind.is_terminal()
        || matches!(
            kind,
            StepKind::Offered | StepKind::Running | StepKind::OutcomeUnknown | StepKind::Expanded
        );
    let is_delegated = matches!(&slot.state, StepState::Waiting { on, .. } if on.child().is_some());
    (!stays && !is_delegated).then(|| StepCancelled { step, attempt: slot.attempts }.into())
}
