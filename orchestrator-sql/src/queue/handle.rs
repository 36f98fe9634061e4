//! The queue itself.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::queue::{
    Capabilities, Clear, Clearing, Count, Counted, DeadLetter, Delivery, ListLetters, MAX_LETTERS, Publish,
    Queue, QueueError, QueueInfo, Receive, Settle, Settled, Settlement, Wait, Woken, require_readable,
};
use orchestrator_core::port::store::StoreError;
use tokio::sync::watch;
use uuid::Uuid;

use super::receive::GIVEN;
use super::told::Told;
use super::{letters, publish, receive, settle, text, told};
use crate::dialect::Dialect;
use crate::pen::Pen;
use crate::script::{Arg, Batch, Script};
use crate::store::{Shared, SqlStore};

/// A queue in the database of a store: a handle of its own, over the store's connections. It can do all that a queue can.
///
/// Where several connections write at the same time, each handle has one of its own for that, opened when it is first needed:
/// then neither waits for commits nor do these for it. Tickets outlive every handle and every process. A loss of power may take
/// the last of what was done with them, where the database can be told not to wait for the disk: then what is lost is found in
/// the store.
///
/// Closing the queue leaves the store open. A store that is closed makes its queues
/// [unavailable](QueueError::Unavailable).
#[derive(Debug)]
pub struct SqlQueue<D: Dialect> {
    store: SqlStore<D>,
    own: Option<Arc<Pen<D>>>,
    told: Arc<watch::Sender<Told>>,
    most_letters: u32,
}

impl<D: Dialect> SqlStore<D> {
    /// A queue in this store's database. Each call gives another handle on the same tickets, as every other store of this
    /// database does.
    #[must_use]
    pub fn queue(&self) -> SqlQueue<D> {
        let own = D::CONCURRENT.then(|| Arc::new(Pen::new(self.shared.dialect.clone())));
        SqlQueue { store: self.clone(), own, told: Arc::default(), most_letters: MAX_LETTERS }
    }
}

impl<D: Dialect> SqlQueue<D> {
    /// The same, with room for so many dead letters of each queue: each that is buried by this handle makes the oldest go that
    /// are more. Default: [`MAX_LETTERS`].
    #[must_use]
    pub fn with_letters(mut self, letters: u32) -> Self {
        self.most_letters = letters;
        self
    }

    fn can(&self) -> Capabilities {
        Capabilities { letters: self.most_letters, ..Capabilities::ALL }
    }

    /// Buries what nobody can read. What is not buried comes again, when its time is over.
    async fn bury_unreadable(&self, unreadable: Vec<(Uuid, Arc<str>)>, call: Uuid) {
        for (ticket, reason) in unreadable {
            tracing::warn!(%ticket, %reason, "a ticket that cannot be read");
            if self.most_letters == 0 {
                continue;
            }
            let bury = letters::bury::<D>(ticket, call, &reason, self.most_letters, true);
            if let Err(error) = self.write(Writing::Settle(bury, false)).await {
                tracing::warn!(%error, %ticket, "it cannot be buried");
            }
        }
    }
}

pub(super) fn closed() -> QueueError {
    QueueError::Unavailable("it is closed".to_owned())
}

/// An error of the store, in the words of the port.
pub(super) fn refusal(error: StoreError) -> QueueError {
    match error {
        StoreError::Invalid(why) => QueueError::Invalid(why),
        StoreError::Unavailable(why) => QueueError::Unavailable(why),
        other => QueueError::Unavailable(other.to_string()),
    }
}

/// What is written.
#[derive(Debug)]
enum Writing {
    Publish(Batch),
    /// What gives tickets in a delivery of this name.
    Receive(Script, Uuid),
    /// What settles one, or clears a letter; and whether somebody may have something to hear of it.
    Settle(Script, bool),
}

impl<D: Dialect> SqlQueue<D> {
    fn open(&self) -> Result<(), QueueError> {
        if self.told.borrow().is_closed { Err(closed()) } else { Ok(()) }
    }

