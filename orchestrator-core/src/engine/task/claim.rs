//! Claiming a task.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use crate::engine::error::CommandError;
use crate::engine::order::Order;
use crate::engine::shared::Shared;
use crate::engine::task::TaskError;
use crate::engine::task::end::within_bounds;
use crate::engine::task::look::{FindTasks, OpenTask, Surroundings, ended};
use crate::engine::task::said::Said;
use crate::engine::values::load_value;
use crate::id::{OwnerId, RunId};
use crate::machine::{Command, Fence, Holds, Rejection};
use crate::port::plugin::Request;
use crate::port::store::{HoldRow, KeyQuery, NewOwner, OfferQuery, Renewal, Serves, StoreError};
use crate::spec::MAX_LABEL;
use crate::time::Timestamp;

/// A wish to claim a task: the first of those that are looked for.
#[derive(Debug, Clone, Default)]
pub struct ClaimTask {
    /// Which.
    pub find: FindTasks,
    /// Who claims it, for people; at most [`MAX_LABEL`] bytes.
    pub by: String,
    /// How long the claim lasts that nobody renews; `None`: as long as the task says. [`crate::engine::MIN_TTL`] to
    /// [`crate::engine::MAX_TTL`].
    pub ttl: Option<Duration>,
}

/// A task that was claimed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimedTask {
    /// The task.
    pub task: OpenTask,
    /// The claim itself: whoever renews it or ends the task names it. It keeps out who comes too late, not who may read the store:
    /// the log has it too.
    pub token: OwnerId,
    /// When it ends if nobody renews it, by the store's clock.
    pub until: Timestamp,
    /// How long it lasts without renewal.
    pub ttl: Duration,
    /// All that whoever does it has to know.
    pub prompt: Arc<str>,
    /// Anything else that it was given.
    pub data: Value,
    /// What it holds until it ends: nobody else's meanwhile.
    pub holds: Vec<HoldRow>,
}

impl Shared {
    /// Claims the first of the tasks that are looked for, if there is one that can be claimed.
    pub(crate) async fn claim_task(
        self: &Arc<Self>,
        wish: &ClaimTask,
    ) -> Result<Option<ClaimedTask>, TaskError> {
        wish.ttl.map_or(Ok(()), within_bounds)?;
        if wish.by.len() > MAX_LABEL {
            let told =
                format!("who claims it is told in {} bytes, and {MAX_LABEL} are the most", wish.by.len());
            return Err(TaskError::Invalid(told));
        }
        let token = OwnerId::from_uuid(self.ids.uuid());
        let mut claimant = Claimant { shared: self, token, wish, is_known: false, refused: None };
        let claimed = claimant.claim_first().await;
        if claimant.is_known && !matches!(claimed, Ok(Some(_))) {
            // It would die by itself.
            let _ = self.store.retire(token).await;
        }
        claimed
    }
}

/// Whoever claims.
struct Claimant<'a> {
    shared: &'a Arc<Shared>,
    token: OwnerId,
    wish: &'a ClaimTask,
    is_known: bool,
    /// Why one that nothing seemed to be in the way of could not be claimed for want of room.
    refused: Option<String>,
}

