//! Where wrong stores are: places that can do everything, in memory, and places that can do nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::list::Wrong;
use super::second::Unwritten;
use super::store::Spoiled;
use crate::id::{OwnerId, RunId};
use crate::memory::MemoryStore;
use crate::port::queue::StepTicket;
use crate::port::store::{Member, Store};
use crate::testkit::{Backend, Place};

/// What the handles on one place have in common.
#[derive(Debug, Default)]
pub(super) struct World {
    /// The kinds that were forged.
    pub(super) forged: Mutex<HashMap<RunId, String>>,
    /// The rows of inboxes that were forged.
    pub(super) unreadable: Mutex<BTreeSet<StepTicket>>,
    /// Offers that were spoiled likewise.
    pub(super) dark_offers: Mutex<BTreeSet<StepTicket>>,
    /// Owners that come from outside.
    pub(super) outside: Mutex<Vec<OwnerId>>,
    /// What has not been written yet, and perhaps never will be.
    pub(super) unwritten: Mutex<Vec<Unwritten>>,
    /// Members that were refused, and of which something is kept all the same.
    pub(super) refused: Mutex<Vec<Member>>,
    /// The numbers that events have across runs.
    pub(super) numbers: Mutex<HashMap<(RunId, u64), u64>>,
    /// What was delivered last, of each right.
    pub(super) delivered: Mutex<HashMap<StepTicket, Arc<str>>>,
    /// The methods that were called.
    pub(super) called: Mutex<BTreeSet<&'static str>>,
    /// Whether something has been won, closed, registered: whatever happens once.
    pub(super) once: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct WrongPlace {
    wrong: Wrong,
    right: Mutex<Arc<MemoryStore>>,
    world: Arc<World>,
    handles: AtomicU32,
    /// The one handle of a place that does not keep.
    only: Mutex<Option<Arc<Spoiled>>>,
}

impl WrongPlace {
    /// Whether it is one of those that cannot do more than a store in memory.
    fn is_bare(&self) -> bool {
        matches!(self.wrong, Wrong::NothingKept | Wrong::KeepsInPart | Wrong::SaysItIsDurable)
    }

    fn handle(&self) -> Arc<Spoiled> {
        let mut right = lock(&self.right);
        let closed = self.world.once.load(Ordering::Relaxed);
        if self.wrong == Wrong::ForgetsWhenClosed && closed {
            *right = Arc::default();
        }
        let own = (self.wrong == Wrong::SeesItsOwnHandleOnly).then(Arc::default);
        Arc::new(Spoiled {
            right: own.unwrap_or_else(|| right.clone()),
            wrong: self.wrong,
            world: self.world.clone(),
            number: self.handles.fetch_add(1, Ordering::Relaxed),
            durable: !self.is_bare() || self.wrong == Wrong::SaysItIsDurable,
            closed: AtomicBool::default(),
        })
    }
}

impl WrongPlace {
    /// Spoils something, where that can be done.
    fn forge(&self, spoil: impl FnOnce(&World)) -> bool {
        let can = !self.is_bare() && self.wrong != Wrong::CannotBeForged;
        if can {
            spoil(&self.world);
        }
        can
    }
}

#[async_trait]
impl Place for WrongPlace {
    async fn open(&self) -> Arc<dyn Store> {
        if self.is_bare() && self.wrong != Wrong::KeepsInPart {
            return lock(&self.only).get_or_insert_with(|| self.handle()).clone();
        }
        self.handle()
    }

    fn keeps(&self) -> bool {
        !self.is_bare()
    }

    async fn forge_kind(&self, run: RunId, kind: &str) -> bool {
        self.forge(|world| _ = lock(&world.forged).insert(run, kind.to_owned()))
    }

    async fn forge_delivery(&self, ticket: StepTicket) -> bool {
        self.forge(|world| _ = lock(&world.unreadable).insert(ticket))
    }

    async fn forge_offer(&self, ticket: StepTicket) -> bool {
        self.forge(|world| _ = lock(&world.dark_offers).insert(ticket))
    }
}

/// Makes places for one kind of wrong store, and keeps what they have in common.
#[derive(Debug, Default)]
pub(super) struct Worlds(pub(super) Mutex<Vec<Arc<World>>>);

/// A backend that is wrong.
#[derive(Debug, Clone)]
pub(super) struct WrongBackend {
    pub(super) wrong: Wrong,
    pub(super) worlds: Arc<Worlds>,
}

impl WrongBackend {
    pub(super) fn new(wrong: Wrong) -> Self {
        Self { wrong, worlds: Arc::default() }
    }
}

#[async_trait]
impl Backend for WrongBackend {
    async fn fresh(&self) -> Arc<dyn Place> {
        let world = Arc::<World>::default();
        lock(&self.worlds.0).push(world.clone());
        Arc::new(WrongPlace {
            wrong: self.wrong,
            right: Mutex::default(),
            world,
            handles: AtomicU32::default(),
            only: Mutex::default(),
        })
    }
}
