//! Making room under a key whose author wants the latest: `on_full: cancel_oldest`.

use std::sync::Arc;

use crate::engine::driver::Driver;
use crate::engine::error::CommandError;
use crate::engine::shared::Shared;
use crate::id::RunId;
use crate::machine::{Asked, Command, Hold};
use crate::port::store::{KeyQuery, StoreError};
use crate::spec::{Concurrency, OnFull};
use crate::time::Timestamp;

/// Who cancels, as the log of the cancelled run has it.
pub(crate) const BY: &str = "concurrency";

impl Driver {
    /// Has those cancelled that are in the way of what waits here and wants that: once for each time that it begins to wait,
    /// also after the run was taken over.
    pub(crate) fn make_room(&mut self) {
        let Self { state, loaded, makes_room, .. } = self;
        let workflow = &loaded.workflow;
        let wants = |limited: &Option<Concurrency>| {
            limited.as_ref().is_some_and(|limited| limited.on_full == OnFull::CancelOldest)
        };
        let waits = state.parked().filter(|unit| wants(&workflow.step(unit.step).options().concurrency));
        let waits = waits.filter_map(|unit| state.slot(unit).parked());
        let own = state.waited_place().filter(|_| wants(&workflow.concurrency));
        let waits = waits.filter(|hold| hold.claim.is_place()).chain(own);
        let waits: Vec<Arc<Hold>> = waits.cloned().collect();
        makes_room.retain(|key| waits.iter().any(|hold| hold.key == *key));
        for hold in waits {
            if makes_room.insert(hold.key.clone()) {
                let (shared, project, run) = (self.shared.clone(), self.origin.project.clone(), self.run);
                self.shared.tasks.spawn(async move { shared.cancel_oldest(run, &project, &hold).await });
            }
        }
    }
}

impl Shared {
    /// Of all the runs that hold a place under a key or wait for one, with this one no more are left than it allows: those that
    /// came first are cancelled. Whoever came later sees to the rest.
    async fn cancel_oldest(&self, run: RunId, project: &Arc<str>, hold: &Hold) {
        let others = match self.came_before(run, project, hold).await {
            Ok(others) => others,
            Err(error) => {
                return tracing::warn!(%run, key = %hold.key, %error, "cannot look who is in the way");
            }
        };
        let many = (others.len() + 1).saturating_sub(hold.limit() as usize);
        let reason = format!(
            "{run} wants a place under `{}`, of which there are {}, and `on_full` is `cancel_oldest`",
            hold.key,
            hold.limit()
        );
        for other in others.into_iter().take(many) {
            let asked = Asked { by: BY.into(), reason: Some(reason.as_str().into()) };
            match self.say(other, Command::Cancel(asked)).await {
                Ok(_) | Err(CommandError::Rejected(_) | CommandError::NotFound(_)) => {}
                // It waits for its turn, as without the word.
                Err(error) => tracing::warn!(%run, %other, %error, "cannot cancel who is in the way"),
            }
        }
    }

    /// The other runs that hold a place under a key, or have waited for one for longer, the first first.
    async fn came_before(
        &self,
        run: RunId,
        project: &Arc<str>,
        hold: &Hold,
    ) -> Result<Vec<RunId>, StoreError> {
        let query = KeyQuery {
            project: Some(project.clone()),
            key: Some(hold.key.clone()),
            limit: usize::MAX,
            ..KeyQuery::default()
        };
        let waiters = self.store.waiters(query.clone()).await?;
        let holds = self.store.holds(query).await?;
        let own = waiters.iter().find(|row| row.run == run).map(|row| (row.since, row.run));
        let waits = waiters.iter().map(|row| (row.since, row.run));
        let waits = waits.filter(|place| own.is_none_or(|own| *place < own));
        let mut others: Vec<(Timestamp, RunId)> =
            holds.iter().map(|row| (row.since, row.run)).chain(waits).filter(|(_, of)| *of != run).collect();
        others.sort_unstable();
        // One that holds several places counts once: it is cancelled as a whole.
        let mut runs: Vec<RunId> = Vec::with_capacity(others.len());
        for (_, of) in others {
            if !runs.contains(&of) {
                runs.push(of);
            }
        }
        Ok(runs)
    }
}
