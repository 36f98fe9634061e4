//! A queue that is wrong in one way.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::list::Wrong::{self, *};
use super::place::{World, lock};
use crate::memory::MemoryQueue;
use crate::port::queue::{
    Capabilities, Clear, Count, Counted, DeadLetter, Delivery, ListLetters, NewTicket, Publish, Queue,
    QueueError, QueueInfo, Receipt, Receive, Settle, Settled, Settlement, Ticket, Wait, Woken,
};

/// A handle on a queue that is right but for one thing.
#[derive(Debug)]
pub(super) struct Spoiled {
    pub(super) right: Arc<MemoryQueue>,
    pub(super) wrong: Wrong,
    pub(super) world: Arc<World>,
    pub(super) can: Capabilities,
    pub(super) closed: watch::Sender<bool>,
    /// Rung for what this handle has published.
    pub(super) bell: watch::Sender<u64>,
    /// The receipts that this handle has given.
    pub(super) own: Mutex<BTreeSet<Receipt>>,
}

fn closed() -> QueueError {
    QueueError::Unavailable("it is closed".to_owned())
}

impl Spoiled {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    /// Writes down that a method was called, and refuses it if the handle is closed.
    fn enter(&self, method: &'static str) -> Result<(), QueueError> {
        lock(&self.world.called).insert(method);
        let settles = method == "settle" && self.is(SettlesWhenClosed);
        if *self.closed.borrow() && !settles { Err(closed()) } else { Ok(()) }
    }

    /// What of it is published, and the answer; the answer alone, if nothing is.
    fn admit(&self, publish: &mut Publish) -> Result<(), Result<(), QueueError>> {
        if self.is(TakesSmallPublishesOnly) && publish.tickets.len() > 100 {
            return Err(Err(QueueError::Invalid("too many".to_owned())));
        }
        let Err(error) = publish.require_fit(&self.can) else { return Ok(()) };
        match (self.wrong, &error) {
            (PassesOverWhatCannotBePublished, QueueError::Invalid(_)) => Err(Ok(())),
            (DelaysThoughItCannot | OrdersThoughItCannot, QueueError::Unsupported(_)) => Ok(()),
            (PublishesUpToTheFault | PublishesTheRestOfWhatItRefuses, _) => {
                let fits =
                    |new: &NewTicket| Publish { tickets: vec![new.clone()] }.require_fit(&self.can).is_ok();
                let stop = publish.tickets.iter().position(|new| !fits(new)).unwrap_or(0);
                publish.tickets.truncate(stop);
                Err(Err(error))
            }
            _ => Err(Err(error)),
        }
    }

    /// A ticket as it is kept; `None`: it is not.
    fn keep(&self, mut new: NewTicket, of_urgent: bool) -> Option<NewTicket> {
        lock(&self.world.published).insert(new.ticket, new.clone());
        match self.wrong {
            LosesOneOfForty if self.world.kept.fetch_add(1, Ordering::Relaxed) % 40 == 39 => return None,
            LosesTheDelayed if !new.after.is_zero() => return None,
            NothingTwice | FoldsIntoWhatIsWithSomebody if new.after.is_zero() => {
                let key = (new.queue.clone(), new.project.clone(), new.priority, new.ticket);
                return lock(&self.world.folded).insert(key).then_some(new);
            }
            MixesQueues => new.queue = new.queue.to_lowercase().into(),
            CutsNames => new.queue = new.queue.chars().take(32).collect::<String>().into(),
            IgnoresDelays => new.after = Duration::ZERO,
            IgnoresPriorities => new.priority = 0,
            NeverAges => new.priority = new.priority.saturating_mul(1000),
            StarvesProjects | NothingFair | NothingAble => new.project = "".into(),
            StarvesByUrgency if of_urgent => new.project = "".into(),
            PrefersWhoIsNew if &*new.project == "A" => {
                new.project = format!("A {}", lock(&self.world.published).len()).into();
            }
            LosesTheFirstItem | CutsEpochs => new.ticket = self.cut(new.ticket),
            _ => {}
        }
        Some(new)
    }

