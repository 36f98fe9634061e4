//! Seeing to tasks where no engine waits for them: what was delivered is taken in, what was lost is offered again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::error::DriveError;
use crate::engine::note::Note;
use crate::engine::shared::{Actor, Shared};
use crate::engine::task::TaskError;
use crate::id::{OwnerId, RunId};
use crate::port::store::{OfferQuery, OfferRow, StoreError};
use crate::time::Timestamp;

/// How many runs that are due are looked at.
const DUE: usize = 256;

/// How many claims are read at once.
const PAGE: usize = 256;

/// How long a run is driven at most before it is left to whoever comes next.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether another process has taken in what was delivered.
const LOOK: Duration = Duration::from_millis(10);

impl Shared {
    /// Sees to the stand-alone tasks that nobody drives: those whose claims are over, and those that have something due.
    pub(crate) async fn tend_tasks(self: &Arc<Self>) -> Result<(), StoreError> {
        self.store.sweep().await?;
        let mut runs = self.abandoned_tasks().await?;
        for due in self.store.claim_due(DUE).await? {
            runs.insert(due.run);
        }
        for run in runs {
            match self.tend(run).await {
                Ok(()) => {}
                Err(TaskError::Store(error)) => return Err(error),
                // Whoever comes next tries again.
                Err(error) => tracing::debug!(%run, %error, "cannot see to a task"),
            }
        }
        Ok(())
    }

    /// The runs of tasks that were claimed by somebody who is dead.
    async fn abandoned_tasks(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let (mut runs, mut after) = (BTreeSet::new(), None);
        let mut alive: Option<BTreeSet<OwnerId>> = None;
        loop {
            let query =
                OfferQuery { claimed: true, tasks: Some(true), after, limit: PAGE, ..OfferQuery::default() };
            let page = self.store.offers(query).await?;
            after = page.items.last().map(OfferRow::place);
            for row in &page.items {
                let Some(claim) = row.claim else { continue };
                let alive = match &mut alive {
                    Some(alive) => alive,
                    None => {
                        let owners = self.store.owners().await?;
                        alive.insert(owners.into_iter().map(|owner| owner.id).collect())
                    }
                };
                if !alive.contains(&claim.owner) {
                    runs.insert(row.offer.ticket.run);
                }
            }
            if !page.more || after.is_none() {
                return Ok(runs);
            }
        }
    }

    /// Sees to it that what was delivered for a run is taken in, and drives a stand-alone task until there is nothing left to do
    /// for it. What else nobody drives is left to whoever does.
    pub(crate) async fn tend(self: &Arc<Self>, run: RunId) -> Result<(), TaskError> {
        let until = self.clock.now() + PATIENCE;
        if let Some(actor) = self.actor(run) {
            // One that is gone has let the run go.
            let _ = actor.mailbox.send(Note::Delivered);
            return self.wait_for_rest(run, actor, until).await;
        }
        if !self.is_task(run).await? {
            return Ok(());
        }
        match self.drive(run).await {
            Ok(None) => Ok(()),
            Ok(Some(actor)) => self.wait_for_rest(run, actor, until).await,
            // It takes in what lies there; whoever asks next sees it.
            Err(DriveError::Driven { .. }) => {
                while self.has_news(run).await? && self.clock.now() < until {
                    self.clock.sleep_until(self.clock.now() + LOOK).await;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a run is a stand-alone task.
    async fn is_task(&self, run: RunId) -> Result<bool, StoreError> {
        // Without its log: most runs that are due are none.
        if self.store.run(run).await?.is_none_or(|row| row.new.steps != 1) {
            return Ok(false);
        }
        let Some(opened) = self.open(run).await? else { return Ok(false) };
        Ok(matches!(&opened.loaded.workflow.steps[..], [step] if step.is_task()))
    }

    async fn has_news(&self, run: RunId) -> Result<bool, StoreError> {
        Ok(!self.store.inbox(run).await?.rows.is_empty())
    }

    /// Waits until nothing is left that was delivered, and only somebody from outside can move the run.
    async fn wait_for_rest(&self, run: RunId, actor: Actor, until: Timestamp) -> Result<(), TaskError> {
        let mut progress = actor.progress;
        while self.clock.now() < until {
            let is_at_rest = {
                let progress = progress.borrow_and_update();
                progress.ended || !progress.driven || progress.status == "blocked"
            };
            if is_at_rest && !self.has_news(run).await? {
                break;
            }
            tokio::select! {
                biased;
                changed = progress.changed() => if changed.is_err() { break },
                () = self.clock.sleep_until(self.clock.now() + LOOK) => {}
            }
        }
        Ok(())
    }
}
