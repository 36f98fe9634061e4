//! An event in the words for people.

use orchestrator_core::machine::{
    AfterLoss, Arrival, Ending, Event, Intent, Recorded, SkipReason, StageBegun, StepError, StepJudged,
    StepWaiting, WaitOn,
};
use orchestrator_core::spec::{OnExpiry, Stage};
use orchestrator_core::time::Timestamp;

use crate::names::Names;
use crate::output::style::{Style, Tint};
use crate::output::{block, escape, moment};
use crate::workflow::counted;

/// What an event means for the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The step is being executed from here on.
    Begins,
    /// The step is not being executed any more, and has failed for good.
    Fails,
    /// The step is not being executed any more.
    Rests,
    /// Nothing about execution.
    Other,
}

/// What an event means for the view.
pub(super) const fn turn(event: &Event) -> Turn {
    match event {
        Event::StepBegun(_) | Event::StepContinued(_) | Event::StepClaimed(_) => Turn::Begins,
        Event::StepFailed(event) if event.retry_at.is_none() => Turn::Fails,
        Event::StepSucceeded(_)
        | Event::StepFailed(_)
        | Event::StepLost(_)
        | Event::StepOutcomeUnknown(_)
        | Event::StepInterrupted(_)
        | Event::StepWithdrawn(_)
        | Event::StepWaiting(_)
        | Event::StepIterated(_)
        | Event::StepSkipped(_)
        | Event::StepCancelled(_) => Turn::Rests,
        _ => Turn::Other,
    }
}

/// Since when what an event tells of is executed: of a claim the log hears late.
pub(crate) fn began(recorded: &Recorded) -> Timestamp {
    match &recorded.event {
        Event::StepClaimed(claimed) => claimed.claimed_at,
        _ => recorded.at,
    }
}

/// Everything that is needed to speak of events.
#[derive(Debug)]
pub(crate) struct Teller<'a> {
    pub(crate) names: &'a Names,
    pub(crate) style: &'a Style,
}

impl Teller<'_> {
    /// The line for an event; `None` if there is nothing to say. `began` is when the step's attempt began.
    pub(crate) fn line(&self, event: &Event, at: Timestamp, began: Option<Timestamp>) -> Option<String> {
        let name =
            event.unit().map(|unit| escape::line(&self.names.of(unit)).into_owned()).unwrap_or_default();
        let took = began.map_or_else(String::new, |began| format!(" {}", moment::duration(at.since(began))));
        let took = self.style.tint(Tint::Dim, &took).to_string();
        let (mark, text) = match event {
            Event::StepSucceeded(event) => ("completed", format!("{name}{took}{}", nth(event.attempt))),
            Event::StepFailed(event) => match event.retry_at {
                Some(due) => {
                    let wait = moment::duration(due.since(at));
                    let next = event.attempt + 1;
                    ("warn", format!("{name}{took} {}; attempt {next} in {wait}", self.error(&event.error)))
                }
                None => {
                    ("failed", format!("{name}{took}{} {}", nth(event.attempt), self.error(&event.error)))
                }
            },
            Event::StepLost(event) => ("warn", format!("{name} {}", after_loss(event.then))),
            Event::StepOutcomeUnknown(event) => (
                "outcome_unknown",
                format!("{name}{took} has an unknown outcome: {}", self.error(&event.error)),
            ),
            Event::StepInterrupted(_) => {
                ("cancelled", format!("{name}{took} interrupted; it begins again on resume"))
            }
            Event::StepOffered(event) => {
                ("begun", format!("{name} offered to {}{}", event.queue, nth(event.attempt)))
            }
            Event::StepParked(event) => {
                ("waiting", format!("{name} waits for {}", escape::line(&event.hold.spot().to_string())))
            }
            Event::StepWithdrawn(_) => ("cancelled", format!("{name} taken back; nobody had begun it")),
            Event::StepWaiting(event) => waits(&name, event, at),
            Event::StepJudged(event) => judged(&name, event),
            Event::StepArrived(event) => arrived(&name, &event.arrival)?,
            Event::StepExpanded(event) => {
                ("begun", format!("{name} {}", counted(event.count as usize, "item")))
            }
            Event::StepRepeated(event) => {
                let wait = event.until.map(|until| format!(" in {}", moment::duration(until.since(at))));
                ("begun", format!("{name} runs again{}", wait.unwrap_or_default()))
            }
            Event::StepCollected(event) => match (event.status, &event.error) {
                (Ending::Completed, _) => ("completed", name),
                (Ending::Failed, Some(error)) => ("failed", format!("{name} {}", self.error(error))),
                _ => ("cancelled", format!("{name} cancelled")),
            },
            Event::StepOverdue(_) => ("warn", format!("{name} has missed its deadline; it is told to stop")),
            Event::StepSkipped(event) => {
                // A compensation needs no step: it waits for those of what was done later.
                let withheld = event.reason == SkipReason::Need && name.contains(".compensate");
                let why =
                    if withheld { "what was done after it is not undone" } else { why_skipped(event.reason) };
                ("skipped", format!("{name} skipped: {why}"))
            }
            Event::StepCancelled(_) => ("cancelled", format!("{name}{took} cancelled")),
            Event::StepResolved(event) => {
                let how = if event.output.is_some() { "applied" } else { "not applied" };
                ("warn", format!("{name} resolved as {how} by {}", escape::line(&event.by)))
            }
            other => of_run(other, at)?,
        };
        Some(format!("{} {text}", self.style.mark(mark)))
    }

    /// The line for a step that begins, where lines stay as they are.
    pub(crate) fn begins(&self, event: &Event) -> Option<String> {
        let Event::StepBegun(begun) = event else { return None };
        let name = escape::line(&self.names.of(begun.step)).into_owned();
        Some(format!("{} {name}{}", self.style.mark("begun"), nth(begun.attempt)))
    }

    fn error(&self, error: &StepError) -> String {
        self.style.tint(Tint::Bad, &block::first_line(&error.message)).to_string()
    }
}

