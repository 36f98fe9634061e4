//! What must hold of every state.

use crate::id::StepIx;
use crate::machine::index::Index;
use crate::machine::{RunState, StepKind, StepState, WaitOn};
use crate::spec::EffectClass;

/// A state that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// Checks a state. Costs O(steps): for tests.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check(state: &RunState) -> Result<(), Violation> {
    let mut index = Index::default();
    for (step, slot) in state.slots() {
        index.enter(step, &slot.state);
        check_step(state, step).map_err(|what| {
            Violation(format!(
                "step `{}` ({:?}): {what}",
                state.workflow().step(step).name,
                slot.state.kind()
            ))
        })?;
    }
    if index != state.index {
        return Err(Violation("the index is not what the steps say".into()));
    }
    if state.head().ended.is_some() && !state.is_settled() {
        return Err(Violation("the run has ended with open steps".into()));
    }
    if state.head().driver.is_some() && state.head().ended.is_some() {
        return Err(Violation("an ended run is driven".into()));
    }
    if state.head().driver.is_some() && state.head().driver_epoch == 0 {
        return Err(Violation("a driver without a right".into()));
    }
    Ok(())
}

fn check_step(state: &RunState, step: StepIx) -> Result<(), String> {
    let slot = state.slot(step);
    if slot.state.is_terminal() != slot.ended_at.is_some() || (slot.attempts > 0) != slot.began_at.is_some() {
        return Err(format!("began at {:?}, ended at {:?}", slot.began_at, slot.ended_at));
    }
    let needs = &state.workflow().step(step).needs;
    let open = needs.iter().filter(|need| !state.slot(**need).state.is_terminal()).count();
    match &slot.state {
        StepState::Pending { missing } if *missing as usize != open || open == 0 => {
            return Err(format!("says {missing} needs are missing, {open} are"));
        }
        StepState::Pending { .. } | StepState::Cancelled => {}
        _ if open > 0 => return Err(format!("left `pending` while {open} of its needs are open")),
        StepState::Running { attempt, fence, .. }
            if *attempt != slot.attempts || fence.epoch != slot.epoch =>
        {
            return Err("runs under a right that is not the latest".into());
        }
        StepState::Succeeded { .. } if slot.attempts == 0 => {
            return Err("succeeded without an attempt".into());
        }
        _ => {}
    }
    match &slot.state {
        StepState::Waiting { attempt, on, until, .. } => {
            if *attempt != 0 && *attempt != slot.attempts {
                return Err("waits with an attempt that is not the latest".into());
            }
            if **on == WaitOn::Until && until.is_none() {
                return Err("waits for a moment that nobody names".into());
            }
        }
        StepState::Arrived { attempt, .. }
        | StepState::OutcomeUnknown { attempt }
        | StepState::Quarantined { attempt, .. }
            if *attempt != slot.attempts =>
        {
            return Err("stands at an attempt that is not the latest".into());
        }
        StepState::OutcomeUnknown { .. } if slot.effect != Some(EffectClass::AtMostOnce) => {
            return Err("has an unknown outcome, though a repetition does no harm".into());
        }
        _ => {}
    }
    if let Some(policy) = &state.workflow().step(step).options().retry
        && u32::from(slot.failures) + u32::from(slot.losses) > policy.max_attempts
    {
        return Err(format!("{} failures and {} losses, too many", slot.failures, slot.losses));
    }
    let begun = matches!(
        slot.state.kind(),
        StepKind::Running | StepKind::Arrived | StepKind::OutcomeUnknown | StepKind::Quarantined
    );
    if begun && (slot.attempts == 0 || slot.request.is_none() || slot.effect.is_none()) {
        return Err("was begun without a request".into());
    }
    if u64::from(slot.attempts) > slot.epoch {
        return Err(format!("{} attempts under {} rights", slot.attempts, slot.epoch));
    }
    Ok(())
}
