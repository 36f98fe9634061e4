//! What is asked of a queue, and what it answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{MAX_LETTERS, Ticket};
use crate::time::HEAD_START;

/// How long a ticket must wait to be as urgent as one of the next priority that has just come.
///
/// So a queue needs no clock to age its tickets: each has a place in line for good, the moment since which it could be
/// received, moved ahead by so much for each of its priority; the earliest place is first.
pub const AGEING: Duration = HEAD_START;

/// What a queue is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueInfo {
    /// `memory`, `sqlite`, `postgres`, `redis`.
    pub kind: &'static str,
    /// Where it is, without passwords.
    pub location: String,
    /// The version of the library or server.
    pub version: String,
    /// What it can do.
    pub can: Capabilities,
}

/// What not every queue can do. What one cannot, it refuses ([`QueueError::Unsupported`](super::QueueError::Unsupported))
/// where it was asked for by name, and never does in part. Begin with [`Capabilities::NONE`] and add: there may be more of
/// them one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Tickets outlive the closing of every handle. Without it, they may be gone.
    pub durable: bool,
    /// Tickets can be due later: [`NewTicket::after`], [`Settlement::Release`]. Without it, any time but zero is refused.
    pub delayed: bool,
    /// Tickets of a project come in order: the urgent first ([`NewTicket::priority`], aged by [`AGEING`]), equally urgent
    /// ones by when they could first be received, and those of one moment as they were published. Without it, in any
    /// order, and any priority but 0 is refused.
    pub priority: bool,
    /// Projects take turns: between two tickets of one project, each other project for which one could be received all
    /// the while is given one. Without it, whose a ticket is does not count: a project with many may hold up the others.
    pub fair: bool,
    /// How many dead letters are kept for each queue: the oldest go first ([`Settlement::Bury`]). 0: none, and whatever has
    /// to do with them is refused.
    pub letters: u32,
}

impl Capabilities {
    /// All of them.
    pub const ALL: Self =
        Self { durable: true, delayed: true, priority: true, fair: true, letters: MAX_LETTERS };
    /// None of them.
    pub const NONE: Self = Self { durable: false, delayed: false, priority: false, fair: false, letters: 0 };
}

/// Publishes tickets: all of them or, if one of them is refused, none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The tickets, at most [`MAX_TICKETS`](super::MAX_TICKETS); none is fine.
    pub tickets: Vec<NewTicket>,
}

/// A ticket to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// The queue, made by its name: 1 to 64 letters, digits, `_`, `-` and `.` of ASCII.
    pub queue: Arc<str>,
    /// The tenant. At most 400 bytes, without NUL.
    pub project: Arc<str>,
    /// Larger is sooner; 0 is ordinary.
    pub priority: i32,
    /// How long from now it is hidden, by the queue's clock, in whole milliseconds: what is below is cut. At most
    /// [`MAX_DELAY`](super::MAX_DELAY).
    pub after: Duration,
    /// What is on it.
    pub ticket: Ticket,
}

/// Asks for tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// Of these queues, taken together; at least one, at most [`MAX_QUEUES`](super::MAX_QUEUES).
    pub queues: Vec<Arc<str>>,
    /// At most this many; 0 gives none. At most [`MAX_TICKETS`](super::MAX_TICKETS).
    pub max: usize,
    /// How long from now each of them is hidden from everybody, by the queue's clock, in whole milliseconds: what is below
    /// is cut. Then it comes again, if it was not settled. Zero: it can be received again at once. At most
    /// [`MAX_DELAY`](super::MAX_DELAY).
    pub visibility: Duration,
}

/// A ticket as it was given to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What settles this delivery, and no other.
    pub receipt: Receipt,
    /// The queue it is from.
    pub queue: Arc<str>,
    /// The tenant.
    pub project: Arc<str>,
    /// As it was published.
    pub priority: i32,
    /// How often it has been given out, with this time: 1, 2, 3 … A ticket that comes again and again is one that nobody
    /// survives; whoever has had enough buries it ([`Settlement::Bury`]), and the store still knows what there is to do.
    pub count: u32,
    /// What is on it.
    pub ticket: Ticket,
}

/// Names one delivery. Made by the queue and understood by it alone; never used again for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(Arc<str>);

impl Receipt {
    /// What a queue calls one of its deliveries: at most [`MAX_RECEIPT`](super::MAX_RECEIPT) bytes.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// As the queue has called it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// Which delivery.
    pub receipt: Receipt,
    /// What became of it.
    pub how: Settlement,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// What the ticket is about is in the store's hands, or nobody's: it is taken away.
    Done,
    /// Somebody else should have it: it can be received again after this time by the queue's clock, in whole milliseconds,
    /// and stands in line as if it had come then. At most [`MAX_DELAY`](super::MAX_DELAY).
    Release {
        /// How long from now.
        after: Duration,
    },
    /// Nobody should have it any more: it is taken away, and kept as a dead letter.
    Bury {
        /// Why, for whoever looks at it: 1 to [`MAX_REASON`](super::MAX_REASON) bytes, without NUL.
        reason: Arc<str>,
    },
}

/// The answer to settling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is so.
    Taken,
    /// The receipt holds no more: its time is over, or it was settled before. Nothing has changed.
    Late,
}

/// Waits until there is something to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// In one of these queues; at least one, at most [`MAX_QUEUES`](super::MAX_QUEUES).
    pub queues: Vec<Arc<str>>,
    /// At most so long, by the queue's clock. Zero: looks, and does not wait. At most [`MAX_DELAY`](super::MAX_DELAY).
    pub timeout: Duration,
}

/// Asks how much there is in queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// In these queues; at least one, at most [`MAX_QUEUES`](super::MAX_QUEUES).
    pub queues: Vec<Arc<str>>,
}

/// How much there is in a queue, for people: it may be another number by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The queue.
    pub queue: Arc<str>,
    /// How many tickets can be received.
    pub ready: u64,
    /// How many are with somebody, or due later.
    pub hidden: u64,
    /// How many dead letters there are.
    pub letters: u64,
}

/// The answer to waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// There was a ticket that could be received. Somebody else may have been faster.
    Rung,
    /// There was none all the time.
    TimedOut,
}
