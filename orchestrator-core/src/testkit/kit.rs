//! The kit: backends, places, cases, and how they are run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::RunId;
use crate::port::store::Store;
use crate::testkit::CASES;

/// Makes empty stores.
#[async_trait]
pub trait Backend: Send + Sync {
    /// A new, empty place for a store.
    async fn fresh(&self) -> Arc<dyn Place>;
}

/// Where one store's data are.
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync + 'static {
    /// A handle on the data: each time another one, where the backend can have several.
    async fn open(&self) -> Arc<dyn Store>;

    /// Whether the data outlive the closing of every handle.
    fn keeps(&self) -> bool {
        false
    }

    /// Changes, behind the store's back, the kind of a run's first event. `false` where that cannot be done.
    async fn forge_kind(&self, run: RunId, kind: &str) -> bool {
        let _ = (run, kind);
        false
    }
}

/// What a case does: panics if the store does not do what it must.
pub type CaseFn = fn(Arc<dyn Place>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// One thing that every store must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The methods of [`Store`] that it puts to the test.
    pub covers: &'static [&'static str],
    /// Does it, in a fresh place.
    pub check: CaseFn,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("covers", &self.covers).finish_non_exhaustive()
    }
}

/// Runs every case, each in a fresh place, and panics with the names of those that failed.
///
/// # Panics
/// If a case fails; what it says has been printed by then.
pub async fn run(backend: &dyn Backend) {
    let failed = failures(backend).await;
    assert!(failed.is_empty(), "{} of {} cases failed: {}", failed.len(), CASES.len(), failed.join(", "));
}

/// Runs every case, and gives the names of those that failed.
pub async fn failures(backend: &dyn Backend) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for case in CASES {
        let place = backend.fresh().await;
        // A task of its own: a panic ends it and nothing else.
        if tokio::spawn((case.check)(place)).await.is_err() {
            failed.push(case.name);
        }
    }
    failed
}
