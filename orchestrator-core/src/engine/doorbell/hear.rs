//! Hearing: waiting for tickets, and looking at the store when one comes.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::engine::doorbell::ring::{AGAIN, Doorbell, PATIENCE, Ring};
use crate::engine::shared::Shared;
use crate::id::{OwnerId, RunId};
use crate::port::queue::{
    Delivery, MAX_QUEUES, QueueError, Receive, Settle, Settled, Settlement, Wait, Woken,
};
use crate::port::store::StoreError;
use crate::time::Clock;

/// The queue in which it is rung for runs that are due and that nobody drives. What is for whoever drives a run is rung for in a
/// queue that is called as that owner is; what is offered, in the queue that the step names.
pub const RUNS_QUEUE: &str = "runs";

/// How long is waited at a time.
const WAIT: Duration = Duration::from_secs(5);

/// How long a ticket is hidden while it is looked at: one read, and it is settled.
const VISIBILITY: Duration = Duration::from_secs(60);

/// The most tickets that are taken at a time.
const MOST: usize = 64;

/// How often a ticket may come before it is buried: nobody who was given it has lived to settle it.
const OFTEN: u32 = 16;

/// The queue of one owner.
pub(super) fn own_queue(owner: OwnerId) -> Arc<str> {
    owner.to_string().into()
}

impl Shared {
    /// The queues whose tickets are for this engine now. Where there is no slot, those of others are left to others.
    fn queues_to_hear(&self) -> Vec<Arc<str>> {
        let mut queues = vec![own_queue(self.owner())];
        if self.polls && !self.is_stopping() && self.slots.available_permits() > 0 {
            queues.push(RUNS_QUEUE.into());
            queues.extend(self.serves.queues.iter().cloned());
        }
        queues.truncate(MAX_QUEUES);
        queues
    }

    /// What is to become of tickets: those of runs that the store does not know are of no use to anybody.
    async fn judge(&self, came: &[Delivery]) -> Result<Vec<Settlement>, StoreError> {
        let runs: HashSet<RunId> = came.iter().map(|delivery| delivery.ticket.run()).collect();
        let runs: Vec<RunId> = runs.into_iter().collect();
        let known: HashSet<RunId> = self.store.heads(&runs).await?.into_iter().map(|(run, _)| run).collect();
        let judge = |delivery: &Delivery| {
            let run = delivery.ticket.run();
            if !known.contains(&run) {
                return Settlement::Bury { reason: format!("the store knows no run {run}").into() };
            }
            if delivery.count > OFTEN {
                let reason = format!("it has come {} times, and nobody has settled it", delivery.count);
                return Settlement::Bury { reason: reason.into() };
            }
            Settlement::Done
        };
        Ok(came.iter().map(judge).collect())
    }
}

impl Shared {
    /// Has whoever drives a run look at it: something was delivered to it.
    pub(crate) async fn ring_for_driver(&self, run: RunId) {
        let Some(bell) = &self.doorbell else { return };
        match self.store.run(run).await {
            Ok(Some(row)) if row.driver != Some(self.owner()) => bell.ring([match row.driver {
                Some(driver) => Ring::for_driver(run, driver),
                None => Ring::for_anybody(run, row.new.priority, self.clock.now()),
            }]),
            Ok(_) => {}
            Err(error) => tracing::debug!(%run, %error, "cannot look who drives a run"),
        }
    }

    /// Takes away what was rung for owners that are dead.
    pub(crate) fn forget_the_dead(self: &Arc<Self>, dead: Vec<OwnerId>) {
        if let Some(bell) = self.doorbell.clone() {
            let clock = self.clock.clone();
            self.tasks.spawn(async move { forget(&bell, &*clock, &dead).await });
        }
    }

    /// Has all published that was rung for; takes a moment at most.
    pub(crate) async fn have_rung(&self) {
        if let Some(bell) = &self.doorbell {
            bell.rung(&*self.clock).await;
        }
    }

    /// As [`Shared::have_rung`]; and takes away what was rung for this engine.
    pub(crate) async fn leave_the_bell(&self) {
        self.have_rung().await;
        if let Some(bell) = self.doorbell.as_ref().filter(|bell| !bell.is_failing()) {
            forget(bell, &*self.clock, &[self.owner()]).await;
        }
    }
}

/// Hears what is rung for, until the engine is gone.
pub(crate) async fn hear(shared: Weak<Shared>, bell: Arc<Doorbell>) {
    loop {
        let Some(held) = shared.upgrade() else { return };
        if held.is_stopping() {
            return;
        }
        let (clock, queues) = (held.clock.clone(), held.queues_to_hear());
        let mut stopping = held.stopping.subscribe();
        drop(held);
        let wait = Wait { queues: queues.clone(), timeout: WAIT };
        let waiting = bell.within(&*clock, WAIT + PATIENCE, bell.queue.wait(wait));
        let woken = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            woken = waiting => woken,
        };
        let heard = match woken {
            Ok(Woken::TimedOut) => continue,
            Ok(Woken::Rung) => take(&shared, &bell, queues, &*clock).await,
            Err(error) => Err(error),
        };
        if let Err(error) = heard {
            bell.complain(clock.now(), &error);
            clock.sleep_until(clock.now() + AGAIN).await;
        }
    }
}

/// Takes tickets, has the store looked at, and settles them.
async fn take(
    shared: &Weak<Shared>,
    bell: &Doorbell,
    queues: Vec<Arc<str>>,
    clock: &dyn Clock,
) -> Result<(), QueueError> {
    let Some(held) = shared.upgrade() else { return Ok(()) };
    let max = held.slots.available_permits().clamp(1, MOST);
    let receive = Receive { queues, max, visibility: VISIBILITY };
    let came = bell.within(clock, PATIENCE, bell.queue.receive(receive)).await?;
    if came.is_empty() {
        return Ok(());
    }
    // The store is looked at whatever is on them.
    held.rung.notify_one();
    let fates = match held.judge(&came).await {
        Ok(fates) => fates,
        Err(error) => {
            // They come again, when the store may know.
            tracing::debug!(%error, "cannot look what tickets are about");
            return Ok(());
        }
    };
    drop(held);
    for (delivery, how) in came.into_iter().zip(fates) {
        settle(bell, clock, delivery, how).await?;
    }
    Ok(())
}

async fn settle(
    bell: &Doorbell,
    clock: &dyn Clock,
    delivery: Delivery,
    mut how: Settlement,
) -> Result<Settled, QueueError> {
    if let Settlement::Bury { reason } = &how {
        let (queue, run, count) = (&delivery.queue, delivery.ticket.run(), delivery.count);
        tracing::warn!(%queue, %run, count, %reason, "a ticket that is of no use to anybody");
        if !bell.buries() {
            how = Settlement::Done;
        }
    }
    let settle = Settle { receipt: delivery.receipt, how };
    bell.within(clock, PATIENCE, bell.queue.settle(settle)).await
}

/// Takes away what was rung for owners that are no more.
pub(crate) async fn forget(bell: &Doorbell, clock: &dyn Clock, owners: &[OwnerId]) {
    for owner in owners {
        let empty = async {
            loop {
                let receive = Receive { queues: vec![own_queue(*owner)], max: MOST, visibility: VISIBILITY };
                let came = bell.queue.receive(receive).await?;
                if came.is_empty() {
                    return Ok(());
                }
                for delivery in came {
                    let settle = Settle { receipt: delivery.receipt, how: Settlement::Done };
                    bell.queue.settle(settle).await?;
                }
            }
        };
        if let Err(error) = bell.within(clock, AGAIN, empty).await {
            return bell.complain(clock.now(), &error);
        }
    }
}
