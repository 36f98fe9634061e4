//! Executing what others offer: claims it, executes it without the run's log, and delivers how it has ended.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize as _;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::engine::attempt::{Attempt, Dispatched, Ended, failed};
use crate::engine::loaded::Loaded;
use crate::engine::order::Order;
use crate::engine::shared::{Incarnation, Shared};
use crate::engine::values::{load_value, unloadable};
use crate::engine::watch::mixed;
use crate::id::RunId;
use crate::machine::{Arrival, Fence, Finished};
use crate::port::plugin::{Plugin, Request, StopReason, Stopper};
use crate::port::queue::{StepTicket, Ticket};
use crate::port::store::{
    Claim, Claimed, Deliver, Delivered, MAX_END, NewOffer, OfferQuery, OfferRow, StoreError,
};
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;
use crate::value::ValueRef;

/// How many offers are looked at a time.
const PAGE: usize = 64;

/// How many pages are looked at, where most of what they hold is for others.
const PAGES: usize = 16;

/// How many offers are remembered that are left alone; beyond that all are looked at anew.
const STRANGERS: usize = 10_000;

/// How many workflows are kept ready of which something was executed.
const KEPT: usize = 64;

/// The wait before a store that could not answer is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// What this process executes for others.
#[derive(Debug)]
pub(crate) struct Bench {
    work: Mutex<BTreeMap<StepTicket, Option<Stopper>>>,
    /// How much that is.
    count: watch::Sender<usize>,
    /// The workflows that were needed last.
    kept: Mutex<VecDeque<Arc<Loaded>>>,
    /// What cannot be executed here: asking again would find the same.
    strangers: Mutex<HashSet<StepTicket>>,
    /// Where looking for offers goes on, if most of what was looked at is for others.
    cursor: Mutex<Option<(i64, StepTicket)>>,
    /// Whether what begins now is stopped at once.
    is_over: AtomicBool,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            work: Mutex::default(),
            count: watch::channel(0).0,
            kept: Mutex::default(),
            strangers: Mutex::default(),
            cursor: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }
}

/// A place on the bench; it is free again when this goes.
struct Place {
    shared: Arc<Shared>,
    ticket: StepTicket,
    /// Whether something was executed.
    is_used: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let bench = &self.shared.bench;
        let count = {
            let mut work = bench.work();
            work.remove(&self.ticket);
            work.len()
        };
        bench.count.send_replace(count);
        if self.is_used {
            // There is a slot for the next.
            self.shared.bell.notify_one();
        }
    }
}

impl Bench {
    fn work(&self) -> MutexGuard<'_, BTreeMap<StepTicket, Option<Stopper>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.work().is_empty()
    }

    /// Nothing is claimed any more: gives what is executed until then to end by itself, then stops it, and waits for its end.
    pub(crate) async fn drain(&self, shared: &Shared, until: Timestamp) {
        let mut count = self.count.subscribe();
        tokio::select! {
            biased;
            _ = count.wait_for(|count| *count == 0) => return,
            () = shared.clock.sleep_until(until) => {}
        }
        self.is_over.store(true, Ordering::SeqCst);
        self.work().values().flatten().for_each(|stopper| stopper.stop(StopReason::Shutdown));
        let _ = count.wait_for(|count| *count == 0).await;
    }

    fn strangers(&self) -> MutexGuard<'_, HashSet<StepTicket>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cursor(&self) -> MutexGuard<'_, Option<(i64, StepTicket)>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an offer to others, for now.
    fn leave_alone(&self, ticket: StepTicket) {
        let mut strangers = self.strangers();
        if strangers.len() >= STRANGERS {
            strangers.clear();
        }
        strangers.insert(ticket);
    }

    fn keep(&self, loaded: &Arc<Loaded>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| !Arc::ptr_eq(other, loaded));
        kept.push_back(loaded.clone());
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

/// What an offer asks for, and this process has.
struct Job {
    order: Order,
    loaded: Arc<Loaded>,
    plugin: Arc<dyn Plugin>,
}

impl Shared {
    /// Takes up offers while there are slots. Each process has an order of its own, so that several seldom reach for the same.
    pub(crate) async fn claim_offers(self: &Arc<Self>) {
        if self.serves.queues.is_empty() || self.slots.available_permits() == 0 {
            return;
        }
        if let Err(error) = self.know_what_is_paused().await {
            return tracing::debug!(%error, "cannot look which queues are paused");
        }
        let mut after = self.bench.cursor().take();
        for _ in 0..PAGES {
            let mut queues = self.serves.queues.clone();
            queues.retain(|queue| !self.is_paused(queue));
            if queues.is_empty() || self.slots.available_permits() == 0 || !self.is_known() {
                return;
            }
            let query = OfferQuery {
                queues,
                free: true,
                tasks: Some(false),
                after,
                limit: PAGE,
                ..OfferQuery::default()
            };
            let page = match self.store.offers(query).await {
                Ok(page) => page,
                Err(error) => return tracing::debug!(%error, "cannot look for offers"),
            };
            after = page.items.last().map(OfferRow::place);
            let own = self.owner().as_uuid().as_u128();
            let mut rows = page.items;
            rows.retain(|row| {
                let is_strange = self.bench.strangers().contains(&row.offer.ticket);
                !is_strange && self.serves.takes(&row.offer.queue, &row.offer.labels)
            });
            rows.sort_by_cached_key(|row| {
                let ticket = &row.offer.ticket;
                let unit = u128::from(ticket.step.0) << 32 | u128::from(ticket.item.unwrap_or(u32::MAX));
                mixed(ticket.run.as_uuid().as_u128() ^ own ^ unit)
            });
            for row in rows {
                let Ok(slot) = self.slots.clone().try_acquire_owned() else { return };
                if !self.take_up(row, slot) {
                    return;
                }
            }
            if !page.more {
                return;
            }
        }
        // The next time from there, and then from the beginning again.
        *self.bench.cursor() = after;
        self.bell.notify_one();
    }

