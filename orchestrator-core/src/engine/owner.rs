//! This incarnation: makes itself known, keeps itself alive from a thread of its own, and knows when it may be taken
//! for dead.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::engine::shared::Shared;
use crate::port::store::{NewOwner, Renewal, StoreError};

impl Shared {
    /// Makes this incarnation known to the store.
    pub(crate) async fn register(&self) -> Result<(), StoreError> {
        let owner = NewOwner { id: self.owner(), ttl: self.ttl, label: self.label.clone() };
        self.store.register(owner).await
    }
}

/// Keeps an engine's owner alive. A thread of its own: attempts that hog the runtime do not make it look dead.
#[derive(Debug)]
pub(crate) struct Keeper {
    end: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let shared = Arc::downgrade(shared);
        let thread = std::thread::Builder::new()
            .name("orchestrator-keeper".into())
            .spawn(move || keep(&shared, &receiver))
            .map_err(|error| StoreError::Unavailable(format!("no thread for renewals: {error}")))?;
        Ok(Self { end: Mutex::new(Some((sender, thread))) })
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, thread)) = end {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn keep(shared: &Weak<Shared>, end: &Receiver<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let mut renewed = Instant::now();
    let mut registered = true;
    loop {
        let Some(ttl) = shared.upgrade().map(|shared| shared.ttl) else { return };
        match end.recv_timeout(ttl / 3) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(shared) = shared.upgrade() else { return };
        if !registered {
            registered = runtime.block_on(shared.register()).is_ok();
            renewed = Instant::now();
            continue;
        }
        match runtime.block_on(renew(&shared)) {
            Standing::Alive => renewed = Instant::now(),
            Standing::Unknown if renewed.elapsed() < ttl.mul_f64(0.6) => {}
            // Others take us for dead, or may do so soon: what we execute must be over by then.
            Standing::Unknown | Standing::Dead => {
                tracing::error!(owner = %shared.owner(), "this process counts as dead; beginning anew");
                shared.reincarnate();
                registered = runtime.block_on(shared.register()).is_ok();
                renewed = Instant::now();
            }
        }
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
