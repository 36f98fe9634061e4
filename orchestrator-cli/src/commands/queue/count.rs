//! What there is of each queue: who serves it, and what waits.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{PausedQueue, paused_queues, read_outline};
use orchestrator_core::id::{RunId, StepIx};
use orchestrator_core::port::queue::{Count, MAX_QUEUES, Queue, QueueError};
use orchestrator_core::port::store::{OfferQuery, OfferRow, RunQuery, Store, StoreError};
use orchestrator_core::time::Timestamp;

use crate::commands::worker::slots;
use crate::output::queued::{Pause, QueueItem, Server};
use crate::span::millis;

/// How many offers are read at once.
const PAGE: usize = 1000;

/// How many open runs are asked what they wait for: that is read run by run.
const ASKED: usize = 200;

/// A queue, as it is counted.
#[derive(Debug, Default)]
struct Counted {
    paused: Option<PausedQueue>,
    workers: Vec<Server>,
    offered: u64,
    held: u64,
    claimed: u64,
    oldest: Option<Timestamp>,
    waits: Vec<Duration>,
}

/// What there is.
#[derive(Debug)]
pub(super) struct Census {
    /// By their names.
    pub(super) queues: Vec<QueueItem>,
    /// Whether not all open runs were asked.
    pub(super) is_partial: bool,
}

/// Adds what the bell has of them.
pub(super) async fn add_rings(bell: &dyn Queue, queues: &mut [QueueItem]) -> Result<(), QueueError> {
    for some in queues.chunks_mut(MAX_QUEUES) {
        let names = some.iter().map(|item| item.pause.queue.clone()).collect();
        for (item, counted) in some.iter_mut().zip(bell.count(Count { queues: names }).await?) {
            item.rung = Some(counted.ready);
            item.dead = Some(counted.letters);
        }
    }
    Ok(())
}

/// Counts what the store knows of queues, and `also` tells of these.
pub(super) async fn census(
    store: &Arc<dyn Store>,
    also: impl IntoIterator<Item = Arc<str>>,
) -> Result<Census, StoreError> {
    let mut queues: BTreeMap<Arc<str>, Counted> = BTreeMap::new();
    for queue in also {
        queues.entry(queue).or_default();
    }
    for paused in paused_queues(&**store).await? {
        let queue = queues.entry(paused.queue.clone()).or_default();
        queue.paused = Some(paused);
    }
    // Whoever has died is known to be dead from here on.
    store.sweep().await?;
    for owner in store.owners().await? {
        for queue in &owner.serves.queues {
            queues.entry(queue.clone()).or_default().workers.push(Server {
                owner: owner.id,
                label: owner.label.clone(),
                labels: owner.serves.labels.clone(),
                slots: slots(&owner),
            });
        }
    }
    let offered = count_offers(store, &mut queues).await?;
    let is_partial = count_held(store, &offered, &mut queues).await?;
    Ok(Census { queues: queues.into_iter().map(item).collect(), is_partial })
}

/// Counts what is offered, and gives the steps that are and that nobody has claimed.
async fn count_offers(
    store: &Arc<dyn Store>,
    queues: &mut BTreeMap<Arc<str>, Counted>,
) -> Result<HashSet<(RunId, StepIx)>, StoreError> {
    let (mut offered, mut after) = (HashSet::new(), None);
    loop {
        let page = store.offers(OfferQuery { after, limit: PAGE, ..OfferQuery::default() }).await?;
        after = page.items.last().map(OfferRow::place);
        for row in page.items {
            let queue = queues.entry(row.offer.queue).or_default();
            match row.claim {
                Some(claim) => {
                    queue.claimed += 1;
                    queue.waits.push(claim.at.since(row.offered_at));
                }
                None => {
                    queue.offered += 1;
                    // They come by their places, which priorities move forward.
                    let oldest = queue.oldest.map_or(row.offered_at, |oldest| oldest.min(row.offered_at));
                    queue.oldest = Some(oldest);
                    offered.insert((row.offer.ticket.run, row.offer.ticket.step));
                }
            }
        }
        if !page.more || after.is_none() {
            return Ok(offered);
        }
    }
}

/// Counts the steps of open runs that are offered to nobody. Tells whether there are runs that were not asked.
async fn count_held(
    store: &Arc<dyn Store>,
    offered: &HashSet<(RunId, StepIx)>,
    queues: &mut BTreeMap<Arc<str>, Counted>,
) -> Result<bool, StoreError> {
    let open = RunQuery { open: true, limit: ASKED, ..RunQuery::default() };
    let page = store.list_runs(open).await?;
    for row in page.items {
        let report = match read_outline(&**store, row.run).await {
            Ok(report) => report,
            // `doctor` tells of it.
            Err(StoreError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        let waits = report.into_iter().flat_map(|report| report.waiting_for);
        // What a run below waits for, it says itself.
        for waiting in waits.filter(|waiting| waiting.run == row.run) {
            if matches!(waiting.kind, "worker" | "queue")
                && let Some(placement) = &waiting.placement
                && !offered.contains(&(waiting.run, waiting.ix.step))
            {
                queues.entry(placement.queue.clone()).or_default().held += 1;
            }
        }
    }
    Ok(page.more)
}

fn item((queue, counted): (Arc<str>, Counted)) -> QueueItem {
    let Counted { paused, workers, offered, held, claimed, oldest, mut waits } = counted;
    waits.sort_unstable();
    let half = waits.get(waits.len() / 2).map(|wait| millis(*wait));
    QueueItem {
        pause: Pause {
            queue,
            status: if paused.is_some() { "paused" } else { "open" },
            since: paused.as_ref().map(|paused| paused.since),
            by: paused.map(|paused| paused.by),
        },
        slots: workers.iter().filter_map(|worker| worker.slots).sum(),
        workers,
        offered,
        held,
        claimed,
        oldest_at: oldest,
        claim_wait_ms: half,
        rung: None,
        dead: None,
    }
}
