//! Ringing: what others should hear of is gathered, and published by a task of its own. Nobody waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::engine::doorbell::hear::{RUNS_QUEUE, own_queue};
use crate::engine::shared::Shared;
use crate::id::{OwnerId, RunId};
use crate::port::queue::{
    Capabilities, MAX_DELAY, MAX_TICKETS, NewTicket, Publish, Queue, QueueError, Ticket,
};
use crate::port::store::Member;
use crate::time::{Clock, Timestamp};

/// How many rings are gathered; what comes beyond that is not rung for: those who hear the others look at all that there is.
const MOST: usize = 1_024;

/// How long a queue may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a queue is left alone that could not answer.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// How often it is told that a queue cannot be used.
const COMPLAINT: Duration = Duration::from_secs(60);

/// How often who rings looks whether the engine is still there.
const ALIVE: Duration = Duration::from_secs(1);

/// Something that others should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ring {
    queue: Arc<str>,
    ticket: Ticket,
    priority: i32,
    /// When there is something to do, if that is not at once.
    due: Option<Timestamp>,
}

impl Ring {
    /// For whoever drives a run.
    pub(crate) fn for_driver(run: RunId, driver: OwnerId) -> Self {
        Self { queue: own_queue(driver), ticket: Ticket::Run { run }, priority: 0, due: None }
    }

    /// For whoever drives a run that nobody drives.
    pub(super) fn for_anybody(run: RunId, priority: i32, due: Timestamp) -> Self {
        Self { queue: RUNS_QUEUE.into(), ticket: Ticket::Run { run }, priority, due: Some(due) }
    }
}

/// What a member leaves to others, once it is written: a run that is due and that nobody drives, one that somebody else drives,
/// and what it offers. Tasks are for those who come and ask.
pub(crate) fn rings_of(member: &Member) -> Vec<Ring> {
    let mut rings = Vec::new();
    add(member, &mut rings);
    rings
}

fn add(member: &Member, rings: &mut Vec<Ring>) {
    let summary = &member.summary;
    if summary.finished_at.is_none() {
        match (summary.driver, summary.due_at) {
            (None, Some(due)) => {
                let priority = member.create.as_ref().map_or(0, |new| new.priority);
                rings.push(Ring::for_anybody(member.run, priority, due));
            }
            // Said by somebody else.
            (Some(driver), _) if member.driver.is_none() && member.create.is_none() => {
                rings.push(Ring::for_driver(member.run, driver));
            }
            _ => {}
        }
    }
    let offers = member.remote.iter().flat_map(|remote| &remote.offers);
    rings.extend(offers.filter(|offer| offer.task.is_none()).map(|offer| Ring {
        queue: offer.queue.clone(),
        ticket: Ticket::Step(offer.ticket),
        priority: offer.priority,
        due: None,
    }));
    member.children.iter().for_each(|child| add(child, rings));
}

/// The queue of an engine.
#[derive(Debug)]
pub(crate) struct Doorbell {
    pub(super) queue: Arc<dyn Queue>,
    can: Capabilities,
    gathered: Mutex<BTreeMap<(Arc<str>, Ticket), Ring>>,
    more: Notify,
    /// Whether something is gathered or being published.
    busy: watch::Sender<bool>,
    /// Whether its last answer was none.
    failing: AtomicBool,
    complained: Mutex<Option<Timestamp>>,
}

impl Doorbell {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        let can = queue.describe().can;
        Self {
            queue,
            can,
            gathered: Mutex::default(),
            more: Notify::new(),
            busy: watch::Sender::new(false),
            failing: AtomicBool::new(false),
            complained: Mutex::default(),
        }
    }

    pub(super) const fn buries(&self) -> bool {
        self.can.letters > 0
    }

    fn gathered(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, Ticket), Ring>> {
        // A panic while the lock is held cannot leave the map half changed: every critical section is one call.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings soon. Neither waits nor fails.
    pub(crate) fn ring(&self, rings: impl IntoIterator<Item = Ring>) {
        let mut gathered = self.gathered();
        for ring in rings {
            if gathered.len() >= MOST {
                break;
            }
            gathered.insert((ring.queue.clone(), ring.ticket), ring);
        }
        if !gathered.is_empty() {
            self.busy.send_replace(true);
            self.more.notify_one();
        }
    }

    /// Takes some of what is gathered; nothing, if that is all.
    fn take(&self) -> Vec<Ring> {
        let mut gathered = self.gathered();
        let some: Vec<Ring> =
            std::iter::from_fn(|| gathered.pop_first()).take(MAX_TICKETS).map(|(_, ring)| ring).collect();
        if some.is_empty() {
            self.busy.send_replace(false);
        }
        some
    }

    /// Waits until all that was rung for is published, or given up, but not for longer than a moment.
    pub(crate) async fn rung(&self, clock: &dyn Clock) {
        let mut busy = self.busy.subscribe();
        tokio::select! {
            biased;
            _ = busy.wait_for(|busy| !busy) => {}
            () = clock.sleep_until(clock.now() + AGAIN) => {}
        }
    }

    fn ticket(&self, ring: Ring, now: Timestamp) -> Option<NewTicket> {
        let after = ring.due.map_or(Duration::ZERO, |due| due.since(now)).min(MAX_DELAY);
        // Where nothing can be due later, it is found when it is.
        if !self.can.delayed && after.as_millis() > 0 {
            return None;
        }
        let priority = if self.can.priority { ring.priority } else { 0 };
        // Whose turn it is the store knows: who hears a ticket looks there.
        Some(NewTicket { queue: ring.queue, project: "".into(), priority, after, ticket: ring.ticket })
    }

    /// What comes of it, if that is in time.
    pub(super) async fn within<T>(
        &self,
        clock: &dyn Clock,
        patience: Duration,
        work: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let done = tokio::select! {
            biased;
            done = work => done,
            () = clock.sleep_until(clock.now() + patience) => {
                Err(QueueError::Unavailable(format!("no answer within {patience:?}")))
            }
        };
        self.failing.store(done.is_err(), Ordering::Relaxed);
        done
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Tells that the queue cannot be used, once in a while.
    pub(super) fn complain(&self, now: Timestamp, error: &QueueError) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| now.since(last) >= COMPLAINT) {
            *complained = Some(now);
            tracing::warn!(%error, "the queue cannot be used; what it would tell of is found in the store, a little later");
        }
    }
}

/// Publishes what is rung for, until the engine is gone.
pub(crate) async fn ring_out(shared: Weak<Shared>, bell: Arc<Doorbell>) {
    loop {
        let Some(clock) = shared.upgrade().map(|held| held.clock.clone()) else { return };
        let more = bell.more.notified();
        tokio::select! {
            biased;
            () = more => {}
            () = clock.sleep_until(clock.now() + ALIVE) => continue,
        }
        loop {
            let some = bell.take();
            if some.is_empty() {
                break;
            }
            let now = clock.now();
            let tickets: Vec<NewTicket> =
                some.into_iter().filter_map(|ring| bell.ticket(ring, now)).collect();
            let publishing = bell.queue.publish(Publish { tickets });
            if let Err(error) = bell.within(&*clock, PATIENCE, publishing).await {
                bell.complain(clock.now(), &error);
                clock.sleep_until(clock.now() + AGAIN).await;
            }
        }
    }
}
