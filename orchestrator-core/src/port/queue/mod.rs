//! The queue: a doorbell. A ticket says that there may be something to do, by ids alone; what is true stands in the store,
//! and a fence decides who may do it. So a ticket may be lost, come twice or out of order, and nothing breaks: what is lost
//! is found by looking at the store now and then ([`crate::port::store::Store::claim_due`]).

mod ask;
mod contract;
mod error;
mod letter;
mod limits;
mod ticket;

pub use crate::spec::{MAX_QUEUE_NAME, is_queue_name};
pub use ask::{
    AGEING, Capabilities, Count, Counted, Delivery, NewTicket, Publish, QueueInfo, Receipt, Receive, Settle,
    Settled, Settlement, Wait, Woken,
};
pub use contract::Queue;
pub use error::QueueError;
pub use letter::{
    Clear, Clearing, DeadLetter, LetterId, LetterOrder, ListLetters, MAX_LETTER_TEXT, MAX_LETTERS,
    MAX_REASON, require_readable, unreadable, within,
};
pub use limits::{MAX_DELAY, MAX_PROJECT, MAX_QUEUES, MAX_RECEIPT, MAX_TICKETS};
pub use ticket::{StepTicket, Ticket};
