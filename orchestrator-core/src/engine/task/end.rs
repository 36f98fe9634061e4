//! What becomes of a claimed task: its claim is renewed, it is done, it has failed, or it is given back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::engine::shared::Shared;
use crate::engine::task::look::{OpenTask, task_of};
use crate::engine::task::{TaskBrief, TaskError};
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
    /// Whether the task is to be stopped: its run is being cancelled, or it is past its deadline. What is said of its end counts all
    /// the same.
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
        self: &Arc<Self>,
        right: TaskRight,
        ttl: Option<Duration>,
    ) -> Result<Heartbeat, TaskError> {
        ttl.map_or(Ok(()), within_bounds)?;
        let task = self.claimed_task(right).await?;
        // Perhaps it is past its deadline, and nobody has looked.
        self.tend_if_due(right.run).await?;
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
        let (outcome, values) = match end {
            TaskEnd::Done(output) if !output.is_object() => {
                return Err(TaskError::Invalid("the output of a task is a JSON object".to_owned()));
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
        let task = match self.claimed_task(right).await {
            Ok(task) => task,
            Err(TaskError::Over { run, why }) => {
                return match self.ended_before(right, &outcome).await? {
                    // Whoever has not heard the answer asks again.
                    Some(true) => Ok(()),
                    Some(false) => Err(over(run, "it has ended before, and otherwise")),
                    None => Err(TaskError::Over { run, why }),
                };
            }
            Err(error) => return Err(error),
        };
        let end = serde_json::to_string(&outcome).map_err(|error| TaskError::Invalid(error.to_string()))?;
        let (ticket, owner, logs, end) = (task.ticket, right.token, Vec::new(), Arc::from(end));
        let lies_there = self.store.inbox(right.run).await?.rows;
        let said = lies_there.iter().find(|row| row.claim.ticket == ticket).and_then(|row| row.end.as_ref());
        if said.is_some_and(|said| *said != end) {
            return Err(over(right.run, "it has ended before, and otherwise"));
        }
        crate::failpoint!("task.delivering");
        match self.store.deliver(Deliver { ticket, owner, end, values, logs }).await? {
            Delivered::Kept => {}
            Delivered::Fenced => return Err(over(right.run, "it was not renewed in time")),
        }
        crate::failpoint!("task.delivered");
        self.tend(right.run).await?;
        self.ring_for_driver(right.run).await;
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
            None => Err(over(right.run, "no open claim of it has this token")),
        }
    }

    /// Whether the log says that the attempt under this claim has ended so; `None`: it was not ended by whoever had it.
    async fn ended_before(&self, right: TaskRight, outcome: &Finished) -> Result<Option<bool>, StoreError> {
        const PAGE: usize = 1_000;
        let (mut after, mut claimed) = (0, None);
        loop {
            let events = self.store.events_after(EventsAfter { run: right.run, after, limit: PAGE }).await?;
            let Some(last) = events.last() else { return Ok(None) };
            after = last.seq;
            for recorded in &events {
                match &recorded.event {
                    Event::StepClaimed(event) if event.owner == right.token => {
                        claimed = Some((event.step, event.attempt));
                    }
                    Event::StepLost(lost) if Some((lost.step, lost.attempt)) == claimed => return Ok(None),
                    event if claimed.is_some_and(|(step, _)| event.unit() == Some(step)) => {
                        match is_end_of(event, outcome) {
                            None => {}
                            is_so => return Ok(is_so),
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Whether an event is what follows when an attempt has ended so; `None`: it ends none.
fn is_end_of(event: &Event, outcome: &Finished) -> Option<bool> {
    let is_so = match event {
        Event::StepSucceeded(event) => *outcome == Finished::Succeeded(event.output.clone()),
        Event::StepIterated(event) => *outcome == Finished::Succeeded(event.output.clone()),
        Event::StepFailed(event) => {
            matches!(outcome, Finished::Failed { error, .. } if *error == event.error)
        }
        Event::StepInterrupted(_) | Event::StepCancelled(_) => *outcome == Finished::Interrupted,
        _ => return None,
    };
    Some(is_so)
}

/// A claim lasts neither for too short nor for too long.
pub(super) fn within_bounds(ttl: Duration) -> Result<(), TaskError> {
    TaskBrief::check_ttl(ttl).map_err(TaskError::Invalid)
}

fn over(run: RunId, why: &str) -> TaskError {
    TaskError::Over { run, why: why.to_owned() }
}
