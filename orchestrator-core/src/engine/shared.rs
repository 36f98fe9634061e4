//! What all parts of an engine share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};

use crate::engine::attend::Elsewhere;
use crate::engine::colleagues::Colleagues;
use crate::engine::committer::Committer;
use crate::engine::doorbell::Doorbell;
use crate::engine::handle::{Live, Progress};
use crate::engine::lease::Lease;
use crate::engine::loaded::Library;
use crate::engine::note::Note;
use crate::engine::occupancy::Occupancy;
use crate::engine::places::Parked;
use crate::engine::queues;
use crate::engine::registry::Registry;
use crate::engine::serve::Bench;
use crate::engine::tasks::Tasks;
use crate::engine::vault::Vault;
use crate::engine::work::Hands;
use crate::id::{DecisionId, Ids, OwnerId, RunId, TransitionId};
use crate::port::evidence::Inspector;
use crate::port::policy::PolicyEngine;
use crate::port::secret::SecretProvider;
use crate::port::store::{Serves, Store};
use crate::time::{Clock, Timestamp};

/// What all parts of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lease: Lease,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) committer: Committer,
    pub(crate) library: Library,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) occupancy: Occupancy,
    pub(crate) live: broadcast::Sender<Live>,
    workdir: Arc<Path>,
    /// Whether each run has a folder of its own below that.
    workspaces: bool,
    /// The label of runs that are not taken up unasked.
    pub(crate) leaves: Option<String>,
    /// How many drivers wait for a slot.
    waiting: AtomicUsize,
    pub(crate) protected: Arc<[PathBuf]>,
    pub(crate) ttl: Duration,
    pub(crate) label: String,
    pub(crate) tasks: Tasks,
    /// Who carries out what is taken up, if not tasks of the engine.
    pub(crate) hands: Option<Hands>,
    /// Rung when a run may be due that nobody drives.
    pub(crate) bell: Notify,
    /// The queue by which engines ring for each other.
    pub(crate) doorbell: Option<Arc<Doorbell>>,
    /// Rung when others have rung for this engine.
    pub(crate) rung: Arc<Notify>,
    /// Whether it looks for runs that nobody drives.
    pub(crate) polls: bool,
    /// Turns true when the engine begins to stop.
    pub(crate) stopping: watch::Sender<bool>,
    present: watch::Sender<Present>,
    actors: Mutex<BTreeMap<RunId, Actor>>,
    away: Mutex<BTreeSet<RunId>>,
    parked: Mutex<Parked>,
    /// Whether somebody is about to look for places that runs here were given.
    pub(crate) looks_for_places: AtomicBool,
    /// Which offers of others it claims.
    pub(crate) serves: Serves,
    /// Whether others are offered what there is no slot for.
    pub(crate) shares: bool,
    pub(crate) colleagues: Colleagues,
    pub(crate) queues: queues::Known,
    pub(crate) bench: Bench,
    pub(crate) elsewhere: Mutex<Elsewhere>,
}

/// A driver that waits for a slot.
#[derive(Debug)]
pub(crate) struct WaitsForSlot<'a>(&'a AtomicUsize);

impl Drop for WaitsForSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How to reach the actor of a run.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) mailbox: mpsc::UnboundedSender<Note>,
    pub(crate) progress: watch::Receiver<Progress>,
}

/// The present incarnation.
#[derive(Debug, Clone, Copy)]
struct Present {
    owner: OwnerId,
    /// Whether the store knows it. Nobody could ever tell the death of one that it does not know.
    is_known: bool,
}

/// The incarnation under which a driver works, or an attempt is executed.
#[derive(Debug, Clone)]
pub(crate) struct Incarnation {
    owner: OwnerId,
    watched: watch::Receiver<Present>,
}

impl Present {
    fn unknown(ids: &dyn Ids) -> Self {
        Self { owner: OwnerId::from_uuid(ids.uuid()), is_known: false }
    }
}

impl Incarnation {
    pub(crate) const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Becomes the present incarnation, as soon as the store knows that one.
    pub(crate) async fn begun(&mut self) {
        // The sender lives as long as the engine; should it go, nothing is left to execute for.
        if let Ok(present) = self.watched.wait_for(|present| present.is_known).await {
            self.owner = present.owner;
        }
    }

    /// Whether this incarnation is dead, or may be taken for dead. Asked before every dispatch: nothing is locked where
    /// nothing has changed.
    pub(crate) fn is_over(&self) -> bool {
        self.watched.has_changed().unwrap_or(true) && self.watched.borrow().owner != self.owner
    }

    /// Returns when this incarnation is dead, or may be taken for dead.
    pub(crate) async fn ended(&mut self) {
        while self.watched.changed().await.is_ok() {
            if self.watched.borrow().owner != self.owner {
                return;
            }
        }
    }
}