impl Claimant<'_> {
    async fn claim_first(&mut self) -> Result<Option<ClaimedTask>, TaskError> {
        let find = FindTasks { all: self.wish.find.run.is_some(), ..self.wish.find.clone() };
        let (mut around, mut after, mut seen) = (Surroundings::of(&*self.shared.store).await?, None, None);
        while let Some((tasks, next)) = around.page(&find, after).await? {
            for task in tasks {
                if let Some(obstacle) = &task.obstacle {
                    seen.get_or_insert_with(|| obstacle.to_string());
                } else if let Some(claimed) = self.claim(task).await? {
                    return Ok(Some(claimed));
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        match (self.wish.find.run, seen.or_else(|| self.refused.take())) {
            (None, _) => Ok(None),
            (Some(run), Some(why)) => Err(TaskError::Obstructed { run, why }),
            (Some(run), None) => Err(self.shared.not_open(run).await?),
        }
    }

    /// Claims this one, unless somebody else is faster.
    async fn claim(&mut self, task: OpenTask) -> Result<Option<ClaimedTask>, TaskError> {
        let ttl = self.wish.ttl.unwrap_or(task.brief.claim_ttl);
        let until = self.live(ttl).await?;
        let fence = Fence { epoch: task.ticket.epoch, owner: self.token };
        let command = Command::Claim { step: task.ticket.unit(), fence };
        match self.shared.command_directly(task.ticket.run, &command, &[]).await {
            Ok(_) => {}
            // Somebody was faster, or nothing of the run begins any more.
            Err(
                CommandError::Rejected(Rejection::Fenced | Rejection::Held(_) | Rejection::Ended(_))
                | CommandError::Contended
                | CommandError::NotFound(_),
            ) => return Ok(None),
            Err(error @ CommandError::Full(_)) => {
                self.refused = Some(error.to_string());
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let Said { prompt, data, .. } = self.shared.said(&task).await?;
        let holds = self.shared.held(&task).await?;
        Ok(Some(ClaimedTask { task, token: self.token, until, ttl, prompt, data, holds }))
    }

    /// Is alive for this long from now on.
    async fn live(&mut self, ttl: Duration) -> Result<Timestamp, TaskError> {
        if !self.is_known {
            let (id, label, serves) = (self.token, self.wish.by.clone(), Serves::default());
            self.shared.store.register(NewOwner { id, ttl, label, serves, outside: true }).await?;
            self.is_known = true;
            return Ok(self.shared.store.now().await? + ttl);
        }
        match self.shared.store.renew(self.token, ttl).await? {
            Renewal::Alive(until) => Ok(until),
            Renewal::Dead => Err(StoreError::Busy.into()),
        }
    }
}

impl Shared {
    /// What a task was given, whole.
    async fn said(&self, task: &OpenTask) -> Result<Said, StoreError> {
        let run = task.ticket.run;
        let unit =
            OfferQuery { run: Some(run), tasks: Some(true), limit: usize::MAX, ..OfferQuery::default() };
        let rows = self.store.offers(unit).await?.items;
        let row = rows.into_iter().find(|row| row.offer.ticket == task.ticket);
        let corrupt = |why: String| StoreError::Corrupt(format!("a task of {run}: {why}"));
        let row = row.ok_or_else(|| corrupt("it was claimed, and is gone".to_owned()))?;
        let order = load_value(self, run, &row.offer.order).await?;
        let order = Order::deserialize(&*order).map_err(|error| corrupt(error.to_string()))?;
        let request = load_value(self, run, &order.request).await?;
        let request = Request::deserialize(&*request).map_err(|error| corrupt(error.to_string()))?;
        Said::of(&request.with).map_err(corrupt)
    }

    /// What a task holds that has been claimed.
    async fn held(&self, task: &OpenTask) -> Result<Vec<HoldRow>, StoreError> {
        if task.brief.holds.as_ref().is_some_and(Holds::is_empty) {
            return Ok(Vec::new());
        }
        let (run, unit) = (task.ticket.run, task.ticket.unit());
        let query = KeyQuery { runs: vec![run], limit: usize::MAX, ..KeyQuery::default() };
        let mut rows = self.store.holds(query).await?;
        rows.retain(|row| (row.step, row.item) == (unit.step, unit.item()));
        Ok(rows)
    }

    /// Why nothing of a run can be claimed.
    pub(super) async fn not_open(&self, run: RunId) -> Result<TaskError, StoreError> {
        let Some(row) = self.store.run(run).await? else { return Ok(TaskError::NotFound(run)) };
        let why = match row.finished_at {
            Some(_) => format!("has {}", ended(&row.status)),
            None => "has no task that is open".to_owned(),
        };
        Ok(TaskError::NotOpen { run, why })
    }
}
