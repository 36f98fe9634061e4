//! What becomes of a claimed task: its claim is renewed, it is done, it has failed, or it is given back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::engine::shared::Shared;
use crate::engine::task::TaskError;
use crate::engine::task::look::{OpenTask, task_of};
use crate::id::{OwnerId, RunId};
use crate::machine::{Event, Finished, StepError};
use crate::port::store::{Deliver, Delivered, EventsAfter, OfferQuery, Renewal, StoreError};
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;
use crate::value::ValueRef;

/// The claim of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRight {
    /// The run of the task.
    pub run: RunId,
    /// What whoever claimed it was given: [`crate::engine::ClaimedTask::token`].
    pub token: OwnerId,
}

/// A claim that was renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// When it ends if nobody renews it, by the store's clock.
    pub until: Timestamp,
    /// Whether the task is to be stopped: its run is being cancelled, or it is past its deadline. Whatever is said of its end
    /// then, nothing more comes of it.
    pub stop: bool,
}

/// How whoever has claimed a task ends it.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEnd {
    /// It is done, and gives this: a JSON object.
    Done(Value),
    /// It has failed.
    Failed {
        /// Why, in at most [`StepError::MESSAGE_LIMIT`] bytes.
        message: String,
        /// Whether nobody else is to try.
        for_good: bool,
    },
    /// It is given back: whoever comes next can claim it.
    Released,
}

impl Shared {
    /// Renews a claim.
    pub(crate) async fn renew_claim(
        &self,
        right: TaskRight,
        ttl: Option<Duration>,
    ) -> Result<Heartbeat, TaskError> {
        let task = self.claimed_task(right).await?;
        match self.store.renew(right.token, ttl.unwrap_or(task.brief.claim_ttl)).await? {
            Renewal::Alive(until) => {
                let stop = !self.store.stops(right.token).await?.is_empty();
                Ok(Heartbeat { until, stop })
            }
            Renewal::Dead => Err(over(right.run, "it was not renewed in time")),
        }
    }

    /// Says how a task has ended. Said again, it is so already.
    pub(crate) async fn end_task(self: &Arc<Self>, right: TaskRight, end: TaskEnd) -> Result<(), TaskError> {
        let task = match self.claimed_task(right).await {
            Ok(task) => task,
            // Whoever has not heard the answer asks again.
            Err(TaskError::Over { .. }) if self.was_ended_by(right).await? => return Ok(()),
            Err(error) => return Err(error),
        };
        let (outcome, values) = match end {
            TaskEnd::Done(output) if !output.is_object() => {
                return Err(TaskError::Invalid("what a task gives is a JSON object".to_owned()));
            }
            TaskEnd::Done(output) => {
                let encoded = ValueRef::encode(&output);
                let (reference, stored) =
                    encoded.map_err(|error| TaskError::Invalid(format!("it cannot be stored: {error}")))?;
                (Finished::Succeeded(reference), stored.into_iter().collect())
            }
            TaskEnd::Failed { message, for_good } => {
                let class = if for_good { ErrorClass::Invalid } else { ErrorClass::Failed };
                (Finished::Failed { error: StepError::new(class, message), not_before: None }, Vec::new())
            }
            TaskEnd::Released => (Finished::Interrupted, Vec::new()),
        };
        let end = serde_json::to_string(&outcome).map_err(|error| TaskError::Invalid(error.to_string()))?;
        let (ticket, owner, logs) = (task.ticket, right.token, Vec::new());
        crate::failpoint!("task.delivering");
        match self.store.deliver(Deliver { ticket, owner, end: end.into(), values, logs }).await? {
            Delivered::Kept => {}
            Delivered::Fenced => return Err(over(right.run, "it was not renewed in time")),
        }
        crate::failpoint!("task.delivered");
        self.tend(right.run).await?;
        if let Err(error) = self.store.retire(right.token).await {
            // It dies by itself.
            tracing::debug!(%error, "the claim of a task that has ended stays for a while");
        }
        Ok(())
    }

    /// The task that was claimed so.
    async fn claimed_task(&self, right: TaskRight) -> Result<OpenTask, TaskError> {
        let of_run =
            OfferQuery { run: Some(right.run), claimed: true, limit: usize::MAX, ..OfferQuery::default() };
        let rows = self.store.offers(of_run).await?.items;
        let mine = rows.into_iter().filter(|row| row.claim.is_some_and(|claim| claim.owner == right.token));
        match mine.filter_map(task_of).next() {
            Some(task) => Ok(task),
            None if self.store.run(right.run).await?.is_none() => Err(TaskError::NotFound(right.run)),
            None => Err(over(right.run, "its token names no claim that is open")),
        }
    }

    /// Whether the log says that an attempt under this claim was ended by whoever had it.
    async fn was_ended_by(&self, right: TaskRight) -> Result<bool, StoreError> {
        const PAGE: usize = 1_000;
        let (mut after, mut claimed) = (0, None);
        loop {
            let events = self.store.events_after(EventsAfter { run: right.run, after, limit: PAGE }).await?;
            let Some(last) = events.last() else { return Ok(false) };
            after = last.seq;
            for recorded in &events {
                match &recorded.event {
                    Event::StepClaimed(event) if event.owner == right.token => {
                        claimed = Some((event.step, event.attempt));
                    }
                    Event::StepLost(lost) if Some((lost.step, lost.attempt)) == claimed => return Ok(false),
                    Event::StepSucceeded(_)
                    | Event::StepFailed(_)
                    | Event::StepInterrupted(_)
                    | Event::StepIterated(_)
                        if recorded.event.unit() == claimed.map(|(step, _)| step) =>
                    {
                        return Ok(true);
                    }
                    _ => {}
                }
            }
        }
    }
}

fn over(run: RunId, why: &str) -> TaskError {
    TaskError::Over { run, why: why.to_owned() }
}
