//! Attempts that others may execute: how they are offered, and what is claimed of that or taken back. A claim is a row of the
//! store, made without the log: what the log says of it comes later, and only where it matters.

use crate::id::{OwnerId, Unit};
use crate::machine::command::{Begin, Fence, Rejection};
use crate::machine::decide::attempt::{request_of, to_go_on};
use crate::machine::decide::end::not_again;
use crate::machine::decide::guard::{proceeding, slot};
use crate::machine::event::{Event, StepClaimed, StepOffered, StepWithdrawn};
use crate::machine::slot::Slot;
use crate::machine::state::RunState;
use crate::machine::step_state::StepState;
use crate::spec::Placement;
use crate::time::Timestamp;

pub(super) fn offered(state: &RunState, slot: &Slot, step: Unit, begin: &Begin, offer: &Placement) -> Event {
    StepOffered {
        step,
        attempt: slot.attempts + 1,
        epoch: slot.epoch + 1,
        effect: begin.effect,
        request: request_of(slot, begin),
        decision: Some(begin.decision),
        queue: offer.queue.clone(),
        labels: offer.labels.clone(),
        holds: begin.holds.clone(),
        task: state.spec(step).is_task(),
    }
    .into()
}

/// The attempt that has got what it waited for is offered anew: whoever claims it goes on with it.
pub(super) fn offered_again(
    state: &RunState,
    step: Unit,
    owner: OwnerId,
    offer: &Placement,
) -> Result<Vec<Event>, Rejection> {
    let slot = to_go_on(state, step, owner)?;
    let (Some(effect), Some(request)) = (slot.effect, slot.request.clone()) else {
        return Err(Rejection::WrongState { state: "without a request", wanted: "waiting to go on" });
    };
    let (attempt, epoch) = (slot.attempts, slot.epoch + 1);
    let Placement { queue, labels } = offer.clone();
    let (holds, task) = (slot.holds().clone(), state.spec(step).is_task());
    let decision = None;
    Ok(vec![
        StepOffered { step, attempt, epoch, effect, request, decision, queue, labels, holds, task }.into(),
    ])
}

/// A claim that the store has told of. Told twice, it is so already; of a right that is over, it changes nothing.
pub(super) fn claimed(
    state: &RunState,
    step: Unit,
    attempt: u32,
    fence: Fence,
    at: Timestamp,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, step)?;
    match &slot.state {
        StepState::Offered { attempt: offered, epoch, task: false, .. }
            if (*offered, *epoch) == (attempt, fence.epoch) =>
        {
            let Fence { epoch, owner } = fence;
            // The store's clock may be a little before the engine's, or after it.
            let claimed_at = at.max(slot.began_at.unwrap_or(at)).min(now);
            Ok(vec![StepClaimed { step, attempt, epoch, owner, claimed_at }.into()])
        }
        StepState::Running { attempt: current, fence: held, remote: true, .. }
            if (*current, *held) == (attempt, fence) =>
        {
            Ok(Vec::new())
        }
        _ => Err(Rejection::Fenced),
    }
}

/// A task is claimed by whoever comes for it: while nothing keeps it from being executed.
pub(super) fn task_claimed(
    state: &RunState,
    step: Unit,
    fence: Fence,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, step)?;
    match &slot.state {
        StepState::Offered { attempt, epoch, task: true, .. } if *epoch == fence.epoch => {
            proceeding(state, slot)?;
            let (attempt, Fence { epoch, owner }) = (*attempt, fence);
            Ok(vec![StepClaimed { step, attempt, epoch, owner, claimed_at: now }.into()])
        }
        StepState::Running { fence: held, remote: true, .. } if *held == fence => Ok(Vec::new()),
        _ => Err(Rejection::Fenced),
    }
}

/// Nobody has claimed it, which the commit asserts: nothing of it was executed. Where nothing begins any more, that ends it.
pub(super) fn withdrawn(state: &RunState, step: Unit, epoch: u64) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, step)?;
    let attempt = match &slot.state {
        StepState::Offered { attempt, epoch: offered, .. } if *offered == epoch => *attempt,
        _ => return Err(Rejection::Fenced),
    };
    let mut events = vec![StepWithdrawn { step, attempt, epoch }.into()];
    events.extend(not_again(state, step, state.is_stopped(slot.stage)));
    Ok(events)
}
