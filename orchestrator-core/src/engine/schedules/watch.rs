//! Looking for schedules that are due.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::engine::shared::Shared;
use crate::port::store::{DocumentQuery, StoreError};
use crate::schedule::KIND;

/// How often to look, if nothing is due before: a schedule that somebody has just made is known after this.
const LOOK: Duration = Duration::from_secs(1);

/// How many schedules are looked at a time.
const PAGE: usize = 64;

/// Starts runs of schedules whose time has come, by the store's clock, until the engine stops.
pub(crate) async fn watch_schedules(shared: Weak<Shared>) {
    loop {
        let Some(held) = shared.upgrade() else { return };
        if held.is_stopping() {
            return;
        }
        let wait = held.start_what_is_due().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot look for schedules that are due");
            LOOK
        });
        let mut stopping = held.stopping.subscribe();
        let clock = held.clock.clone();
        drop(held);
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = clock.sleep_until(clock.now() + wait.min(LOOK)) => {}
        }
    }
}

impl Shared {
    /// Starts a run for each time that is due. Tells how long there is nothing more to do.
    async fn start_what_is_due(self: &Arc<Self>) -> Result<Duration, StoreError> {
        let query =
            DocumentQuery { kind: KIND.to_owned(), due: true, limit: PAGE, ..DocumentQuery::default() };
        let now = self.store.now().await?;
        let page = self.store.documents(query).await?;
        let mut have_moved = true;
        for row in &page.items {
            match row.due_at {
                Some(due) if due > now => return Ok(due.since(now)),
                _ if self.is_stopping() => return Ok(LOOK),
                _ => have_moved &= self.fire(row, now).await?,
            }
        }
        Ok(if page.more && have_moved { Duration::ZERO } else { LOOK })
    }
}
