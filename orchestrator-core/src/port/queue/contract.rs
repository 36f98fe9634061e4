//! The contract itself.

use std::fmt;

use async_trait::async_trait;

use super::{
    Clear, Count, Counted, DeadLetter, Delivery, ListLetters, Publish, QueueError, QueueInfo, Receive,
    Settle, Settled, Wait, Woken,
};

/// Rings when there may be something to do.
///
/// A caller that goes away in the middle of a call leaves it done or not done. What it would have been given comes again
/// when its visibility has passed, and a ring that it has not heard is there for others.
///
/// There is one clock, the queue's: every time is given as how long from now.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// What this queue is and can do: for callers that ask for more than every queue does, and for messages. The same
    /// each time; makes no request.
    fn describe(&self) -> QueueInfo;

    /// Publishes tickets, all or none of them, and wakes who waits for one that can be received now.
    ///
    /// A ticket like one that waits may be folded into it, and then has the better of the two places in line. One like a
    /// ticket that is with somebody is another one: it tells of something that happened since, and stays when that one is
    /// settled.
    async fn publish(&self, publish: Publish) -> Result<(), QueueError>;

    /// Takes tickets, and hides them for the visibility that is asked for: each is with one receiver alone. Gives what
    /// there is up to `max`, or less if others receive at the same moment; does not wait.
    ///
    /// A ticket on which is what nobody can read (a later version may have published it) is buried on the way, and keeps nobody
    /// from the others.
    async fn receive(&self, receive: Receive) -> Result<Vec<Delivery>, QueueError>;

    /// Settles one delivery, through any handle. Only as long as its visibility has not passed, and once; then the answer
    /// is [`Settled::Late`] and nothing changes, whether or not somebody else has the ticket by now. So is that of a
    /// receipt that this queue has never given.
    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError>;

    /// Dead letters, in the order in which they were buried or the other way round. The oldest of a queue that has more than its
    /// [`Capabilities::letters`](super::Capabilities::letters) may be gone.
    async fn letters(&self, list: ListLetters) -> Result<Vec<DeadLetter>, QueueError>;

    /// Takes a dead letter away, once: it is published again, or gone. [`Settled::Late`], and nothing changes, if there is none of
    /// this name.
    async fn clear(&self, clear: Clear) -> Result<Settled, QueueError>;

    /// Counts what there is, of each queue that is named, in their order.
    async fn count(&self, count: Count) -> Result<Vec<Counted>, QueueError>;

    /// Returns as soon as a ticket of one of the queues can be received: at once if there is one already, when it was
    /// published, released, has become due, or its visibility has passed. Not for other queues, and not for tickets that are
    /// hidden. Takes nothing: everybody who waits is told, each time.
    async fn wait(&self, wait: Wait) -> Result<Woken, QueueError>;

    /// Ends in an orderly way: later calls of this handle, and those that wait, answer [`QueueError::Unavailable`]. Closing
    /// twice is fine.
    async fn close(&self) -> Result<(), QueueError>;
}
