//! This incarnation: makes itself known, keeps itself alive from a thread of its own, and knows when it may be taken
//! for dead.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::shared::Shared;
use crate::engine::tasks::{Tasks, whole};
use crate::port::store::{NewOwner, Renewal, StoreError};
use crate::time::{Clock, Timestamp};

/// How long after it was asked for a renewal the next is asked for, in shares of the time to live.
const EVERY: f64 = 0.25;

/// When the first is asked for at the latest: what a renewal takes, such as a connection, is there before it is needed.
const FIRST: Duration = Duration::from_millis(100);

/// How long after a renewal that has failed the next is asked for, and how long an answer is waited for at least, in shares of
/// the time to live.
const MOMENT: f64 = 1.0 / 12.0;

impl Shared {
    /// Makes this incarnation known to the store.
    pub(crate) async fn register(&self) -> Result<(), StoreError> {
        let asked = self.lease.clock.now();
        self.enter().await?;
        self.make_known(asked);
        Ok(())
    }

    async fn enter(&self) -> Result<(), StoreError> {
        let owner = NewOwner {
            id: self.owner(),
            ttl: self.ttl,
            label: self.label.clone(),
            serves: self.serves.clone(),
            outside: false,
        };
        self.store.register(owner).await?;
        crate::failpoint!("owner.register.after");
        Ok(())
    }

    /// Begins anew under another name. Whoever could not be renewed would die again, with all that it has begun by then: it
    /// becomes known once it was renewed, and says when that was asked for.
    async fn begin_anew(&self) -> Result<Timestamp, StoreError> {
        self.reincarnate();
        self.enter().await?;
        let asked = self.lease.clock.now();
        match self.store.renew(self.owner(), self.ttl).await? {
            Renewal::Alive(_) => self.make_known(asked),
            Renewal::Dead => {
                return Err(StoreError::Unavailable("it took too long to begin anew".to_owned()));
            }
        }
        Ok(asked)
    }
}

/// Keeps an engine's owner alive, until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    end: Mutex<Option<End>>,
}

#[derive(Debug)]
struct End {
    /// Ends the renewals when it goes.
    sender: oneshot::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Renews from a thread of its own, so that attempts that hog the runtime do not make the owner look dead; or, where the
    /// host polls the engine's tasks, from one of those.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let (sender, end) = oneshot::channel();
        let keeping = keep(Arc::downgrade(shared), end);
        let thread = match shared.tasks {
            Tasks::Given(_) => {
                shared.tasks.spawn(keeping);
                None
            }
            Tasks::Runtime(_) => Some(thread_for(keeping)?),
        };
        Ok(Self { end: Mutex::new(Some(End { sender, thread })) })
    }

    /// Ends the renewals; a thread is over by then.
    pub(crate) fn stop(&self) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(End { sender, thread }) = end {
            drop(sender);
            let _ = thread.map(JoinHandle::join);
        }
    }
}

fn thread_for(keeping: impl Future<Output = ()> + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let unavailable = |error| StoreError::Unavailable(format!("no thread for renewals: {error}"));
    // A store may reach its database over a network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    std::thread::Builder::new()
        .name("orchestrator-keeper".into())
        .spawn(move || runtime.block_on(whole(keeping)))
        .map_err(unavailable)
}

async fn keep(shared: Weak<Shared>, mut end: oneshot::Receiver<()>) {
    let Some((clock, ttl)) = shared.upgrade().map(|shared| (shared.lease.clock.clone(), shared.ttl)) else {
        return;
    };
    let mut renewed = clock.now();
    let mut next = renewed + ttl.mul_f64(EVERY).min(FIRST);
    loop {
        tokio::select! {
            biased;
            _ = &mut end => return,
            () = clock.sleep_until(next) => {}
        }
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_known() {
            let asked = clock.now();
            crate::failpoint!("owner.renew.before");
            let ends = shared.lease.end(renewed);
            // An answer that comes later helps nobody, whether the store has renewed or not.
            let until = ends.max(asked + ttl.mul_f64(MOMENT));
            let standing = tokio::select! {
                biased;
                _ = &mut end => return,
                standing = renew(&shared, &*clock, until) => standing,
            };
            match standing {
                Standing::Alive => {
                    crate::failpoint!("owner.renew.after");
                    // From when it was asked: the answer may have been long on its way.
                    renewed = asked;
                    shared.lease.extend(asked);
                    next = asked + ttl.mul_f64(EVERY);
                    continue;
                }
                Standing::Unknown if clock.now() < ends => {
                    next = (clock.now() + ttl.mul_f64(MOMENT)).min(ends);
                    continue;
                }
                // Others take us for dead, or may do so soon: what we execute must be over by then.
                Standing::Unknown | Standing::Dead => {
                    tracing::error!(owner = %shared.owner(), "this process counts as dead; beginning anew");
                }
            }
        }
        // Each time under another name: the store may know the last one after all, and it would die unnoticed. What could
        // not be registered is tried again at the next turn.
        renewed = tokio::select! {
            biased;
            _ = &mut end => return,
            begun = shared.begin_anew() => begun.unwrap_or_else(|_| clock.now()),
        };
        next = renewed + ttl.mul_f64(EVERY);
    }
}

enum Standing {
    Alive,
    Dead,
    Unknown,
}

async fn renew(shared: &Shared, clock: &dyn Clock, until: Timestamp) -> Standing {
    tokio::select! {
        biased;
        renewal = shared.store.renew(shared.owner(), shared.ttl) => match renewal {
            Ok(Renewal::Alive(_)) => Standing::Alive,
            Ok(Renewal::Dead) => Standing::Dead,
            Err(_) => Standing::Unknown,
        },
        () = clock.sleep_until(until) => Standing::Unknown,
    }
}