    fn cut(&self, ticket: Ticket) -> Ticket {
        let Ticket::Step(mut step) = ticket else { return ticket };
        if self.is(CutsEpochs) {
            step.epoch &= u64::from(u32::MAX);
        } else if step.item == Some(0) {
            step.item = None;
        }
        Ticket::Step(step)
    }

    async fn receive_of_right(&self, mut receive: Receive) -> Result<Vec<Delivery>, QueueError> {
        match self.wrong {
            MixesQueues => {
                receive.queues = receive.queues.iter().map(|queue| queue.to_lowercase().into()).collect();
            }
            LooksAtTheFirstQueueOnly => receive.queues.truncate(1),
            IgnoresMax if receive.max > 0 => receive.max = 256,
            GivesAtLeastOne => receive.max = receive.max.max(1),
            DeliversWhileHidden => receive.visibility = Duration::ZERO,
            HidesForAMinute => receive.visibility = receive.visibility.min(Duration::from_secs(60)),
            HidesForASecondAtLeast => receive.visibility = receive.visibility.max(Duration::from_secs(1)),
            _ => {}
        }
        if !self.is(EmptiesQueueByQueue) {
            return self.right.receive(receive).await;
        }
        let mut came = Vec::new();
        for queue in &receive.queues {
            let max = receive.max - came.len();
            let of_one = Receive { queues: vec![queue.clone()], max, visibility: receive.visibility };
            came.extend(self.right.receive(of_one).await?);
        }
        Ok(came)
    }

    /// Gives the caller a chance to go away before it has what it asked for.
    async fn hand_over(&self, came: &mut Vec<Delivery>) {
        let on_its_way = &self.world.on_its_way;
        came.retain(|delivery| !lock(on_its_way).values().any(|lost| lost.ticket == delivery.ticket));
        for delivery in &*came {
            lock(on_its_way).insert(delivery.receipt.clone(), delivery.clone());
        }
        tokio::task::yield_now().await;
        came.iter().for_each(|delivery| drop(lock(on_its_way).remove(&delivery.receipt)));
    }

    /// Gives to who finds nothing, while others are at it, what somebody has already.
    async fn share(&self, came: &mut Vec<Delivery>) {
        let on_its_way = &self.world.on_its_way;
        self.world.receiving.fetch_add(1, Ordering::Relaxed);
        for delivery in &*came {
            lock(on_its_way).insert(delivery.receipt.clone(), delivery.clone());
        }
        tokio::task::yield_now().await;
        if came.is_empty() && self.world.receiving.load(Ordering::Relaxed) > 1 {
            came.extend(lock(on_its_way).pop_first().map(|(_, delivery)| delivery));
        }
        self.world.receiving.fetch_sub(1, Ordering::Relaxed);
    }

    /// A delivery as it is given.
    fn give(&self, mut delivery: Delivery) -> Delivery {
        lock(&self.own).insert(delivery.receipt.clone());
        lock(&self.world.given).insert(delivery.receipt.clone(), delivery.clone());
        if let Some(new) = lock(&self.world.published).get(&delivery.ticket) {
            delivery.project = new.project.clone();
            delivery.queue = new.queue.clone();
            delivery.priority = new.priority;
        }
        match self.wrong {
            CutsPriorities => delivery.priority = delivery.priority.clamp(-100, 100),
            CountsToOne => delivery.count = 1,
            KeepsTheCount if lock(&self.world.again).contains(&delivery.ticket) => delivery.count += 1,
            NamesTicketsByReceipts => {
                let name = delivery.receipt.as_str().split('.').next().unwrap_or_default();
                let name = Receipt::new(name);
                lock(&self.world.aliases).insert(name.clone(), delivery.receipt);
                delivery.receipt = name;
            }
            NothingTwice => {
                lock(&self.world.folded).remove(&(
                    delivery.queue.clone(),
                    delivery.project.clone(),
                    delivery.priority,
                    delivery.ticket,
                ));
            }
            _ => {}
        }
        delivery
    }

