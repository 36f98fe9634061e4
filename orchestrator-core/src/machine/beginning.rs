//! How an attempt begins, here or elsewhere, and how it comes to begin again: the part of [`crate::machine::apply`] that is
//! about that.

use std::sync::Arc;

use crate::machine::Fence;
use crate::machine::apply::expect_attempt;
use crate::machine::event::{StepBegun, StepClaimed, StepContinued, StepOffered, StepParked, StepWithdrawn};
use crate::machine::slot::Slot;
use crate::machine::step_state::StepState;
use crate::machine::wait::Arrival;
use crate::spec::EffectClass;
use crate::time::Timestamp;
use crate::value::ValueRef;

pub(super) fn begin(slot: &mut Slot, begun: &StepBegun, at: Timestamp) -> Result<StepState, String> {
    enter(slot, begun.attempt, begun.effect, &begun.request, at)?;
    give(slot, begun.epoch)?;
    slot.set_holds(&begun.holds);
    let fence = Fence { epoch: begun.epoch, owner: begun.owner };
    Ok(StepState::Running { attempt: begun.attempt, fence, remote: false, arrival: None })
}

/// It waits for one of the things that it is to hold, to begin or to go on; it may come to wait for another.
pub(super) fn park(slot: &Slot, parked: &StepParked) -> StepState {
    StepState::Parked { hold: parked.hold.clone(), arrival: arrived(&slot.state) }
}

pub(super) fn go_on(slot: &mut Slot, continued: &StepContinued) -> Result<StepState, String> {
    expect_attempt(slot, continued.attempt)?;
    give(slot, continued.epoch)?;
    let fence = Fence { epoch: continued.epoch, owner: continued.owner };
    let arrival = arrived(&slot.state);
    Ok(StepState::Running { attempt: continued.attempt, fence, remote: false, arrival })
}

/// As [`begin`], or, for an attempt that has got what it waited for, as [`go_on`]; by whom is not known yet.
pub(super) fn offer(slot: &mut Slot, offered: &StepOffered, at: Timestamp) -> Result<StepState, String> {
    let arrival = arrived(&slot.state);
    if arrival.is_none() {
        enter(slot, offered.attempt, offered.effect, &offered.request, at)?;
    } else {
        expect_attempt(slot, offered.attempt)?;
        if slot.effect != Some(offered.effect) || slot.request.as_ref() != Some(&offered.request) {
            return Err(format!("attempt {} goes on as another", offered.attempt));
        }
    }
    give(slot, offered.epoch)?;
    slot.set_holds(&offered.holds);
    let StepOffered { attempt, epoch, task, .. } = *offered;
    Ok(StepState::Offered { attempt, epoch, arrival, task })
}

pub(super) fn claim(slot: &mut Slot, claimed: &StepClaimed) -> Result<StepState, String> {
    let arrival = expect_offer(slot, claimed.attempt, claimed.epoch)?;
    if arrival.is_none() {
        // Until then the attempt has only waited for somebody to execute it.
        slot.began_at = Some(claimed.claimed_at);
    }
    let fence = Fence { epoch: claimed.epoch, owner: claimed.owner };
    Ok(StepState::Running { attempt: claimed.attempt, fence, remote: true, arrival })
}

pub(super) fn withdraw(slot: &Slot, withdrawn: &StepWithdrawn) -> Result<StepState, String> {
    expect_offer(slot, withdrawn.attempt, withdrawn.epoch)?;
    Ok(begin_again(slot))
}

/// The next attempt of the generation: counted, and sending what the first has sent.
fn enter(
    slot: &mut Slot,
    attempt: u32,
    effect: EffectClass,
    request: &ValueRef,
    at: Timestamp,
) -> Result<(), String> {
    if attempt != slot.attempts + 1 {
        return Err(format!("attempt {attempt} begun out of turn"));
    }
    if slot.request.as_ref().is_some_and(|first| first != request) {
        return Err(format!("attempt {attempt} sends another request than the first"));
    }
    slot.attempts = attempt;
    slot.began_at = Some(at);
    slot.effect = Some(effect);
    slot.request = Some(request.clone());
    Ok(())
}

/// A right is given out: the next.
fn give(slot: &mut Slot, epoch: u64) -> Result<(), String> {
    if epoch != slot.epoch + 1 {
        return Err(format!("epoch {epoch} given out of turn"));
    }
    slot.epoch = epoch;
    Ok(())
}

/// What the offered attempt has waited for; an error if something else is offered, or nothing.
fn expect_offer(slot: &Slot, attempt: u32, epoch: u64) -> Result<Option<Arc<Arrival>>, String> {
    match &slot.state {
        StepState::Offered { attempt: offered, epoch: right, arrival, .. }
            if (*offered, *right) == (attempt, epoch) =>
        {
            Ok(arrival.clone())
        }
        _ => Err(format!("attempt {attempt} is not offered under epoch {epoch}")),
    }
}

/// An attempt that has waited keeps what it waited for: nobody is asked twice because a process died.
pub(super) fn begin_again(slot: &Slot) -> StepState {
    match arrived(&slot.state) {
        Some(arrival) => StepState::Arrived { attempt: slot.attempts, arrival },
        None => StepState::Ready,
    }
}

/// What the step's attempt had waited for, and got.
pub(crate) fn arrived(state: &StepState) -> Option<Arc<Arrival>> {
    match state {
        StepState::Arrived { arrival, .. } => Some(arrival.clone()),
        StepState::Running { arrival, .. }
        | StepState::Parked { arrival, .. }
        | StepState::Offered { arrival, .. }
        | StepState::Quarantined { arrival, .. } => arrival.clone(),
        _ => None,
    }
}
