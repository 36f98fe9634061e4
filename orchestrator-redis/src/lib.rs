//! The queue of orchestrator over Redis: a doorbell that many processes share.
//!
//! [`RedisQueue::connect`] takes a URL, `redis://USER:PASSWORD@HOST:PORT/DATABASE` or `unix:///PATH?db=N`; all of its keys
//! begin with [`Options::prefix`]. It can do all that a queue can: tickets that are due later, priorities, projects in turn.
//! Each call is one script that Redis carries out at one moment, by its own clock, in one round trip.
//!
//! Redis may forget. Tickets outlive every handle, but not a server that is flushed, that is restarted without having
//! written them down, or that takes them away for want of memory (`maxmemory-policy` should be `noeviction`: then it
//! refuses new ones instead). What is lost is found in the store: a queue is a doorbell.
//!
//! A server that cannot be reached is [`Unavailable`](orchestrator_core::port::queue::QueueError::Unavailable); the same
//! handle goes on when it is back. One server: no cluster, and no TLS yet. It is tested with Redis 7; the scripts ask for
//! nothing that Redis 5 does not have.

mod bell;
mod link;
mod options;
mod queue;
mod scripts;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use apalis_redis::Client;
pub use options::{MAX_PREFIX, Options};
pub use queue::RedisQueue;
