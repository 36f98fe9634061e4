//! Noticing what others write to a store.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::port::store::{Store, StoreError};

/// How often a store is asked whether anything has changed.
const EVERY: Duration = Duration::from_millis(20);

/// Notices changes of a store, whoever makes them.
#[derive(Debug)]
pub(crate) struct Changes {
    store: Arc<dyn Store>,
    seen: u64,
}

impl Changes {
    /// From here on.
    pub(crate) async fn of(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        Ok(Self { store: store.clone(), seen: store.change_mark().await? })
    }

    /// Returns when something may have changed since the last call; at the latest after `patience`.
    pub(crate) async fn next(&mut self, patience: Duration) -> Result<(), StoreError> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let mark = self.store.change_mark().await?;
            if mark != self.seen || tokio::time::Instant::now() >= until {
                self.seen = mark;
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