    /// All receipts given for the ticket of one of them.
    fn siblings(&self, receipt: &Receipt) -> Vec<Receipt> {
        let given = lock(&self.world.given);
        let Some(ticket) = given.get(receipt).map(|delivery| delivery.ticket) else { return Vec::new() };
        given.values().filter(|other| other.ticket == ticket).map(|other| other.receipt.clone()).collect()
    }

    async fn done_with_all(&self, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        for receipt in receipts {
            self.right.settle(Settle { receipt, how: Settlement::Done }).await?;
        }
        Ok(())
    }

    /// Answers as if it had settled a delivery, and does nothing else.
    fn strike(&self, receipt: &Receipt) -> Settled {
        let struck = lock(&self.world.given).remove(receipt);
        if struck.is_some() { Settled::Taken } else { Settled::Late }
    }

    async fn settle_wrongly(&self, mut settle: Settle) -> Result<Settled, QueueError> {
        let is_known = lock(&self.world.given).contains_key(&settle.receipt);
        let releases = matches!(settle.how, Settlement::Release { .. });
        match self.wrong {
            SettlesItsOwnHandleOnly if !lock(&self.own).contains(&settle.receipt) => {
                return Ok(Settled::Late);
            }
            RefusesStrangeReceipts if !settle.receipt.as_str().contains('.') => {
                return Err(QueueError::Invalid("no receipt".to_owned()));
            }
            ReleasesAtOnce if releases => settle.how = Settlement::Release { after: Duration::ZERO },
            LosesTheReleased => settle.how = Settlement::Done,
            KeepsWhatIsDone if releases && !is_known => return Ok(Settled::Late),
            KeepsWhatIsDone if !releases => return Ok(self.strike(&settle.receipt)),
            ReleasesWhenItsTimeIsOver if releases => return Ok(self.strike(&settle.receipt)),
            ForgetsTheUnsettled => return Ok(self.strike(&settle.receipt)),
            SaysTakenAlways => return self.right.settle(settle).await.map(|_| Settled::Taken),
            LetsTheLateSettle | SettlesByTicket if !releases => {
                let siblings = self.siblings(&settle.receipt);
                let settled = self.right.settle(settle).await?;
                if self.is(SettlesByTicket) || settled == Settled::Late {
                    self.done_with_all(siblings).await?;
                }
                return Ok(settled);
            }
            PutsBackInFront if releases => return self.put_back_in_front(settle.receipt).await,
            FoldsIntoWhatIsWithSomebody if !releases => {
                if let Some(delivery) = lock(&self.world.given).get(&settle.receipt) {
                    lock(&self.world.folded).retain(|(.., ticket)| *ticket != delivery.ticket);
                }
            }
            NamesTicketsByReceipts => {
                if let Some(real) = lock(&self.world.aliases).get(&settle.receipt) {
                    settle.receipt = real.clone();
                }
            }
            _ => {}
        }
        if matches!(settle.how, Settlement::Bury { .. }) {
            return self.bury_wrongly(settle.receipt, settle.how).await;
        }
        self.right.settle(settle).await
    }

    async fn put_back_in_front(&self, receipt: Receipt) -> Result<Settled, QueueError> {
        let delivery = lock(&self.world.given).get(&receipt).cloned();
        let settled = self.right.settle(Settle { receipt, how: Settlement::Done }).await?;
        if let (Settled::Taken, Some(delivery)) = (settled, delivery) {
            let first = NewTicket {
                queue: delivery.queue,
                project: delivery.project,
                priority: i32::MAX,
                after: Duration::ZERO,
                ticket: delivery.ticket,
            };
            self.right.publish(Publish { tickets: vec![first] }).await?;
        }
        Ok(settled)
    }
}

#[async_trait]
impl Queue for Spoiled {
    fn describe(&self) -> QueueInfo {
        lock(&self.world.called).insert("describe");
        QueueInfo { can: self.can, ..self.right.describe() }
    }

