//! Whether what a step gave is good enough: by a person's word, or by none.

use crate::id::Unit;
use crate::machine::command::{Judge, Rejection};
use crate::machine::decide::attempt::retry_at;
use crate::machine::decide::guard::slot;
use crate::machine::event::{Event, StepFailed, StepIterated, StepJudged, StepSucceeded};
use crate::machine::failure::StepError;
use crate::machine::state::RunState;
use crate::machine::step_state::StepState;
use crate::machine::wait::WaitOn;
use crate::spec::OnExpiry;
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;

/// How a verdict that nobody gave in time came in.
const BY_TIME: &str = "timeout";

pub(super) fn judge(state: &RunState, judge: &Judge, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let slot = slot(state, judge.step)?;
    let wanted = Rejection::WrongState { state: slot.state.shown(), wanted: "needs_qa" };
    let StepState::Waiting { on, until, .. } = &slot.state else { return Err(wanted) };
    let WaitOn::Qa { digest, .. } = **on else { return Err(wanted) };
    if until.is_some_and(|until| until <= now) {
        return Err(Rejection::QaNotOpen("its time is over"));
    }
    if judge.digest.is_some_and(|seen| seen != digest) {
        return Err(Rejection::QaNotOpen("it is about another attempt: look at it again"));
    }
    let judged = StepJudged {
        step: judge.step,
        attempt: slot.attempts,
        passed: judge.passed,
        by: Some(judge.asked.by.clone()),
        via: judge.via.clone(),
        comment: judge.asked.reason.clone(),
    };
    let mut events = Vec::new();
    follow(state, judged, on, now, &mut events);
    Ok(events)
}

/// What follows when nobody has judged in time.
pub(super) fn unjudged(
    state: &RunState,
    step: Unit,
    on: &WaitOn,
    then: OnExpiry,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    let attempt = state.slot(step).attempts;
    if then == OnExpiry::Fail {
        let error = StepError::new(ErrorClass::Timeout, "nobody judged it in time");
        events.push(StepFailed { step, attempt, error, retry_at: None }.into());
        return;
    }
    let passed = then == OnExpiry::Approve;
    let comment = Some("nobody judged it in time".into());
    let judged = StepJudged { step, attempt, passed, by: None, via: BY_TIME.into(), comment };
    follow(state, judged, on, now, events);
}

/// A verdict, and what it does to the step.
fn follow(state: &RunState, judged: StepJudged, on: &WaitOn, now: Timestamp, events: &mut Vec<Event>) {
    let StepJudged { step, attempt, passed, .. } = judged;
    let error = failure(&judged);
    events.push(judged.into());
    events.push(match on {
        WaitOn::Qa { output, .. } if passed && state.spec(step).options().repeat.is_some() => {
            StepIterated { step, attempt, output: output.clone() }.into()
        }
        WaitOn::Qa { output, .. } if passed => StepSucceeded { step, attempt, output: output.clone() }.into(),
        _ => {
            let retry_at = retry_at(state, step, state.slot(step), error.class, None, now);
            StepFailed { step, attempt, error, retry_at }.into()
        }
    });
}

fn failure(judged: &StepJudged) -> StepError {
    let by = judged.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let why = judged.comment.as_ref().map_or_else(String::new, |comment| format!(": {comment}"));
    StepError::new(ErrorClass::Qa, format!("not passed{by}{why}"))
}
