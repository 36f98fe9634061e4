//! Seeing to tasks where no engine waits for them: what was delivered is taken in, what was lost is offered again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::error::DriveError;
use crate::engine::note::Note;
use crate::engine::shared::Shared;
use crate::engine::task::TaskError;
use crate::id::{OwnerId, RunId};
use crate::port::store::{OfferQuery, OfferRow, StoreError};

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
        self.tend_abandoned_tasks().await?;
        for due in self.store.claim_due(DUE).await? {
            self.try_to_tend(due.run).await?;
        }
        Ok(())
    }

    /// Sees to the stand-alone tasks that were claimed by somebody who is dead.
    pub(crate) async fn tend_abandoned_tasks(self: &Arc<Self>) -> Result<(), StoreError> {
        for run in self.abandoned_tasks().await? {
            self.try_to_tend(run).await?;
        }
        Ok(())
    }

    /// Sees to a run, if that can be: one that cannot be read, or that another process takes meanwhile, is in no other's way.
    async fn try_to_tend(self: &Arc<Self>, run: RunId) -> Result<(), StoreError> {
        match self.tend(run).await {
            Err(TaskError::Store(error @ (StoreError::Unavailable(_) | StoreError::Busy))) => Err(error),
            Err(error) => {
                tracing::debug!(%run, %error, "cannot see to a task");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
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
        if let Some(actor) = self.actor(run) {
            // One that is gone has let the run go.
            let _ = actor.mailbox.send(Note::Delivered);
            return self.wait_until(run, Quiet::NoNews).await;
        }
        if !self.is_task(run).await? {
            return Ok(());
        }
        match self.drive(run).await {
            Ok(None) => Ok(self.drop_deliveries(run).await?),
            Ok(Some(_)) => self.wait_until(run, Quiet::AtRest).await,
            // It takes in what lies there; whoever asks next sees it.
            Err(DriveError::Driven { .. }) => self.wait_until(run, Quiet::NoNews).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Sees to a run if something of it is due: a deadline, for one.
    pub(crate) async fn tend_if_due(self: &Arc<Self>, run: RunId) -> Result<(), TaskError> {
        let due = self.store.run(run).await?.and_then(|row| row.due_at);
        match due {
            Some(due) if due <= self.store.now().await? => self.tend(run).await,
            _ => Ok(()),
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

    /// Whether a run is as quiet as that.
    async fn is_quiet(&self, run: RunId, quiet: Quiet) -> Result<bool, StoreError> {
        if !self.store.inbox(run).await?.rows.is_empty() {
            return Ok(false);
        }
        if quiet == Quiet::NoNews {
            return Ok(true);
        }
        let due = self.store.run(run).await?.and_then(|row| row.due_at);
        Ok(match due {
            Some(due) => due > self.store.now().await?,
            None => true,
        })
    }

    /// Looks at a run until it is quiet, or patience is at its end.
    async fn wait_until(&self, run: RunId, quiet: Quiet) -> Result<(), TaskError> {
        let until = self.clock.now() + PATIENCE;
        while !self.is_quiet(run, quiet).await? {
            if self.clock.now() >= until {
                tracing::debug!(%run, "a task is left to whoever comes next");
                break;
            }
            self.clock.sleep_until(self.clock.now() + LOOK).await;
        }
        Ok(())
    }
}

/// How quiet a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    /// Nothing lies there that was delivered.
    NoNews,
    /// Nor is anything due.
    AtRest,
}