/// What a [`Shared`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    pub(crate) secrets: Vec<Arc<dyn SecretProvider>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) slots: usize,
    pub(crate) workdir: Arc<Path>,
    pub(crate) workspaces: bool,
    pub(crate) leaves: Option<String>,
    pub(crate) protected: Arc<[PathBuf]>,
    pub(crate) ttl: Duration,
    pub(crate) label: String,
    pub(crate) tasks: Tasks,
    pub(crate) hands: Option<Hands>,
    pub(crate) serves: Serves,
    pub(crate) shares: bool,
    pub(crate) doorbell: Option<Arc<Doorbell>>,
    pub(crate) polls: bool,
}

/// How many live notices a slow subscriber may lag behind before it loses the oldest.
const LIVE_BACKLOG: usize = 4_096;

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            committer: Committer::start(&parts.store, &parts.tasks, parts.doorbell.as_ref()),
            doorbell: parts.doorbell,
            rung: Arc::default(),
            polls: parts.polls,
            present: watch::channel(Present::unknown(&*parts.ids)).0,
            store: parts.store,
            registry: Arc::new(parts.registry),
            policy: parts.policy,
            inspector: parts.inspector,
            vault: Vault::new(parts.secrets),
            lease: Lease::new(parts.ttl, &parts.clock, &parts.tasks),
            clock: parts.clock,
            ids: parts.ids,
            library: Library::default(),
            slots: Arc::new(Semaphore::new(parts.slots)),
            occupancy: Occupancy::of(parts.slots),
            live: broadcast::channel(LIVE_BACKLOG).0,
            workdir: parts.workdir,
            workspaces: parts.workspaces,
            leaves: parts.leaves,
            waiting: AtomicUsize::new(0),
            protected: parts.protected,
            ttl: parts.ttl,
            label: parts.label,
            tasks: parts.tasks,
            hands: parts.hands,
            bell: Notify::new(),
            stopping: watch::channel(false).0,
            actors: Mutex::default(),
            away: Mutex::default(),
            parked: Mutex::default(),
            looks_for_places: AtomicBool::new(false),
            serves: parts.serves,
            shares: parts.shares,
            colleagues: Colleagues::default(),
            queues: queues::Known::default(),
            bench: Bench::default(),
            elsewhere: Mutex::default(),
        }
    }

    pub(crate) fn owner(&self) -> OwnerId {
        self.present.borrow().owner
    }

    /// The present incarnation, and the means to notice its end.
    pub(crate) fn incarnation(&self) -> Incarnation {
        let mut watched = self.present.subscribe();
        let owner = watched.borrow_and_update().owner;
        Incarnation { owner, watched }
    }

    /// Ends this incarnation: drivers stop what they execute and let go of their runs. A new one begins, and does nothing
    /// until it is registered.
    pub(crate) fn reincarnate(&self) {
        self.present.send_replace(Present::unknown(&*self.ids));
    }

    /// Whether the store knows the present incarnation.
    pub(crate) fn is_known(&self) -> bool {
        self.present.borrow().is_known
    }

    /// From here on the store knows the present incarnation: it was asked at this time, by the clock of the lease.
    pub(crate) fn make_known(&self, asked: Timestamp) {
        self.lease.extend(asked);
        self.present.send_modify(|present| present.is_known = true);
    }

    /// How many drivers wait for a slot.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts a driver among those that wait for a slot, until what is given goes.
    pub(crate) fn wait_for_slot(&self) -> WaitsForSlot<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        WaitsForSlot(&self.waiting)
    }

    /// Where relative paths of the steps of a run start that somebody has started, and of all runs below it.
    pub(crate) fn folder_of(&self, root: RunId) -> Arc<Path> {
        if !self.workspaces {
            return self.workdir.clone();
        }
        let folder = self.workdir.join(root.to_string());
        if let Err(error) = std::fs::create_dir_all(&folder) {
            // Steps that need it will say so.
            tracing::warn!(%error, folder = %folder.display(), "cannot make the workspace of a run");
        }
        folder.into()
    }

    pub(crate) fn transition(&self) -> TransitionId {
        TransitionId::from_uuid(self.ids.uuid())
    }

    pub(crate) fn decision(&self) -> DecisionId {
        DecisionId::from_uuid(self.ids.uuid())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(crate) fn actors(&self) -> MutexGuard<'_, BTreeMap<RunId, Actor>> {
        // A panic while the lock is held cannot leave the map half changed: every critical section is one call.
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs driven here of which something is executed elsewhere.
    pub(crate) fn away(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs driven here that wait for places under keys.
    pub(crate) fn parked(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn actor(&self, run: RunId) -> Option<Actor> {
        self.actors().get(&run).cloned()
    }

    /// Says the same to every actor.
    pub(crate) fn tell_all(&self, note: impl Fn() -> Note) {
        for actor in self.actors().values() {
            // An actor that is gone needs no telling.
            let _ = actor.mailbox.send(note());
        }
    }
}
