//! Where a queue's tickets are, and how the cases for queues are run.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::QUEUE_CASES;
use crate::port::queue::Queue;
use crate::testkit::kit::{failures_of, hold};
use crate::testkit::{Failure, HandClock};

/// Makes empty queues. Any function that gives a [`QueuePlace`] is one.
#[async_trait]
pub trait QueueBackend: Send + Sync + 'static {
    /// A new, empty place for a queue.
    async fn fresh(&self) -> Arc<dyn QueuePlace>;
}

#[async_trait]
impl<F, W, P> QueueBackend for F
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = P> + Send + 'static,
    P: QueuePlace,
{
    async fn fresh(&self) -> Arc<dyn QueuePlace> {
        Arc::new(self().await)
    }
}

/// Where one queue's tickets are.
#[async_trait]
pub trait QueuePlace: fmt::Debug + Send + Sync + 'static {
    /// A handle on the tickets: each time another one, where the backend can have several. With room for few dead letters, at
    /// most 256 of each queue, so that it can be seen what becomes of the oldest.
    async fn open(&self) -> Arc<dyn Queue>;

    /// Whether the tickets outlive the closing of every handle. Where they do not, the queue must say that it is not
    /// durable, and nothing may be found after closing.
    fn keeps(&self) -> bool {
        false
    }

    /// Overwrites what is on a ticket that waits, which is kept as it is `written`, with a text that nobody can read, behind the
    /// queue's back. `false`, if that
    /// cannot be done; then the tickets outlive nothing.
    async fn forge_ticket(&self, written: &str, text: &str) -> bool {
        let _ = (written, text);
        false
    }

    /// Lets that much time pass by the queue's clock. Where the clock is not in the test's hands, every moment that is kept
    /// is moved back by as much, behind the queue's back (in SQL, one `UPDATE`), and the bell is rung: for who waits, it is
    /// as if the time had passed.
    async fn pass(&self, time: Duration);
}

/// A queue that lives in this process alone, on a clock of the test's: all its handles are one.
#[derive(Debug)]
pub struct ClockedQueue<Q> {
    /// The queue.
    pub queue: Arc<Q>,
    /// Its clock.
    pub clock: Arc<HandClock>,
}

#[async_trait]
impl<Q: Queue> QueuePlace for ClockedQueue<Q> {
    async fn open(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    async fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }
}

/// Runs every case for queues, each in fresh places, or those that the environment variable `ORCHESTRATOR_KIT` names.
///
/// # Panics
/// As [`run`](crate::testkit::run) does.
pub async fn run_queue(backend: impl QueueBackend) {
    hold(Arc::new(backend) as Arc<dyn QueueBackend>, QUEUE_CASES).await;
}

/// Runs every case for queues, and gives those that failed.
pub async fn queue_failures(backend: impl QueueBackend) -> Vec<Failure<dyn QueueBackend>> {
    failures_of(Arc::new(backend) as Arc<dyn QueueBackend>, QUEUE_CASES).await
}
