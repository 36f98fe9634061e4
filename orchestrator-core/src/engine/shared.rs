//! What all parts of an engine share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};

use crate::engine::attend::Elsewhere;
use crate::engine::committer::Committer;
use crate::engine::handle::{Live, Progress};
use crate::engine::loaded::Library;
use crate::engine::note::Note;
use crate::engine::registry::Registry;
use crate::engine::tasks::Tasks;
use crate::id::{DecisionId, Ids, OwnerId, RunId, TransitionId};
use crate::port::evidence::Inspector;
use crate::port::policy::PolicyEngine;
use crate::port::store::Store;
use crate::time::Clock;

/// What all parts of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) committer: Committer,
    pub(crate) library: Library,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) live: broadcast::Sender<Live>,
    pub(crate) workdir: Arc<Path>,
    pub(crate) ttl: Duration,
    pub(crate) label: String,
    pub(crate) tasks: Tasks,
    /// Rung when a run may be due that nobody drives.
    pub(crate) bell: Notify,
    /// Turns true when the engine begins to stop.
    pub(crate) stopping: watch::Sender<bool>,
    /// The present incarnation.
    owner: watch::Sender<OwnerId>,
    actors: Mutex<BTreeMap<RunId, Actor>>,
    pub(crate) elsewhere: Mutex<Elsewhere>,
}

/// How to reach the actor of a run.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) mailbox: mpsc::UnboundedSender<Note>,
    pub(crate) progress: watch::Receiver<Progress>,
}

/// The incarnation under which a driver works.
#[derive(Debug)]
pub(crate) struct Incarnation {
    owner: OwnerId,
    watched: watch::Receiver<OwnerId>,
}

impl Incarnation {
    pub(crate) const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Returns when this incarnation is dead, or may be taken for dead.
    pub(crate) async fn ended(&mut self) {
        // The sender lives as long as the engine; should it go, nothing is left to execute for.
        let _ = self.watched.changed().await;
    }
}

/// What a [`Shared`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) slots: usize,
    pub(crate) workdir: Arc<Path>,
    pub(crate) ttl: Duration,
    pub(crate) label: String,
    pub(crate) tasks: Tasks,
}

/// How many live notices a slow subscriber may lag behind before it loses the oldest.
const LIVE_BACKLOG: usize = 4_096;

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            committer: Committer::start(parts.store.clone(), &parts.tasks),
            owner: watch::channel(OwnerId::from_uuid(parts.ids.uuid())).0,
            store: parts.store,
            registry: Arc::new(parts.registry),
            policy: parts.policy,
            inspector: parts.inspector,
            clock: parts.clock,
            ids: parts.ids,
            library: Library::default(),
            slots: Arc::new(Semaphore::new(parts.slots)),
            live: broadcast::channel(LIVE_BACKLOG).0,
            workdir: parts.workdir,
            ttl: parts.ttl,
            label: parts.label,
            tasks: parts.tasks,
            bell: Notify::new(),
            stopping: watch::channel(false).0,
            actors: Mutex::default(),
            elsewhere: Mutex::default(),
        }
    }

    pub(crate) fn owner(&self) -> OwnerId {
        *self.owner.borrow()
    }

    /// The present incarnation, and the means to notice its end.
    pub(crate) fn incarnation(&self) -> Incarnation {
        let mut watched = self.owner.subscribe();
        let owner = *watched.borrow_and_update();
        Incarnation { owner, watched }
    }

    /// Ends this incarnation: drivers stop what they execute and let go of their runs. A new one begins.
    pub(crate) fn reincarnate(&self) {
        self.owner.send_replace(OwnerId::from_uuid(self.ids.uuid()));
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
