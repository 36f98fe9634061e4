//! Signals: given to whoever waits for one, or kept for whoever will.

use std::sync::Arc;

use crate::machine::command::{Asked, Rejection};
use crate::machine::event::{Event, RunSignalled, StepArrived};
use crate::machine::signals::{MAX_SIGNALS, SIGNAL_LIMIT, SIGNAL_NAME_LIMIT};
use crate::machine::state::{Intent, RunState};
use crate::machine::wait::{Arrival, Signal, WaitOn};
use crate::time::Timestamp;
use crate::value::ValueRef;

pub(super) fn signal(
    state: &RunState,
    name: &Arc<str>,
    data: &ValueRef,
    asked: &Asked,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    if name.is_empty() || name.len() > SIGNAL_NAME_LIMIT {
        return Err(Rejection::SignalName);
    }
    if data.len() > SIGNAL_LIMIT {
        return Err(Rejection::SignalTooLong(data.len()));
    }
    let Asked { by, reason } = asked.clone();
    let taker = state.next_to_take(name, now);
    if taker.is_none() && state.head.intent == Intent::Cancel {
        // What tidies after a cancelled run may wait for one; nothing else will.
        return Err(Rejection::Held("being cancelled"));
    }
    if taker.is_none() && state.signals().len() >= MAX_SIGNALS {
        return Err(Rejection::SignalsFull);
    }
    let mut events =
        vec![RunSignalled { name: name.clone(), data: data.clone(), by: by.clone(), reason }.into()];
    if let Some((step, attempt)) = taker {
        // A waiting step would have taken any that is kept: the signal is the oldest of its name, unless those that wait
        // have waited too long already, and then an older one goes first.
        let given = Signal { name: name.clone(), data: data.clone(), by, at: now };
        let signal = state.signals().first(name).cloned().unwrap_or(given);
        events.push(StepArrived { step, attempt, arrival: Arrival::Signal(signal) }.into());
    }
    Ok(events)
}

/// What a step that begins to wait need not wait for: a signal that was kept for it.
pub(super) fn kept_for(state: &RunState, event: Option<&Event>) -> Option<Event> {
    let Some(Event::StepWaiting(waiting)) = event else { return None };
    let WaitOn::Signal { name } = &waiting.on else { return None };
    let signal = state.signals().first(name)?.clone();
    let (step, attempt) = (waiting.step, waiting.attempt);
    Some(StepArrived { step, attempt, arrival: Arrival::Signal(signal) }.into())
}
