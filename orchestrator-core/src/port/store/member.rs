//! What is written: members of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Admission, ApprovalRow, ClaimRow, LogLine, Remote, StepRow};
use crate::id::{OwnerId, RunId, TransitionId, Unit};
use crate::machine::{Event, Fence, Intent, Room, Spot};
use crate::port::policy::Decision;
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef};

/// The most members in one batch.
pub const MAX_BATCH_MEMBERS: usize = 256;

/// The most bytes of events and values in one batch of more than one member (1 MiB); a bigger member goes alone.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// Why the second of two members of one run in one batch is [`Commit::Invalid`].
pub const SECOND_MEMBER: &str = "a second member of the same run in one batch";

/// How many items a page has where the query says 0.
pub const DEFAULT_PAGE: usize = 50;

/// One run's share of a batch: fenced, and written whole or not at all.
#[derive(Debug, Clone)]
pub struct Member {
    /// The run.
    pub run: RunId,
    /// The run's sequence number that this member was decided on; 0 for a new run.
    pub expected: u64,
    /// The same however often this member is submitted.
    pub transition: TransitionId,
    /// The driver in whose name it speaks; `None` for an outsider, whom the sequence number alone fences.
    pub driver: Option<Fence>,
    /// Owners whose death it asserts.
    pub dead: Vec<OwnerId>,
    /// The run to create; `Some` exactly if `expected` is 0.
    pub create: Option<Box<NewRun>>,
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// What happened, at least one, unless it only takes results in that say nothing new; numbered from `expected + 1`.
    pub events: Vec<Event>,
    /// The run's row after it.
    pub summary: Summary,
    /// The rows of the steps it changes.
    pub steps: Vec<StepRow>,
    /// Values its events refer to.
    pub values: Vec<StoredValue>,
    /// Policy decisions it applies.
    pub decisions: Vec<Decision>,
    /// Approvals it opens or settles.
    pub approvals: Vec<ApprovalRow>,
    /// Lines of output that must not be lost once it is applied.
    pub logs: Vec<LogLine>,
    /// Runs that carry out steps of this one: created with it, or not at all.
    pub children: Vec<Member>,
    /// What it says of attempts that others execute.
    pub remote: Option<Box<Remote>>,
    /// What it does to places under keys.
    pub admission: Option<Box<Admission>>,
}

impl Member {
    /// About how many bytes it makes a store write: for keeping batches small.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        /// A row with its keys, without the texts counted below.
        const ROW: usize = 160;
        let of_offers = self.remote.as_ref().map_or(0, |remote| {
            let Remote { offers, withdrawn, stops, claims, taken } = &**remote;
            let told: usize =
                offers.iter().filter_map(|offer| offer.task.as_ref()).map(|task| task.len() / ROW).sum();
            offers.len() + withdrawn.len() + stops.len() + claims.len() + taken.len() + told
        });
        let rows = self.events.len()
            + of_offers
            + self.admission.as_ref().map_or(0, |admission| admission.rows())
            + self.steps.len()
            + self.decisions.len()
            + self.approvals.len()
            + self.logs.len();
        let values: usize = self.values.iter().map(|value| value.body.len()).sum();
        let lines: usize = self.logs.iter().map(|line| line.text.len()).sum();
        let text = self.create.as_ref().map_or(0, |new| new.text.len());
        let children: usize = self.children.iter().map(Self::size_hint).sum();
        rows * ROW + values + lines + text + children
    }

    /// Why no store can keep it, if none can: the answer is then [`Commit::Invalid`] with these words.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let key = self.create.as_ref().and_then(|new| new.key.as_ref());
        if self.events.is_empty() && !self.only_takes_in() {
            Some("a member without events")
        } else if self.create.is_some() != (self.expected == 0) {
            Some("a run is created exactly by the member that expects sequence number 0")
        } else if self.create.is_some() && self.driver.is_some() {
            Some("a run that does not exist yet has no driver")
        } else if key.is_some_and(|key| key.key.is_empty() || key.key.len() > 255) {
            Some("an idempotency key has 1 to 255 bytes")
        } else if self.decisions.iter().any(|row| row.run != self.run)
            || self.approvals.iter().any(|row| row.run != self.run)
        {
            Some("a decision or an approval of another run")
        } else if let Some(fault) = self.remote.as_ref().and_then(|remote| remote.fault(self.run)) {
            Some(fault)
        } else if let Some(fault) = self.admission.as_ref().and_then(|admission| admission.fault()) {
            Some(fault)
        } else if self.names_a_run_twice() {
            Some("two members of one run: a child is neither its parent nor one of its siblings")
        } else {
            self.children.iter().find_map(|child| self.fault_of_child(child))
        }
    }

    fn only_takes_in(&self) -> bool {
        self.expected > 0 && self.remote.as_ref().is_some_and(|remote| !remote.taken.is_empty())
    }

    fn names_a_run_twice(&self) -> bool {
        let mut children: Vec<RunId> = self.children.iter().map(|child| child.run).collect();
        children.sort_unstable();
        children.contains(&self.run) || children.windows(2).any(|pair| pair[0] == pair[1])
    }

    fn fault_of_child(&self, child: &Self) -> Option<&'static str> {
        let parent = child.create.as_ref().and_then(|new| new.parent.as_ref());
        if parent.is_none_or(|parent| parent.run != self.run) {
            Some("a child is created as a child of the run whose member creates it")
        } else if !child.children.is_empty() || !child.dead.is_empty() || child.admission.is_some() {
            Some("a child that is being created has no children, asserts no death and takes no places")
        } else if child.create.as_ref().is_some_and(|new| new.key.is_some()) {
            Some("a child has no idempotency key")
        } else {
            child.fault()
        }
    }

    /// The member itself, and those that create its children.
    pub fn with_children(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.children)
    }
}