    /// Claims an offer and executes it, beside. Tells whether this process still takes any.
    fn take_up(self: &Arc<Self>, row: OfferRow, slot: OwnedSemaphorePermit) -> bool {
        if self.is_stopping() {
            return false;
        }
        let ticket = row.offer.ticket;
        let count = {
            let mut work = self.bench.work();
            if work.contains_key(&ticket) {
                return true;
            }
            work.insert(ticket, None);
            work.len()
        };
        self.bench.count.send_replace(count);
        let mut place = Place { shared: self.clone(), ticket, is_used: false };
        let (shared, incarnation) = (self.clone(), self.incarnation());
        self.hand_out(Ticket::Step(ticket), async move {
            place.is_used = shared.carry_out(row.offer, slot, incarnation).await;
            drop(place);
        });
        true
    }

    /// Looks which of what this process executes for others is to stop.
    pub(crate) async fn look_for_stops(&self) {
        if self.bench.is_empty() {
            return;
        }
        match self.store.stops(self.owner()).await {
            Ok(stops) => {
                let work = self.bench.work();
                let told = stops.iter().filter_map(|ticket| work.get(ticket)?.as_ref());
                told.for_each(|stopper| stopper.stop(StopReason::Cancelled));
            }
            Err(error) => tracing::debug!(%error, "cannot look for what is to stop"),
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        offer: NewOffer,
        slot: OwnedSemaphorePermit,
        mut incarnation: Incarnation,
    ) -> bool {
        let ticket = offer.ticket;
        let job = tokio::select! {
            biased;
            () = incarnation.ended() => return false,
            job = self.job(&offer) => job,
        };
        let Some(job) = job else {
            self.bench.leave_alone(ticket);
            return false;
        };
        if self.is_stopping() || !self.claims(ticket, &incarnation).await || incarnation.is_over() {
            return false;
        }
        crate::failpoint!("offer.claimed");
        let fence = Fence { epoch: ticket.epoch, owner: incarnation.owner() };
        let (sender, mut end) = oneshot::channel();
        let request = tokio::select! {
            biased;
            () = incarnation.ended() => return true,
            request = self.request(ticket.run, &job) => request,
        };
        let ended = match request {
            Ok(_) if incarnation.is_over() => return true,
            Ok((request, arrival)) => {
                let attempt = Attempt { arrival, ..self.attempt(&ticket, fence, &job, incarnation.clone()) };
                let tell = |ended| drop(sender.send(ended));
                let Job { loaded, plugin, .. } = job;
                match attempt.dispatch(self, &loaded, plugin, Arc::new(request), Some(slot), tell) {
                    Dispatched::Over(ended) => Some(ended),
                    Dispatched::Running(stopper) => {
                        self.bench.work().insert(ticket, Some(stopper.clone()));
                        if self.bench.is_over.load(Ordering::SeqCst) {
                            stopper.stop(StopReason::Shutdown);
                        }
                        tokio::select! {
                            biased;
                            ended = &mut end => ended.ok().map(|ended| *ended),
                            () = incarnation.ended() => {
                                stopper.stop(StopReason::Fenced);
                                None
                            }
                        }
                    }
                }
            }
            Err(error) => {
                let error = unloadable(&error);
                let outcome = Finished::Failed { error, not_before: None };
                Some(Ended::bare(ticket.unit(), ticket.attempt, fence, outcome))
            }
        };
        if let Some(ended) = ended {
            self.hand_over(ticket, ended, &mut incarnation).await;
        }
        true
    }

    /// What the plugin is given: the request, and what the attempt has waited for.
    async fn request(&self, run: RunId, job: &Job) -> Result<(Request, Option<Arrival>), StoreError> {
        let body = load_value(self, run, &job.order.request).await?;
        let request = Request::deserialize(&*body).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let mut arrival = job.order.arrival.clone();
        if let Some(Arrival::Signal(signal)) = &mut arrival {
            // A plugin finds it inline.
            signal.data = ValueRef::Inline(load_value(self, run, &signal.data).await?.to_string().into());
        }
        Ok((request, arrival))
    }

    /// What it takes to execute an offer; `None` if that is not here, and it is left to others.
    async fn job(&self, offer: &NewOffer) -> Option<Job> {
        let read = async {
            let order = load_value(self, offer.ticket.run, &offer.order).await?;
            let order = Order::deserialize(&*order)
                .map_err(|error| StoreError::Corrupt(format!("an order that does not read: {error}")))?;
            let loaded = match self.library.known(order.revision, &order.workflow) {
                Some(loaded) => loaded,
                None => {
                    let text = self.store.revision(order.revision).await?;
                    let gone = || StoreError::Corrupt(format!("there is no revision {}", order.revision));
                    self.library.read(order.revision, &order.workflow, &text.ok_or_else(gone)?)?
                }
            };
            Ok::<_, StoreError>((order, loaded))
        };
        let (order, loaded) = match read.await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(run = %offer.ticket.run, %error, "cannot read what is offered");
                return None;
            }
        };
        self.bench.keep(&loaded);
        let spec = loaded.workflow.steps.get(offer.ticket.step.index())?;
        let Some(plugin) = self.registry.get(&spec.uses).cloned() else {
            tracing::debug!(uses = %spec.uses, "leaving an offer to one that can execute it");
            return None;
        };
        Some(Job { order, loaded, plugin })
    }

    /// Whether the claim is this incarnation's. Asked until that is known: what is claimed must be executed, or be lost.
    async fn claims(&self, ticket: StepTicket, incarnation: &Incarnation) -> bool {
        let claim = Claim { ticket, owner: incarnation.owner() };
        loop {
            match self.store.claim(claim).await {
                Ok(Claimed::Yours(_)) => return true,
                Ok(Claimed::Gone | Claimed::Dead) => return false,
                Err(error) if incarnation.is_over() => {
                    tracing::debug!(run = %ticket.run, %error, "a claim of whom others take for dead");
                    return false;
                }
                Err(error) => {
                    tracing::debug!(run = %ticket.run, %error, "not known whether an offer is claimed; asking again");
                    self.clock.sleep_until(self.clock.now() + AGAIN).await;
                }
            }
        }
    }

    fn attempt(&self, ticket: &StepTicket, fence: Fence, job: &Job, incarnation: Incarnation) -> Attempt {
        let Job { order, loaded, .. } = job;
        let spec = loaded.workflow.step(ticket.step);
        let options = spec.options();
        Attempt {
            run: ticket.run,
            step: ticket.unit(),
            name: spec.name.clone(),
            folder: self.folder_of(order.root),
            attempt: ticket.attempt,
            fence,
            effect: order.effect,
            reference: order.request.clone(),
            timeout: options.timeout,
            arrival: None,
            iteration: ticket.iteration,
            feedback: order.feedback.clone(),
            qa: options.qa.clone(),
            evidence: options.evidence.clone(),
            incarnation,
        }
    }

    /// Delivers how it has ended, until that is kept, or cannot be any more.
    async fn hand_over(&self, ticket: StepTicket, ended: Ended, incarnation: &mut Incarnation) {
        let Ended { outcome, values, lines, slot, .. } = ended;
        drop(slot);
        let end = match serde_json::to_string(&outcome) {
            Ok(end) if end.len() <= MAX_END => end,
            Ok(end) => too_long(end.len()),
            Err(error) => unwritten(&error.to_string()),
        };
        let owner = incarnation.owner();
        let mut deliver = Deliver { ticket, owner, end: end.into(), values, logs: lines };
        let mut is_replaced = false;
        loop {
            crate::failpoint!("offer.delivering");
            match self.store.deliver(deliver.clone()).await {
                Ok(Delivered::Kept) => return self.ring_for_driver(ticket.run).await,
                Ok(Delivered::Fenced) => {
                    return tracing::warn!(run = %ticket.run, step = ?ticket.unit(), "a late outcome does not count");
                }
                // No store can keep it; that is kept in its place.
                Err(StoreError::Invalid(why)) if !is_replaced => {
                    is_replaced = true;
                    let (values, logs) = (Vec::new(), Vec::new());
                    deliver = Deliver { end: unwritten(&why).into(), values, logs, ..deliver };
                }
                Err(error) => {
                    tracing::debug!(run = %ticket.run, %error, "an outcome cannot be delivered yet");
                    let again = self.clock.now() + AGAIN;
                    tokio::select! {
                        biased;
                        // Others count it as lost.
                        () = incarnation.ended() => return,
                        () = self.clock.sleep_until(again) => {}
                    }
                }
            }
        }
    }
}

fn too_long(len: usize) -> String {
    unwritten(&format!("it has {len} bytes, and {MAX_END} at most"))
}

/// The end of an attempt of whose end it cannot be said what it was.
fn unwritten(why: &str) -> String {
    let outcome = failed(ErrorClass::Invalid, format!("what it has come to cannot be delivered: {why}"));
    serde_json::to_string(&outcome).unwrap_or_default()
}