    /// Writes on a task of its own; then tells those who wait, if they may have something to hear. What has begun runs to its
    /// end even if the caller goes away, and what has not is left.
    async fn write(&self, writing: Writing) -> Result<Vec<Vec<Arg>>, QueueError> {
        let (own, told) = (self.own.clone(), self.told.clone());
        // Gone with this future.
        let caller = Arc::new(());
        let called = Arc::downgrade(&caller);
        let written = self.store.apart(move |shared| async move {
            shared.pen.require_open()?;
            let is_gone = || called.strong_count() == 0;
            let pen = own.as_deref().unwrap_or(&shared.pen);
            let mut hand = pen.take().await;
            if is_gone() {
                return Ok(Vec::new());
            }
            let (answer, rings) = match writing {
                Writing::Publish(batch) => {
                    let script = text::timed(batch.finish(&mut hand.texts, D::WORDS), D::CLOCK);
                    (pen.rows(&mut hand, script, &[]).await, true)
                }
                Writing::Settle(script, rings) => (pen.rows(&mut hand, script, &[]).await, rings),
                Writing::Receive(script, call) => {
                    let given = pen.rows(&mut hand, script, &GIVEN).await.map(receive::in_order);
                    let back = given.as_ref().ok().filter(|rows| is_gone() && !rows.is_empty());
                    match back.map(|rows| settle::give_back::<D>(rows, call)) {
                        Some(back) => (pen.rows(&mut hand, back, &[]).await, true),
                        None => (given, false),
                    }
                }
            };
            drop(hand);
            // Also after an error: it may have been written.
            if rings {
                ring(&shared, &told);
            }
            answer
        });
        let written = written.await.map_err(refusal);
        drop(caller);
        written
    }
}

impl<D: Dialect> SqlQueue<D> {
    /// Writes what answers with a row if it has changed something.
    async fn written(&self, writing: Writing) -> Result<Settled, QueueError> {
        let written = self.write(writing).await?;
        Ok(if written.is_empty() { Settled::Late } else { Settled::Taken })
    }
}

fn ring<D: Dialect>(shared: &Shared<D>, told: &watch::Sender<Told>) {
    told.send_modify(|told| told.rings += 1);
    shared.dialect.committed();
}

#[async_trait]
impl<D: Dialect> Queue for SqlQueue<D> {
    fn describe(&self) -> QueueInfo {
        let store = self.store.shared.dialect.describe();
        QueueInfo { kind: store.kind, location: store.location, version: store.version, can: self.can() }
    }

    async fn publish(&self, publish: Publish) -> Result<(), QueueError> {
        publish.require_fit(&self.can())?;
        self.open()?;
        if publish.tickets.is_empty() {
            return Ok(());
        }
        let batch = publish::batch(&publish.tickets)?;
        self.write(Writing::Publish(batch)).await.map(drop)
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Delivery>, QueueError> {
        receive.require_fit()?;
        self.open()?;
        if receive.max == 0 {
            return Ok(Vec::new());
        }
        let (max, mut given) = (receive.max, Vec::new());
        let mut asked = receive;
        loop {
            let call = Uuid::now_v7();
            let script = receive::script::<D>(&asked, call);
            let rows = match self.write(Writing::Receive(script, call)).await {
                Ok(rows) => rows,
                // What has been given is not lost for what cannot be asked.
                Err(_) if !given.is_empty() => return Ok(given),
                Err(error) => return Err(error),
            };
            let came = receive::came(&rows, call);
            given.extend(came.deliveries);
            asked.max = max - given.len();
            // What is hidden for no time would be in one answer twice.
            let is_all = came.unreadable.is_empty() || asked.max == 0 || asked.visibility.as_millis() == 0;
            self.bury_unreadable(came.unreadable, call).await;
            if is_all {
                return Ok(given);
            }
        }
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError> {
        settle.require_fit(&self.can())?;
        self.open()?;
        let script = settle::script::<D>(&settle, self.most_letters);
        let Some(script) = script else { return Ok(Settled::Late) };
        let rings = matches!(settle.how, Settlement::Release { .. });
        self.written(Writing::Settle(script, rings)).await
    }

    async fn letters(&self, list: ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        list.require_fit(&self.can())?;
        self.open()?;
        letters::list(&self.store, list).await
    }

    async fn clear(&self, clear: Clear) -> Result<Settled, QueueError> {
        clear.require_fit(&self.can())?;
        self.open()?;
        let Some((_, id)) = letters::read(&clear.letter) else { return Ok(Settled::Late) };
        if clear.how == Clearing::Drop {
            return self.written(Writing::Settle(letters::drop_one(id), false)).await;
        }
        let Some(letter) = letters::one(&self.store, id).await? else { return Ok(Settled::Late) };
        require_readable(&letter.id, letter.ticket.is_some())?;
        self.written(Writing::Settle(letters::publish::<D>(id), true)).await
    }

    async fn count(&self, count: Count) -> Result<Vec<Counted>, QueueError> {
        count.require_fit()?;
        self.open()?;
        told::count(&self.store, count.queues).await.map_err(refusal)
    }

    async fn wait(&self, wait: Wait) -> Result<Woken, QueueError> {
        wait.require_fit()?;
        self.open()?;
        told::wait(&self.store, self.told.subscribe(), wait).await
    }

    async fn close(&self) -> Result<(), QueueError> {
        self.told.send_modify(|told| told.is_closed = true);
        let Some(own) = self.own.clone() else { return Ok(()) };
        let closed = self.store.apart(|_| async move {
            own.close().await;
            Ok(())
        });
        closed.await.map_err(refusal)
    }
}
