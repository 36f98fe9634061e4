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

impl Shared {
    /// Makes this incarnation known to the store.
    pub(crate) async fn register(&self) -> Result<(), StoreError> {
        let (label, serves) = (self.label.clone(), self.serves.clone());
        let owner = NewOwner { id: self.owner(), ttl: self.ttl, label, serves };
        self.store.register(owner).await?;
        crate::failpoint!("owner.register.after");
        self.make_known();
        Ok(())
    }

    /// Begins anew under another name.
    async fn begin_anew(&self) -> Result<(), StoreError> {
        self.reincarnate();
        self.register().await
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
    let Some((clock, ttl)) = shared.upgrade().map(|shared| (shared.clock.clone(), shared.ttl)) else {
        return;
    };
    let mut renewed = clock.now();
    loop {
        let next = clock.now() + ttl / 3;
        tokio::select! {
            biased;
            _ = &mut end => return,
            () = clock.sleep_until(next) => {}
        }
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_known() {
            let asked = clock.now();
            crate::failpoint!("owner.renew.before");
            match renew(&shared).await {
                Standing::Alive => {
                    crate::failpoint!("owner.renew.after");
                    // From when it was asked: the answer may have been long on its way.
                    renewed = asked;
                    continue;
                }
                Standing::Unknown if clock.now().since(renewed) < ttl.mul_f64(0.6) => continue,
                // Others take us for dead, or may do so soon: what we execute must be over by then.
                Standing::Unknown | Standing::Dead => {
                    tracing::error!(owner = %shared.owner(), "this process counts as dead; beginning anew");
                }
            }
        }
        // Each time under another name: the store may know the last one after all, and it would die unnoticed. What could
        // not be registered is tried again at the next turn.
        let _ = shared.begin_anew().await;
        renewed = clock.now();
    }
}

enum Standing {
    Alive,
    Dead,
    Unknown,
}

async fn renew(shared: &Shared) -> Standing {
    let patience = (shared.ttl / 6).max(Duration::from_millis(50));
    match tokio::time::timeout(patience, shared.store.renew(shared.owner(), shared.ttl)).await {
        Ok(Ok(Renewal::Alive(_))) => Standing::Alive,
        Ok(Ok(Renewal::Dead)) => Standing::Dead,
        Ok(Err(_)) | Err(_) => Standing::Unknown,
    }
}
