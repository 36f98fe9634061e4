//! What is asked.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{OwnerId, RunId, StepIx, Unit};
use crate::port::plugin::Stream;
use crate::port::store::Serves;
use crate::time::Timestamp;

/// Asks for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsAfter {
    /// The run.
    pub run: RunId,
    /// Events with a larger number than this.
    pub after: u64,
    /// At most this many.
    pub limit: usize,
}

/// An owner to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOwner {
    /// The incarnation.
    pub id: OwnerId,
    /// How long it lives without renewal.
    pub ttl: Duration,
    /// Host and process, for people: `build-7 pid 4711`.
    pub label: String,
    /// Which offers it claims.
    pub serves: Serves,
    /// Whether it comes from outside, as who claims a task: it outlives the process that makes it known, and its time alone
    /// shows its death.
    pub outside: bool,
}

/// An owner as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRow {
    /// The incarnation.
    pub id: OwnerId,
    /// Host and process, for people.
    pub label: String,
    /// Which offers it claims.
    pub serves: Serves,
    /// When it will be dead without renewal, by the store's clock.
    pub deadline: Timestamp,
    /// Whether it is dead; final.
    pub dead: bool,
}

/// The answer to a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// Alive until then, by the store's clock.
    Alive(Timestamp),
    /// Dead, for ever.
    Dead,
}

/// Asks for runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunQuery {
    /// Only of this project.
    pub project: Option<String>,
    /// Only in these statuses; empty: any.
    pub statuses: Vec<String>,
    /// Only of this workflow.
    pub workflow: Option<String>,
    /// Only runs that have not ended.
    pub open: bool,
    /// Only runs that carry out no step of another.
    pub top: bool,
    /// Only runs that carry out steps of this one.
    pub parent: Option<RunId>,
    /// Go on after this run (the last of the page before).
    pub after: Option<RunId>,
    /// At most this many; 0 means 50.
    pub limit: usize,
}

/// Asks for approvals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApprovalQuery {
    /// Only of this project.
    pub project: Option<String>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only those still open.
    pub open: bool,
    /// At most this many; 0 means 50.
    pub limit: usize,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The step.
    pub step: StepIx,
    /// The item, if the step runs once for each of many.
    pub item: Option<u32>,
    /// The attempt.
    pub attempt: u32,
    /// Where it came from.
    pub stream: Stream,
    /// When.
    pub at: Timestamp,
    /// The line, without its line end and without NUL.
    pub text: Arc<str>,
}

/// A line of output with its number in the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedLine {
    /// 1, 2, 3 …
    pub number: u64,
    /// The line.
    pub line: LogLine,
}

/// Asks for lines of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// The run.
    pub run: RunId,
    /// Only of this step with all its items, or of this item.
    pub step: Option<Unit>,
    /// Lines with a larger number than this.
    pub after: u64,
    /// The last lines instead of the first.
    pub tail: bool,
    /// At most this many.
    pub limit: usize,
}
