//! What is read: rows as they are listed.

use std::sync::Arc;

use serde::Serialize;

use super::{ClaimRow, NewRun};
use crate::id::{OwnerId, RunId, StepIx};
use crate::machine::{Intent, Recorded};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// What a store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreInfo {
    /// `memory`, `sqlite`, `postgres`.
    pub kind: &'static str,
    /// Where it is, without passwords.
    pub location: String,
    /// The version of the database library or server.
    pub version: String,
    /// Whether an acknowledged commit survives a power loss.
    pub durable: bool,
    /// How many batches it writes at the same time, at least 1: an engine has as many in flight, of different runs.
    pub lanes: usize,
}

/// A run as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// What was given at its creation. `text` is empty in a row.
    pub new: NewRun,
    /// The status shown to users.
    pub status: Arc<str>,
    /// What people want of it.
    pub intent: Intent,
    /// Number of its last event.
    pub seq: u64,
    /// 1, and one more with every reopening.
    pub generation: u32,
    /// Who drives it.
    pub driver: Option<OwnerId>,
    /// The right last given to a driver.
    pub driver_epoch: u64,
    /// When to look at it again if nobody drives it.
    pub due_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its outputs.
    pub outputs: Option<ValueRef>,
    /// What went wrong, for people.
    pub error: Option<Arc<str>>,
    /// How many of its steps have ended.
    pub done: u32,
}

/// A step as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    /// The step.
    pub step: StepIx,
    /// The item, if the step runs once for each of many and this is one of them.
    pub item: Option<u32>,
    /// The step's name.
    pub name: Arc<str>,
    /// The status shown to users.
    pub status: &'static str,
    /// Attempts begun.
    pub attempts: u32,
    /// The right last given out for it.
    pub epoch: u64,
    /// Who executes it.
    pub owner: Option<OwnerId>,
    /// What a repetition would do, once an attempt has begun.
    pub effect: Option<&'static str>,
    /// When something falls due for it: the end of a backoff or a wait.
    pub due_at: Option<Timestamp>,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it gave.
    pub output: Option<ValueRef>,
    /// What went wrong, for people.
    pub error: Option<Arc<str>>,
}

impl StepRow {
    /// Says by whom it is claimed: its driver may not know that yet, or write the row again. A claim of a right that is not the
    /// row's, or of what has an owner, says nothing.
    pub fn lay_over(&mut self, claim: &ClaimRow) {
        if claim.ticket.epoch == self.epoch && self.owner.is_none() {
            self.status = "claimed";
            self.owner = Some(claim.owner);
            self.started_at = Some(claim.at);
        }
    }
}

/// An approval as it is listed. Its identity is (run, step, item, attempt).
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRow {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepIx,
    /// The item, if the step runs once for each of many.
    pub item: Option<u32>,
    /// The step's name.
    pub name: Arc<str>,
    /// The attempt that waits; 0 if the policy asks before one is begun.
    pub attempt: u32,
    /// Digest of what is decided on.
    pub digest: Digest,
    /// The question.
    pub message: Arc<str>,
    /// What the decider is shown.
    pub show: Option<ValueRef>,
    /// `open`, `approved`, `rejected`, `expired` or `void`.
    pub status: &'static str,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When asking ends.
    pub expires_at: Option<Timestamp>,
    /// When it was settled.
    pub decided_at: Option<Timestamp>,
    /// Who decided.
    pub by: Option<Arc<str>>,
    /// Through which channel.
    pub via: Option<Arc<str>>,
    /// With what words.
    pub comment: Option<Arc<str>>,
}

impl ApprovalRow {
    /// What the step is called where one is named: `review`, `review[3]`.
    #[must_use]
    pub fn unit_name(&self) -> String {
        unit_name(&self.name, self.item)
    }
}

/// What a step or an item of it is called: `review`, `review[3]`.
#[must_use]
pub fn unit_name(step: &str, item: Option<u32>) -> String {
    item.map_or_else(|| step.to_owned(), |item| format!("{step}[{item}]"))
}

/// A run with its log.
#[derive(Debug, Clone)]
pub struct RunLog {
    /// Its row.
    pub row: RunRow,
    /// The text of its revision.
    pub text: Arc<str>,
    /// Its events from the first.
    pub events: Vec<Recorded>,
}
