//! The stable JSON shapes of queues. Keys may be added.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::engine::PausedQueue;
use orchestrator_core::id::OwnerId;
use orchestrator_core::time::Timestamp;
use serde::Serialize;

/// Whether a queue is paused.
#[derive(Debug, Serialize)]
pub(crate) struct PauseItem<'a> {
    queue: &'a str,
    /// `paused` or `open`.
    status: &'static str,
    /// Since when it is paused.
    since: Option<Timestamp>,
    /// Who has paused it.
    by: Option<&'a str>,
}

impl<'a> PauseItem<'a> {
    pub(crate) fn open(queue: &'a str) -> Self {
        Self { queue, status: "open", since: None, by: None }
    }

    pub(crate) fn paused(paused: &'a PausedQueue) -> Self {
        Self { queue: &paused.queue, status: "paused", since: Some(paused.since), by: Some(&paused.by) }
    }
}

/// A queue in a list.
#[derive(Debug, Serialize)]
pub(crate) struct QueueItem {
    #[serde(flatten)]
    pub(crate) pause: Pause,
    /// Who serves it, and is alive.
    pub(crate) workers: Vec<Server>,
    /// How many steps they execute at once, for all their queues; of those that say it.
    pub(crate) slots: u64,
    /// How many steps were offered to them, and are claimed by none.
    pub(crate) offered: u64,
    /// How many steps wait that nobody is offered: it is paused, or nobody serves it.
    pub(crate) held: u64,
    /// How many steps a worker executes for another process.
    pub(crate) claimed: u64,
    /// Since when the one that was offered first waits.
    pub(crate) oldest_at: Option<Timestamp>,
    /// How long half of those that are claimed had waited, in milliseconds.
    pub(crate) claim_wait_ms: Option<u64>,
    /// How many tickets of it are there to be heard; `None` without a bell that answers.
    pub(crate) rung: Option<u64>,
    /// How many tickets of it nobody could use; `None` without a bell that answers.
    pub(crate) dead: Option<u64>,
}

/// Whether a queue of a list is paused: as [`PauseItem`], with words of its own.
#[derive(Debug, Serialize)]
pub(crate) struct Pause {
    pub(crate) queue: Arc<str>,
    pub(crate) status: &'static str,
    pub(crate) since: Option<Timestamp>,
    pub(crate) by: Option<Arc<str>>,
}

/// Somebody who serves a queue.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    pub(crate) owner: OwnerId,
    pub(crate) label: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// How many steps it executes at once, if it says so.
    pub(crate) slots: Option<u64>,
}
