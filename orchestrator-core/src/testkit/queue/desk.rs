//! What the cases for queues stand on.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use uuid::Uuid;

use super::QueuePlace;
use crate::id::{RunId, StepIx};
use crate::port::queue::{
    Capabilities, Delivery, NewTicket, Publish, Queue, QueueError, Receipt, Receive, Settle, Settled,
    Settlement, StepTicket, Ticket, Wait, Woken,
};

/// Longer than any case takes.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// The queue that tickets are for, if nothing else is said.
pub(super) const MAIN: &str = "main";

/// A ticket that is told from others by its number.
pub(super) fn numbered(number: u32) -> NewTicket {
    let ticket = Ticket::Step(StepTicket {
        run: RunId::from_uuid(Uuid::from_u128(0x0193_abcd_0000_7000_8000_0000_0000_0001)),
        generation: 1,
        step: StepIx(0),
        item: None,
        iteration: 0,
        attempt: number,
        epoch: 1,
    });
    NewTicket { queue: MAIN.into(), project: "default".into(), priority: 0, after: Duration::ZERO, ticket }
}

/// The number of a ticket.
pub(super) fn number(delivery: &Delivery) -> u32 {
    match delivery.ticket {
        Ticket::Step(step) => step.attempt,
        Ticket::Run { run } => panic!("a ticket with a number was published, and {run} came"),
    }
}

pub(super) fn numbers(deliveries: &[Delivery]) -> Vec<u32> {
    deliveries.iter().map(number).collect()
}

/// In the order of their numbers: for where no order is promised.
pub(super) fn sorted(deliveries: &[Delivery]) -> Vec<u32> {
    let mut numbers = numbers(deliveries);
    numbers.sort_unstable();
    numbers
}

/// A handle on a queue, and what is done with it.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) place: Arc<dyn QueuePlace>,
    pub(super) queue: Arc<dyn Queue>,
}

impl Desk {
    pub(super) async fn at(place: Arc<dyn QueuePlace>) -> Self {
        let queue = place.open().await;
        Self { place, queue }
    }

    /// Another handle on the same tickets.
    pub(super) async fn another(&self) -> Self {
        Self::at(self.place.clone()).await
    }

    pub(super) fn can(&self) -> Capabilities {
        self.queue.describe().can
    }

    pub(super) async fn try_publish(&self, tickets: Vec<NewTicket>) -> Result<(), QueueError> {
        self.queue.publish(Publish { tickets }).await
    }

    pub(super) async fn publish(&self, tickets: impl IntoIterator<Item = NewTicket>) {
        self.try_publish(tickets.into_iter().collect()).await.expect("it publishes");
    }

    /// Takes tickets of the main queue, and hides them for so long.
    pub(super) async fn take_for(&self, max: usize, visibility: Duration) -> Vec<Delivery> {
        let receive = Receive { queues: vec![MAIN.into()], max, visibility };
        self.queue.receive(receive).await.expect("it gives what there is")
    }

    pub(super) async fn take(&self, max: usize) -> Vec<Delivery> {
        self.take_for(max, LONG).await
    }

    /// Takes one ticket.
    pub(super) async fn one(&self) -> Delivery {
        let [one] = self.take(1).await.try_into().expect("one ticket");
        one
    }

    pub(super) async fn try_settle(&self, receipt: &Receipt, how: Settlement) -> Result<Settled, QueueError> {
        self.queue.settle(Settle { receipt: receipt.clone(), how }).await
    }

    pub(super) async fn done(&self, receipt: &Receipt) -> Settled {
        self.try_settle(receipt, Settlement::Done).await.expect("it settles")
    }

    pub(super) async fn release(&self, receipt: &Receipt) -> Settled {
        let how = Settlement::Release { after: Duration::ZERO };
        self.try_settle(receipt, how).await.expect("it settles")
    }

    /// Whether there is something in the main queue now.
    pub(super) async fn looks(&self) -> Woken {
        let wait = Wait { queues: vec![MAIN.into()], timeout: Duration::ZERO };
        self.queue.wait(wait).await.expect("it looks")
    }

    /// What waits for a ticket of the main queue, once it is polled.
    pub(super) fn wait_for(&self, timeout: Duration) -> Waiting {
        let queue = self.queue.clone();
        let wait = Wait { queues: vec![MAIN.into()], timeout };
        Waiting(Box::pin(async move { queue.wait(wait).await }))
    }

    /// Begins to wait for a ticket of the main queue, in which there is none.
    pub(super) async fn begin_to_wait(&self) -> Waiting {
        let mut waiting = self.wait_for(LONG);
        assert_eq!(waiting.poll().await, None, "nothing is there");
        waiting
    }
}

/// Somebody who waits.
pub(super) struct Waiting(Pin<Box<dyn Future<Output = Result<Woken, QueueError>> + Send>>);

/// How often one that waits is given a turn, where it must go on waiting.
const TURNS: u32 = 8;

impl Waiting {
    /// Gives it one turn. Once it has answered, it must not have another.
    pub(super) async fn poll(&mut self) -> Option<Result<Woken, QueueError>> {
        poll_fn(|context| match self.0.as_mut().poll(context) {
            Poll::Ready(woken) => Poll::Ready(Some(woken)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Lets it have some turns: it must go on waiting.
    pub(super) async fn goes_on(&mut self) {
        for _ in 0..TURNS {
            assert_eq!(self.poll().await, None, "there is nothing for it");
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn ends(self) -> Result<Woken, QueueError> {
        self.0.await
    }

    /// Waits for the ring.
    pub(super) async fn rings(self) {
        assert_eq!(self.ends().await, Ok(Woken::Rung));
    }
}