    async fn publish(&self, mut publish: Publish) -> Result<(), QueueError> {
        self.enter("publish")?;
        let answer = match self.admit(&mut publish) {
            Ok(()) => Ok(()),
            Err(answer) if self.is(PublishesUpToTheFault) || self.is(PublishesTheRestOfWhatItRefuses) => {
                answer
            }
            Err(answer) => return answer,
        };
        let of_urgent = publish.tickets.iter().any(|new| new.priority > 0);
        let tickets: Vec<NewTicket> =
            publish.tickets.into_iter().filter_map(|new| self.keep(new, of_urgent)).collect();
        if self.is(PublishesOneByOne) {
            for new in &tickets {
                self.right.publish(Publish { tickets: vec![new.clone()] }).await?;
                tokio::task::yield_now().await;
            }
        } else {
            let times = if self.is(KeepsATwin) { 2 } else { 1 };
            for _ in 0..times {
                self.right.publish(Publish { tickets: tickets.clone() }).await?;
            }
        }
        self.has_published(&tickets);
        answer
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Delivery>, QueueError> {
        self.enter("receive")?;
        match receive.require_fit() {
            Err(_) if self.is(PassesOverWhatCannotBeAskedFor) => return Ok(Vec::new()),
            fit => fit?,
        }
        let came = self.receive_of_right(receive).await?;
        let mut came = self.bury_unreadable(came).await?;
        match self.wrong {
            LosesWhatNobodyTook => self.hand_over(&mut came).await,
            GivesToTwoAtOnce => self.share(&mut came).await,
            GivesTheLastFirst | NothingAble => came.reverse(),
            ForgetsTheUnsettled => {
                self.done_with_all(came.iter().map(|delivery| delivery.receipt.clone()).collect()).await?;
            }
            _ => {}
        }
        Ok(came.into_iter().map(|delivery| self.give(delivery)).collect())
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError> {
        self.enter("settle")?;
        let takes_all = self.is(TakesAnyReason) && matches!(settle.how, Settlement::Bury { .. });
        if let Some(error) = settle.require_fit(&self.can).err().filter(|_| !takes_all) {
            if self.is(ReleasesWhatItRefuses) && matches!(error, QueueError::Unsupported(_)) {
                let how = Settlement::Release { after: Duration::ZERO };
                self.right.settle(Settle { how, ..settle }).await?;
            }
            return Err(error);
        }
        let releases = matches!(settle.how, Settlement::Release { .. });
        let settled = self.settle_wrongly(settle).await?;
        if releases && settled == Settled::Taken {
            self.has_released();
        }
        Ok(settled)
    }

    async fn letters(&self, list: ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        self.enter("letters")?;
        list.require_fit(&self.can)?;
        self.list_wrongly(list).await
    }

    async fn clear(&self, clear: Clear) -> Result<Settled, QueueError> {
        self.enter("clear")?;
        clear.require_fit(&self.can)?;
        self.clear_wrongly(clear).await
    }

    async fn count(&self, count: Count) -> Result<Vec<Counted>, QueueError> {
        self.enter("count")?;
        let mut counted = self.right.count(count).await?;
        let all: u64 = counted.iter().map(|counted| counted.ready).sum();
        for of_queue in &mut counted {
            match self.wrong {
                CountsWhatIsHidden => of_queue.ready += of_queue.hidden,
                CountsAllQueues => of_queue.ready = all,
                _ => {}
            }
        }
        Ok(counted)
    }

    async fn wait(&self, wait: Wait) -> Result<Woken, QueueError> {
        self.enter("wait")?;
        wait.require_fit()?;
        let mut ended = self.closed.subscribe();
        tokio::select! {
            _ = ended.wait_for(|closed| *closed && !self.is(WaitsBeyondTheEnd)) => Err(closed()),
            woken = self.wait_wrongly(wait) => woken,
        }
    }

    async fn close(&self) -> Result<(), QueueError> {
        lock(&self.world.called).insert("close");
        self.world.closed_once.store(true, Ordering::Relaxed);
        if !self.is(StaysOpen) {
            self.closed.send_replace(true);
        }
        Ok(())
    }
}
