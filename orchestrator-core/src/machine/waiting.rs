//! How a step begins to wait, and what ends that: the part of [`crate::machine::apply`] that is about waiting.

use std::sync::Arc;

use crate::machine::apply::expect_attempt;
use crate::machine::event::{StepArrived, StepJudged, StepWaiting};
use crate::machine::slot::Slot;
use crate::machine::step_state::StepState;
use crate::machine::wait::{Arrival, WaitOn};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// What a step gives that waits for a judgement is what was judged.
pub(super) fn expect_judged(slot: &Slot, output: &ValueRef) -> Result<(), String> {
    match &slot.state {
        StepState::Waiting { on, .. } => match &**on {
            WaitOn::Qa { output: judged, .. } if judged == output => Ok(()),
            // What carries it out has been judged there.
            WaitOn::Child { .. } => Ok(()),
            _ => Err("gives what was not judged".into()),
        },
        _ => Ok(()),
    }
}

pub(super) fn judge(slot: &mut Slot, judged: &StepJudged) -> Result<StepState, String> {
    expect_attempt(slot, judged.attempt)?;
    match &slot.state {
        StepState::Waiting { on, .. } if matches!(**on, WaitOn::Qa { .. }) => {}
        _ => return Err("is judged without need".into()),
    }
    if !judged.passed {
        let feedback = judged.comment.clone().unwrap_or_else(|| "it was not passed".into());
        slot.extra().feedback = Some(feedback);
    }
    Ok(slot.state.clone())
}

pub(super) fn wait(slot: &mut Slot, waiting: &StepWaiting, since: Timestamp) -> Result<StepState, String> {
    match slot.state {
        StepState::Running { attempt, .. } if attempt == waiting.attempt => {}
        // The policy asks before anything begins; what it has asked earlier is void.
        StepState::Ready | StepState::Parked { arrival: None, .. } if waiting.attempt == 0 => {
            slot.forget_grant();
        }
        StepState::Waiting { attempt, ref on, .. }
            if attempt == waiting.attempt && waiting.on.is_overdue_of(on) => {}
        _ => return Err(format!("attempt {} waits out of turn", waiting.attempt)),
    }
    if waiting.on == WaitOn::Until && waiting.until.is_none() {
        return Err("waits for a moment that nobody names".into());
    }
    if let Some(child) = waiting.on.child() {
        slot.extra().child = Some(child);
    }
    Ok(StepState::Waiting {
        attempt: waiting.attempt,
        on: Arc::new(waiting.on.clone()),
        since,
        until: waiting.until,
    })
}

pub(super) fn arrive(slot: &mut Slot, arrived: &StepArrived) -> Result<StepState, String> {
    let on = match &slot.state {
        StepState::Waiting { attempt, on, .. } if *attempt == arrived.attempt => on.clone(),
        _ => return Err(format!("attempt {} does not wait", arrived.attempt)),
    };
    let is_signal =
        |name: &Arc<str>| matches!(&arrived.arrival, Arrival::Signal(signal) if signal.name == *name);
    match &*on {
        WaitOn::Signal { name } if !is_signal(name) => {
            return Err(format!("goes on without the signal `{name}`"));
        }
        WaitOn::Qa { .. } => return Err("goes on, though it only needs a judgement".into()),
        WaitOn::Approval { .. } | WaitOn::Until if matches!(arrived.arrival, Arrival::Signal(_)) => {
            return Err("goes on with a signal that it does not wait for".into());
        }
        _ => {}
    }
    if arrived.attempt > 0 {
        let arrival = Arc::new(arrived.arrival.clone());
        return Ok(StepState::Arrived { attempt: arrived.attempt, arrival });
    }
    // The policy had asked before anything began: a grant holds for exactly what was shown.
    match (&*on, &arrived.arrival) {
        (WaitOn::Approval { digest, .. }, Arrival::Decision { approved, .. }) => {
            slot.extra().granted = approved.then_some(*digest);
            Ok(StepState::Ready)
        }
        _ => Err("only a person answers the policy's question".into()),
    }
}