/// What an event says that is about the run itself.
fn of_run(event: &Event, at: Timestamp) -> Option<(&'static str, String)> {
    Some(match event {
        Event::RunCreated(event) => {
            let due = event.not_before?;
            ("waiting", format!("the run is to begin {} ({due})", moment::relative(due, at)))
        }
        Event::RunParked(event) => {
            ("waiting", format!("the run waits for {}", escape::line(&event.hold.spot().to_string())))
        }
        Event::RunDue(event) => match &event.by {
            Some(by) => ("begun", format!("{} has the run begin before its time", escape::line(by))),
            None => ("begun", "the run's time to begin has come".to_owned()),
        },
        Event::IntentChanged(event) => {
            let word = match event.intent {
                Intent::Pause => "paused",
                Intent::Cancel => "cancelled",
                Intent::Proceed => "resumed",
            };
            let reason = event
                .reason
                .as_deref()
                .map_or_else(String::new, |reason| format!(": {}", escape::line(reason)));
            ("warn", format!("the run was {word} by {}{reason}", escape::line(&event.by)))
        }
        Event::RunOverdue(event) => ("failed", block::first_line(&event.error.message)),
        Event::StageBegun(event) => ("begun", stage_begins(event)),
        Event::RunSignalled(event) => {
            let (name, by) = (escape::line(&event.name), escape::line(&event.by));
            ("begun", format!("the signal `{name}` was given by {by}"))
        }
        Event::RunReopened(event) => ("warn", format!("the run was reopened by {}", escape::line(&event.by))),
        _ => return None,
    })
}

/// What comes after the steps proper begins.
fn stage_begins(event: &StageBegun) -> String {
    match event.stage {
        Stage::Compensation => format!("undoing {}, the last first", counted(event.steps.len(), "step")),
        stage => stage.key().to_owned(),
    }
}

/// Attempts are worth mentioning from the second on.
fn nth(attempt: u32) -> String {
    if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() }
}

const fn after_loss(then: AfterLoss) -> &'static str {
    match then {
        AfterLoss::Again => "was lost with the process that executed it; it begins again",
        AfterLoss::Quarantine => {
            "has ended the process that executed it too often; it is not begun again unasked"
        }
        AfterLoss::Fail => "was lost with the process that executed it, for the last time",
        AfterLoss::Cancel => "was lost with the process that executed it; it is cancelled",
        _ => "was lost with the process that executed it",
    }
}

const fn why_skipped(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Condition => "its `if` is false",
        SkipReason::Need => "a step it needs has not completed",
        SkipReason::NotNeeded => "nothing needs it",
        _ => "it will not begin",
    }
}

fn judged(name: &str, event: &StepJudged) -> (&'static str, String) {
    let (mark, word) = if event.passed { ("approved", "passed") } else { ("rejected", "not passed") };
    let by = event.by.as_deref().map(|by| format!(" by {}", escape::line(by)));
    let why = event.comment.as_deref().map(|comment| format!(": {}", block::first_line(comment)));
    (mark, format!("{name} {word}{}{}", by.unwrap_or_default(), why.unwrap_or_default()))
}

fn waits(name: &str, event: &StepWaiting, at: Timestamp) -> (&'static str, String) {
    match &event.on {
        WaitOn::Approval { message, .. } => {
            ("waiting", format!("{name} waits for approval: {}", block::first_line(message)))
        }
        WaitOn::Qa { message, .. } => {
            ("needs_qa", format!("{name} needs QA: {}", block::first_line(message)))
        }
        WaitOn::Signal { name: signal } => {
            ("waiting", format!("{name} waits for the signal `{}`", escape::line(signal)))
        }
        WaitOn::Child { late: true, .. } => {
            ("warn", format!("{name} took too long; what carries it out is being stopped"))
        }
        WaitOn::Child { run, .. } => ("begun", format!("{name} runs as {run}")),
        _ => {
            let until = event
                .until
                .map_or_else(String::new, |until| format!(" {}", moment::duration(until.since(at))));
            ("waiting", format!("{name} waits{until}"))
        }
    }
}

fn arrived(name: &str, arrival: &Arrival) -> Option<(&'static str, String)> {
    match arrival {
        Arrival::Decision { approved, by, comment, .. } => {
            let word = if *approved { "approved" } else { "rejected" };
            let comment = comment
                .as_deref()
                .map_or_else(String::new, |comment| format!(": {}", block::first_line(comment)));
            Some((word, format!("{name} {word} by {}{comment}", escape::line(by))))
        }
        Arrival::Expired { then } => {
            let what = match then {
                OnExpiry::Reject => "rejected: nobody decided in time",
                OnExpiry::Approve => "approved: nobody decided in time",
                _ => "not decided in time",
            };
            Some(("warn", format!("{name} {what}")))
        }
        Arrival::Signal(signal) => {
            Some(("begun", format!("{name} goes on with the signal `{}`", escape::line(&signal.name))))
        }
        _ => None,
    }
}
