//! Queues that ring when they should not, or do not when they should.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::list::Wrong::{
    DoesNotLookAtTheClock, DoesNotRingForReleases, ListensTooLate, LosesWakeUps, NeverRings,
    PublishesAgainUnheard, RingsForAnyQueue, RingsForOne, RingsForWhatIsHidden, RingsInItsOwnHandleOnly,
    RingsOnce, RingsSeldom, RingsTheFirstWhoCame, TakesWhatItRingsFor, WaitsForEver,
};
use super::place::lock;
use super::spoiled::Spoiled;
use crate::port::queue::{MAX_DELAY, NewTicket, Queue, QueueError, Receive, Wait, Woken};

async fn ring(mut bell: watch::Receiver<u64>) -> Woken {
    match bell.changed().await {
        Ok(()) => Woken::Rung,
        Err(_) => pending().await,
    }
}

impl Spoiled {
    /// Rings the bells of its own, for what it rings for.
    pub(super) fn has_published(&self, tickets: &[NewTicket]) {
        let is_loud = |new: &NewTicket| match self.wrong {
            RingsForWhatIsHidden => &*new.queue == "main",
            RingsForAnyQueue => new.after.is_zero(),
            _ => &*new.queue == "main" && new.after.is_zero(),
        };
        // Seldom: each tenth time it rings nobody.
        let is_mute = self.wrong == RingsSeldom && self.world.kept.fetch_add(1, Ordering::Relaxed) % 10 == 9;
        if tickets.iter().any(is_loud) && !is_mute {
            self.ring_all();
        }
    }

    pub(super) fn has_released(&self) {
        if self.wrong != DoesNotRingForReleases {
            self.ring_all();
        }
    }

    fn ring_all(&self) {
        self.world.bell.send_modify(|count| *count += 1);
        self.bell.send_modify(|count| *count += 1);
        if let Some(first) = lock(&self.world.waiting).pop_front() {
            // It may have gone away: that is what is wrong.
            let _ = first.send(());
        }
    }

    async fn look(&self, wait: &Wait) -> Result<bool, QueueError> {
        let look = Wait { queues: wait.queues.clone(), timeout: Duration::ZERO };
        Ok(self.right.wait(look).await? == Woken::Rung)
    }

    pub(super) async fn wait_wrongly(&self, wait: Wait) -> Result<Woken, QueueError> {
        let (bell, own) = (self.world.bell.subscribe(), self.bell.subscribe());
        let there = self.look(&wait).await?;
        if self.wrong == TakesWhatItRingsFor {
            let woken = self.right.wait(wait.clone()).await;
            let receive = Receive { queues: wait.queues, max: 1, visibility: Duration::from_secs(9999) };
            self.right.receive(receive).await?;
            return woken;
        }
        if wait.timeout.is_zero() {
            return Ok(if there { Woken::Rung } else { Woken::TimedOut });
        }
        match self.wrong {
            RingsSeldom if !there => Ok(ring(bell).await),
            NeverRings if !there => pending().await,
            WaitsForEver => self.right.wait(Wait { timeout: MAX_DELAY, ..wait }).await,
            LosesWakeUps => Ok(ring(bell).await),
            RingsForAnyQueue
            | RingsForWhatIsHidden
            | DoesNotRingForReleases
            | DoesNotLookAtTheClock
            | PublishesAgainUnheard
                if !there =>
            {
                Ok(ring(bell).await)
            }
            RingsInItsOwnHandleOnly if !there => Ok(ring(own).await),
            ListensTooLate if !there => {
                // What is published here is neither seen nor heard.
                tokio::task::yield_now().await;
                Ok(ring(self.world.bell.subscribe()).await)
            }
            RingsOnce => self.wait_for_another_ring(bell, there).await,
            RingsForOne if !there => self.wait_for_a_ring_of_ones_own(bell).await,
            RingsTheFirstWhoCame if !there => {
                let (sender, first) = oneshot::channel();
                lock(&self.world.waiting).push_back(sender);
                match first.await {
                    Ok(()) => Ok(Woken::Rung),
                    Err(_) => pending().await,
                }
            }
            _ => self.right.wait(wait).await,
        }
    }

    /// Waits for a ring that came after the last one that was heard.
    async fn wait_for_another_ring(
        &self,
        mut bell: watch::Receiver<u64>,
        there: bool,
    ) -> Result<Woken, QueueError> {
        let is_new = *bell.borrow_and_update() > self.world.heard.load(Ordering::Relaxed);
        if !(there && is_new) && bell.changed().await.is_err() {
            return pending().await;
        }
        self.world.heard.fetch_max(*bell.borrow(), Ordering::Relaxed);
        Ok(Woken::Rung)
    }

    /// Waits for a ring that nobody else has heard.
    async fn wait_for_a_ring_of_ones_own(&self, mut bell: watch::Receiver<u64>) -> Result<Woken, QueueError> {
        while bell.changed().await.is_ok() {
            let rung = *bell.borrow_and_update();
            if self.world.heard.fetch_max(rung, Ordering::Relaxed) < rung {
                return Ok(Woken::Rung);
            }
        }
        pending().await
    }
}
