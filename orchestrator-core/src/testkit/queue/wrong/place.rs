//! Where wrong queues are.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::letters::ROOM;
use super::list::Wrong;
use super::spoiled::Spoiled;
use crate::memory::MemoryQueue;
use crate::port::queue::{Capabilities, DeadLetter, Delivery, NewTicket, Queue, Receipt, Ticket};
use crate::testkit::HandClock;
use crate::testkit::queue::{QueueBackend, QueuePlace};

/// What is equal of equal tickets: queue, project, priority, and what is on them.
pub(super) type Fold = (Arc<str>, Arc<str>, i32, Ticket);

/// What the handles on one place have in common.
#[derive(Debug, Default)]
pub(super) struct World {
    /// The methods that were called.
    pub(super) called: Mutex<BTreeSet<&'static str>>,
    /// Tickets as they were published.
    pub(super) published: Mutex<HashMap<Ticket, NewTicket>>,
    /// Tickets that wait, or that are kept: what is equal to one of them is folded into it.
    pub(super) folded: Mutex<BTreeSet<Fold>>,
    /// Deliveries, by receipt.
    pub(super) given: Mutex<BTreeMap<Receipt, Delivery>>,
    /// Receipts that stand for others.
    pub(super) aliases: Mutex<HashMap<Receipt, Receipt>>,
    /// What is being given to somebody who may go away.
    pub(super) on_its_way: Mutex<BTreeMap<Receipt, Delivery>>,
    /// How many tickets were to be kept.
    pub(super) kept: AtomicU32,
    /// How many are receiving.
    pub(super) receiving: AtomicU32,
    /// Rung for what the queue rings for: counts.
    pub(super) bell: watch::Sender<u64>,
    /// The last ring that was heard.
    pub(super) heard: AtomicU64,
    /// Those who wait, in order.
    pub(super) waiting: Mutex<VecDeque<oneshot::Sender<()>>>,
    /// What was written on tickets behind the queue's back.
    pub(super) forged: Mutex<HashMap<Ticket, String>>,
    /// Letters that should not be.
    pub(super) ghosts: Mutex<Vec<DeadLetter>>,
    /// Receipts by which was buried.
    pub(super) buried: Mutex<BTreeSet<Receipt>>,
    /// Tickets that were published again.
    pub(super) again: Mutex<BTreeSet<Ticket>>,
    /// Whether a handle was closed.
    pub(super) closed_once: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct WrongPlace {
    wrong: Wrong,
    clock: Arc<HandClock>,
    right: Mutex<Arc<MemoryQueue>>,
    world: Arc<World>,
    /// The one handle of a place that does not keep.
    only: Mutex<Option<Arc<Spoiled>>>,
}

fn right_of(wrong: Wrong, clock: &Arc<HandClock>) -> Arc<MemoryQueue> {
    let is_large = matches!(wrong, Wrong::KeepsLettersForEver | Wrong::DropsTheNewestLetter);
    let letters = if is_large { ROOM * 100 } else { ROOM };
    Arc::new(MemoryQueue::with_clock(clock.clone()).with_letters(letters))
}

impl WrongPlace {
    fn new_right(&self) -> Arc<MemoryQueue> {
        right_of(self.wrong, &self.clock)
    }

    fn can(&self) -> Capabilities {
        let all = Capabilities { durable: self.keeps(), letters: ROOM, ..Capabilities::ALL };
        match self.wrong {
            Wrong::NothingAble => Capabilities::NONE,
            Wrong::NothingFair => Capabilities { fair: false, ..all },
            Wrong::NothingUrgent | Wrong::OrdersThoughItCannot => Capabilities { priority: false, ..all },
            Wrong::DelaysThoughItCannot
            | Wrong::PublishesTheRestOfWhatItRefuses
            | Wrong::ReleasesWhatItRefuses => Capabilities { delayed: false, ..all },
            Wrong::SaysItIsDurable => Capabilities { durable: true, ..all },
            _ => all,
        }
    }

    fn handle(&self) -> Arc<Spoiled> {
        let mut right = lock(&self.right);
        if self.wrong == Wrong::ForgetsWhenClosed && self.world.closed_once.load(Ordering::Relaxed) {
            *right = self.new_right();
        }
        let own = (self.wrong == Wrong::SeesItsOwnHandleOnly).then(|| self.new_right());
        Arc::new(Spoiled {
            right: own.unwrap_or_else(|| right.clone()),
            wrong: self.wrong,
            world: self.world.clone(),
            can: self.can(),
            closed: watch::Sender::new(false),
            bell: watch::Sender::default(),
            own: Mutex::default(),
        })
    }
}

#[async_trait]
impl QueuePlace for WrongPlace {
    async fn open(&self) -> Arc<dyn Queue> {
        if self.keeps() || self.wrong == Wrong::KeepsInPart {
            return self.handle();
        }
        lock(&self.only).get_or_insert_with(|| self.handle()).clone()
    }

    fn keeps(&self) -> bool {
        use Wrong::{KeepsInPart, NothingAble, NothingKept, SaysItIsDurable};
        !matches!(self.wrong, NothingKept | NothingAble | SaysItIsDurable | KeepsInPart)
    }

    async fn forge_ticket(&self, written: &str, text: &str) -> bool {
        let can = self.keeps();
        if let Some(ticket) = serde_json::from_str(written).ok().filter(|_| can) {
            lock(&self.world.forged).insert(ticket, text.to_owned());
        }
        can
    }

    async fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }
}

/// A backend that is wrong, and what its places have seen.
#[derive(Debug, Clone)]
pub(super) struct WrongBackend {
    wrong: Wrong,
    pub(super) worlds: Arc<Mutex<Vec<Arc<World>>>>,
}

impl WrongBackend {
    pub(super) fn new(wrong: Wrong) -> Self {
        Self { wrong, worlds: Arc::default() }
    }
}

#[async_trait]
impl QueueBackend for WrongBackend {
    async fn fresh(&self) -> Arc<dyn QueuePlace> {
        let world = Arc::<World>::default();
        lock(&self.worlds).push(world.clone());
        let clock = Arc::<HandClock>::default();
        let right = Mutex::new(right_of(self.wrong, &clock));
        Arc::new(WrongPlace { wrong: self.wrong, clock, right, world, only: Mutex::default() })
    }
}
