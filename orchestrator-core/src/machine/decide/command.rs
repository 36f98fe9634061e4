//! From a command to what decides it.

use crate::machine::command::{Command, Rejection};
use crate::machine::decide::attempt::{finish, go_on, lost, park, prepared, wake};
use crate::machine::decide::child::{child_ended, follow};
use crate::machine::decide::end::{
    compensate, conclude, is_unknown, reconcile, resolve, resolve_after_the_end,
};
use crate::machine::decide::entry::{enter, stand_in_line, turn_away};
use crate::machine::decide::offer::{claimed, offered_again, task_claimed, withdrawn};
use crate::machine::decide::qa::judge;
use crate::machine::decide::retry::{rerun, retry};
use crate::machine::decide::signal::{kept_for, signal};
use crate::machine::decide::steer::{begin_now, decide_approval, release, take, want};
use crate::machine::ending::Ending;
use crate::machine::event::Event;
use crate::machine::state::{Intent, RunState};
use crate::time::Timestamp;

/// What follows from a command. An empty list means: nothing, it was so already.
///
/// # Errors
/// [`Rejection`]: the command changes nothing, and why.
pub fn decide(state: &RunState, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let mut events = Vec::new();
    decide_into(state, command, now, &mut events)?;
    Ok(events)
}

/// As [`decide`], for a caller that already has a place for the events: they are added to `events`. The two commands
/// that every step is made of cost no list of their own.
pub(crate) fn decide_into(
    state: &RunState,
    command: &Command,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let from = events.len();
    match command {
        _ if state.head.ended.is_some() => events.extend(decide_after_the_end(state, command)?),
        Command::Prepared { step, verdict } => prepared(state, *step, verdict, events)?,
        Command::Finish { step, attempt, fence, outcome } => {
            events.push(finish(state, *step, *attempt, *fence, outcome, now)?);
            events.extend(kept_for(state, events.last()));
        }
        Command::TakeDriver { owner, dead } => events.extend(take(state, *owner, *dead)?),
        Command::ReleaseDriver(fence) => events.extend(release(state, *fence)?),
        Command::Enter { owner } => events.extend(enter(state, *owner)?),
        Command::StandInLine { owner } => events.extend(stand_in_line(state, *owner)?),
        Command::TurnAway { owner, error } => {
            // The run has ended: nothing follows.
            events.extend(turn_away(state, *owner, error)?);
            return Ok(());
        }
        Command::Park { step, owner, hold } => events.extend(park(state, *step, *owner, hold)?),
        Command::Continue { step, owner } => events.extend(go_on(state, *step, *owner)?),
        Command::Offer { step, owner, offer } => events.extend(offered_again(state, *step, *owner, offer)?),
        Command::Claimed { step, attempt, fence, at } => {
            events.extend(claimed(state, *step, *attempt, *fence, *at, now)?);
        }
        Command::Claim { step, fence } => events.extend(task_claimed(state, *step, *fence, now)?),
        Command::Withdraw { step, epoch } => events.extend(withdrawn(state, *step, *epoch)?),
        Command::Lost { owner } => events.extend(lost(state, *owner)),
        Command::Wake => wake(state, now, events),
        Command::Decide(decision) => events.extend(decide_approval(state, decision, now)?),
        Command::Judge(verdict) => events.extend(judge(state, verdict, now)?),
        Command::Signal { name, data, asked } => events.extend(signal(state, name, data, asked, now)?),
        Command::BeginNow(asked) => events.extend(begin_now(state, asked)),
        Command::Pause(asked) => events.extend(want(state, Intent::Pause, asked)?),
        Command::Resume(asked) => events.extend(want(state, Intent::Proceed, asked)?),
        Command::Cancel(asked) => events.extend(want(state, Intent::Cancel, asked)?),
        Command::Resolve { step, applied, asked } => {
            events.extend(resolve(state, *step, applied.as_ref(), asked)?);
        }
        Command::Reconcile { step, attempt, applied, asked } => {
            events.extend(reconcile(state, *step, *attempt, applied.as_ref(), asked)?);
        }
        Command::Retry { .. } | Command::Rerun { .. } => {
            return Err(Rejection::NothingToRetry("the run has not ended yet"));
        }
        Command::Compensate(_) => return Err(Rejection::NotEnded),
        Command::ChildEnded { step, child, end } => events.push(child_ended(state, *step, *child, end, now)?),
        Command::Follow { intent, parent } => events.extend(follow(state, *intent, *parent)),
        Command::Conclude(outputs) => events.extend(conclude(state, outputs)?),
    }
    if !state.fans.is_empty() && state.head.ended.is_none() {
        let ended = state.collected(&events[from..]);
        events.extend(ended);
    }
    Ok(())
}

fn decide_after_the_end(state: &RunState, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Retry { steps, asked } => retry(state, steps, asked),
        Command::Rerun { step, asked } => rerun(state, *step, asked),
        Command::Compensate(asked) => compensate(state, asked),
        Command::Resolve { step, applied, asked } if is_unknown(state, *step) => {
            Ok(resolve_after_the_end(state, *step, applied.as_ref(), asked))
        }
        _ => Err(Rejection::Ended(match state.head.ended {
            Some((Ending::Failed, _)) => "failed",
            Some((Ending::Cancelled, _)) => "been cancelled",
            _ => "completed",
        })),
    }
}
