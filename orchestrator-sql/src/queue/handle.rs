//! The queue itself.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::queue::{
    Capabilities, Delivery, Publish, Queue, QueueError, QueueInfo, Receive, Settle, Settled, Settlement,
    Wait, Woken,
};
use orchestrator_core::port::store::StoreError;
use tokio::sync::watch;
use uuid::Uuid;

use super::receive::GIVEN;
use super::told::Told;
use super::{publish, receive, settle, text, told};
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
}

impl<D: Dialect> SqlStore<D> {
    /// A queue in this store's database. Each call gives another handle on the same tickets, as every other store of this
    /// database does.
    #[must_use]
    pub fn queue(&self) -> SqlQueue<D> {
        let own = D::CONCURRENT.then(|| Arc::new(Pen::new(self.shared.dialect.clone())));
        SqlQueue { store: self.clone(), own, told: Arc::default() }
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
    Settle(Script, Settlement),
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
                Writing::Settle(script, how) => {
                    (pen.rows(&mut hand, script, &[]).await, how != Settlement::Done)
                }
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

fn ring<D: Dialect>(shared: &Shared<D>, told: &watch::Sender<Told>) {
    told.send_modify(|told| told.rings += 1);
    shared.dialect.committed();
}

#[async_trait]
impl<D: Dialect> Queue for SqlQueue<D> {
    fn describe(&self) -> QueueInfo {
        let store = self.store.shared.dialect.describe();
        QueueInfo {
            kind: store.kind,
            location: store.location,
            version: store.version,
            can: Capabilities::ALL,
        }
    }

    async fn publish(&self, publish: Publish) -> Result<(), QueueError> {
        publish.require_fit(&Capabilities::ALL)?;
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
        let call = Uuid::now_v7();
        let script = receive::script::<D>(&receive, call);
        let rows = self.write(Writing::Receive(script, call)).await?;
        Ok(receive::deliveries(&rows, call))
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError> {
        settle.require_fit(&Capabilities::ALL)?;
        self.open()?;
        let Some(script) = settle::script::<D>(&settle) else { return Ok(Settled::Late) };
        let written = self.write(Writing::Settle(script, settle.how)).await?;
        Ok(if written.is_empty() { Settled::Late } else { Settled::Taken })
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