/// What became of a member.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Commit {
    /// Written.
    Applied,
    /// The run is at another sequence number, or exists already.
    Conflict,
    /// Another driver has taken the run, an owner whose death it asserts is not dead, or a task that it claims is not there or
    /// for an owner that is not alive.
    Fenced,
    /// Offers that it takes back or claims are claimed, by these; nothing was written. Looked at after the fences.
    Claimed(Vec<ClaimRow>),
    /// Of these places and paths fewer are free than it takes; so many times it could take them. Nothing was written. Looked at
    /// after the fences and the offers.
    Full(Vec<(Spot, Room)>),
    /// The idempotency key has started this run before, with the same (`same: true`) or another content.
    Duplicate {
        /// The run it started.
        run: RunId,
        /// Whether the content digest is the same.
        same: bool,
    },
    /// Not now: try the same member again.
    Busy,
    /// Nobody can tell whether it was written: read event `expected + 1`.
    Ambiguous,
    /// The store cannot be reached; nothing was written.
    Unavailable(String),
    /// The store cannot keep this member; it is at fault, not the store.
    Invalid(String),
}

/// A run to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The tenant.
    pub project: Arc<str>,
    /// Name of the workflow.
    pub workflow: Arc<str>,
    /// The revision it is pinned to.
    pub revision: Digest,
    /// The revision's text; kept once per digest.
    pub text: Arc<str>,
    /// The values of its inputs.
    pub inputs: ValueRef,
    /// Labels, for finding it.
    pub labels: BTreeMap<String, String>,
    /// Larger is sooner; 0 is ordinary.
    pub priority: i32,
    /// Who started it.
    pub by: Arc<str>,
    /// How many steps it has.
    pub steps: u32,
    /// Starts at most one run per key and project.
    pub key: Option<IdempotencyKey>,
    /// The step of another run that this one carries out, if it does.
    pub parent: Option<Parent>,
}

/// The step that a run carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The run of the step.
    pub run: RunId,
    /// The step, or the item of it.
    pub unit: Unit,
    /// The first of the runs above: the one that somebody has started. It keeps the texts of all below, and they stay as
    /// long as it does.
    pub root: RunId,
}

/// Makes a start repeatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's key, 1 to 255 bytes.
    pub key: Arc<str>,
    /// Digest of what is started: the same key with other content is refused.
    pub content: Digest,
}

/// The part of a run's row that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The status shown to users.
    pub status: &'static str,
    /// What people want of it.
    pub intent: Intent,
    /// 1, and one more with every reopening.
    pub generation: u32,
    /// Who drives it.
    pub driver: Option<OwnerId>,
    /// The right last given to a driver.
    pub driver_epoch: u64,
    /// When to look at it again if nobody drives it; `None`: not before an outsider moves it.
    pub due_at: Option<Timestamp>,
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
