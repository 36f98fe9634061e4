//! Attempts that others execute: offered by a member, claimed and delivered without the run's log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LogLine;
use crate::id::{OwnerId, RunId};
use crate::port::queue::{StepTicket, is_queue_name};
use crate::time::Timestamp;
use crate::value::{StoredValue, ValueRef};

/// The most bytes of what a delivery says of an end (64 KiB); what is longer is a value beside it.
pub const MAX_END: usize = 64 << 10;

/// The most bytes of what an offered task says of itself (16 KiB): whoever looks for one reads it of many.
pub const MAX_TASK: usize = 16 << 10;

/// An attempt that a member offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOffer {
    /// What a claim must name, all of it. Its run is the member's.
    pub ticket: StepTicket,
    /// Who serves this queue may claim it; a name as queues have them.
    pub queue: Arc<str>,
    /// What the one who claims it must have. The store keeps it; whoever looks for work compares it.
    pub labels: BTreeMap<String, String>,
    /// What it takes to execute it without the run's log: a value of the run, which the engine writes and reads.
    pub order: ValueRef,
    /// The priority of its run: larger is sooner.
    pub priority: i32,
    /// Of a task: what whoever looks for one has to know of it, in words of the engine's, at most [`MAX_TASK`] bytes. It is
    /// claimed by a member of its run, never by [`super::Store::claim`]. `None` for what processes execute.
    pub task: Option<Arc<str>>,
}

/// What a member says of offers; most say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remote {
    /// Attempts that are offered from here on. A step or item has one offer at a time: another is [`super::Commit::Invalid`],
    /// unless the member takes the one that is there back, or its result in.
    pub offers: Vec<NewOffer>,
    /// Offers that are taken back. If one of them is claimed, the member is refused: [`super::Commit::Claimed`]. One that is
    /// not there is no error.
    pub withdrawn: Vec<StepTicket>,
    /// Claimed offers whose executors are to be told to stop, until the result is taken in.
    pub stops: Vec<StepTicket>,
    /// Offers that it claims, tasks, each for an owner that is alive. One that somebody has claimed already makes the member
    /// [`super::Commit::Claimed`]; one that is not there, or for an owner that is not alive, [`super::Commit::Fenced`].
    pub claims: Vec<Claim>,
    /// Results that are taken in, also those that say nothing new: their rows go from the inbox, and the offers with them. One
    /// that is not there is no error.
    pub taken: Vec<StepTicket>,
}

impl Remote {
    /// Why no store can keep it in a member of this run, if none can.
    pub(super) fn fault(&self, run: RunId) -> Option<&'static str> {
        let offered = self.offers.iter().map(|offer| &offer.ticket);
        let claimed = self.claims.iter().map(|claim| &claim.ticket);
        let mut tickets = offered.chain(&self.withdrawn).chain(&self.stops).chain(&self.taken).chain(claimed);
        let is_gone =
            |claim: &Claim| self.withdrawn.contains(&claim.ticket) || self.taken.contains(&claim.ticket);
        if tickets.any(|ticket| ticket.run != run) {
            Some("an offer of another run")
        } else if self.claims.iter().any(is_gone) {
            Some("an offer that is claimed and goes at the same time")
        } else if self.offers.iter().any(|offer| !is_queue_name(&offer.queue)) {
            Some("the name of a queue is 1 to 64 letters, digits, `_`, `-` and `.`")
        } else if self.offers.iter().filter_map(|offer| offer.task.as_ref()).any(|task| task.len() > MAX_TASK)
        {
            Some("what a task says of itself has at most 16 KiB")
        } else if self.offers.iter().filter_map(|offer| offer.task.as_ref()).any(|task| task.contains('\0')) {
            Some("a text with a NUL character")
        } else {
            None
        }
    }
}

/// Who has claimed what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRow {
    /// The right that was offered.
    pub ticket: StepTicket,
    /// Who has it now, for as long as it lasts.
    pub owner: OwnerId,
    /// Since when, by the store's clock.
    pub at: Timestamp,
}

/// An offer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRow {
    /// What is offered.
    pub offer: NewOffer,
    /// Since when: the time of its member.
    pub offered_at: Timestamp,
    /// By whom it is claimed, if it is.
    pub claim: Option<ClaimRow>,
}

impl OfferRow {
    /// Its place among all offers: the smallest goes first, and of one place the smallest ticket.
    #[must_use]
    pub fn place(&self) -> (i64, StepTicket) {
        (self.offered_at.place(self.offer.priority), self.offer.ticket)
    }
}

/// Asks for offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OfferQuery {
    /// Only of these queues; empty: of any.
    pub queues: Vec<Arc<str>>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only those that nobody has claimed.
    pub free: bool,
    /// Only those that somebody has claimed.
    pub claimed: bool,
    /// Only tasks, or only what is none.
    pub tasks: Option<bool>,
    /// Go on after this one: the place of the last of the page before.
    pub after: Option<(i64, StepTicket)>,
    /// At most this many; 0 means 50.
    pub limit: usize,
}

/// Which offers somebody claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Serves {
    /// Of these queues; of none: no offer at all.
    pub queues: Vec<Arc<str>>,
    /// What it has, by name: of an offer, it must have every label, with that value.
    pub labels: BTreeMap<String, String>,
}

impl Serves {
    /// Whether an offer to this queue that asks for these labels is one of them.
    #[must_use]
    pub fn takes(&self, queue: &str, labels: &BTreeMap<String, String>) -> bool {
        self.queues.iter().any(|served| **served == *queue)
            && labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }
}

/// A wish to claim an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The right that was offered; all of it must be what is offered.
    pub ticket: StepTicket,
    /// Who is to execute it.
    pub owner: OwnerId,
}

/// What became of a wish to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is the owner's, or was before: an answer that was lost is found by asking again.
    Yours(Box<OfferRow>),
    /// It is another's, was taken back, is over (its end was delivered, its owner has died, or its run has ended), or never was.
    Gone,
    /// The owner is dead, past its time, or not known: it can claim nothing.
    Dead,
}

/// How a claimed attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    /// The right that was claimed.
    pub ticket: StepTicket,
    /// Who has claimed it.
    pub owner: OwnerId,
    /// How it has ended, in words of the engine's; at most [`MAX_END`] bytes.
    pub end: Arc<str>,
    /// Values that it refers to: kept with it, or not at all.
    pub values: Vec<StoredValue>,
    /// Lines of output that must not be lost once it is kept.
    pub logs: Vec<LogLine>,
}

impl Deliver {
    /// Why no store can keep it, if none can.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if self.end.len() > MAX_END {
            Some("what is said of an end has at most 64 KiB")
        } else if self.end.contains('\0') {
            Some("a text with a NUL character")
        } else {
            None
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It is kept, or was before.
    Kept,
    /// The claim is not the owner's, or is over, or the attempt counts as lost: nothing was written.
    Fenced,
}

/// What lies in the inbox of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inbox {
    /// What was delivered, and is not taken in yet: the oldest first; of one moment by their tickets.
    pub rows: Vec<InboxRow>,
    /// What else lies there, for people: a text for each row that this version cannot read, which names the run and says why.
    /// It stays, and is in the way of no other.
    pub unreadable: Vec<String>,
}

/// What was delivered, and is not taken in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// By whom it was claimed, and when.
    pub claim: ClaimRow,
    /// When it was delivered, by the store's clock.
    pub at: Timestamp,
    /// How it has ended, in words of the engine's; `None`: its owner has died, and had delivered nothing.
    pub end: Option<Arc<str>>,
}
