//! Which queues are paused, as far as this process has looked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::driver::Driver;
use crate::engine::note::Note;
use crate::engine::queues::paused_queues;
use crate::engine::shared::Shared;
use crate::id::{RunId, Unit};
use crate::machine::StepState;
use crate::port::store::StoreError;
use crate::time::Timestamp;

/// How long what was seen counts, though nothing has changed.
const FRESH: Duration = Duration::from_secs(1);

/// How long it counts where something has changed in the store.
const AGAIN: Duration = Duration::from_millis(250);

/// How many runs that wait for the end of a pause are taken up, before the rest is left in the store.
const HELD: usize = 1_000;

/// Which queues are paused.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Whether any is: asked for every step that begins.
    any: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When it was looked, and what the store's mark was before.
    at: Option<(Timestamp, u64)>,
    queues: BTreeSet<Arc<str>>,
    /// The runs driven here of which something waits for the end of a pause.
    held: BTreeSet<RunId>,
}

impl Known {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Whether a queue is paused, as far as is known.
    pub(crate) fn is_paused(&self, queue: &str) -> bool {
        self.queues.any.load(Ordering::Acquire) && self.queues.seen().queues.contains(queue)
    }

    /// Whether so many runs wait here for the end of a pause that others are left where they are.
    pub(crate) fn holds_enough(&self) -> bool {
        self.queues.any.load(Ordering::Acquire) && self.queues.seen().held.len() >= HELD
    }

    /// Looks which queues are paused, unless that is known of this moment. Nothing is begun by who does not know it.
    pub(crate) async fn know_what_is_paused(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        match self.queues.seen().at {
            Some((at, _)) if now.since(at) < FRESH => return Ok(()),
            _ => {}
        }
        let mark = self.store.change_mark().await?;
        self.look_for_paused_queues(mark).await
    }

    /// Looks again if something has changed, and at the latest every second. The mark is the store's, of before.
    pub(crate) async fn look_for_paused_queues(&self, mark: u64) -> Result<(), StoreError> {
        let now = self.clock.now();
        match self.queues.seen().at {
            Some((at, seen)) if now.since(at) < if seen == mark { FRESH } else { AGAIN } => return Ok(()),
            _ => {}
        }
        let found: BTreeSet<Arc<str>> =
            paused_queues(&*self.store).await?.into_iter().map(|paused| paused.queue).collect();
        let held = {
            let mut seen = self.queues.seen();
            seen.at = Some((now, mark));
            let resumed = seen.queues.difference(&found).next().is_some();
            self.queues.any.store(!found.is_empty(), Ordering::Release);
            seen.queues = found;
            if resumed { std::mem::take(&mut seen.held) } else { BTreeSet::new() }
        };
        if !held.is_empty() {
            held.into_iter().for_each(|run| self.tell(run, Note::Served));
            // There is room for more.
            self.bell.notify_one();
        }
        Ok(())
    }

    /// A driver lets go of its run.
    pub(crate) fn forget_paused(&self, run: RunId) {
        self.queues.seen().held.remove(&run);
    }
}

impl Driver {
    /// Waits until it is known which queues are paused.
    pub(crate) async fn know_what_is_paused(&mut self) {
        while let Err(error) = self.shared.know_what_is_paused().await {
            tracing::debug!(run = %self.run, %error, "cannot look which queues are paused");
            // Asking again would find the same; or nothing begins here any more.
            if !error.is_retryable() || self.shared.is_stopping() || self.incarnation.is_over() {
                return;
            }
            self.pause_before_retry().await;
        }
    }

    /// Whether a step or item waits because its queue is paused. What has begun before goes on.
    pub(crate) fn is_held(&self, step: Unit, queue: &str) -> bool {
        let known = &self.shared.queues;
        if !known.any.load(Ordering::Acquire) {
            return false;
        }
        let mut seen = known.seen();
        let has_begun = self.state.find(step).is_some_and(|slot| {
            let arrival = &slot.state;
            matches!(arrival, StepState::Arrived { .. } | StepState::Parked { arrival: Some(_), .. })
        });
        let is_held = seen.queues.contains(queue) && !has_begun;
        if is_held {
            seen.held.insert(self.run);
        }
        is_held
    }
}
