//! The conformance kit: what every store and every queue must do, as lists of cases. A store that passes all of them can be
//! put under the engine.
//!
//! A backend's test is a few lines: a function that makes a new [`Place`], and [`run`]. A store that lives in this process
//! alone is a place as it is.
//!
//! ```
//! # use std::sync::Arc;
//! use orchestrator_core::{MemoryStore, testkit};
//!
//! # /*
//! #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
//! # */
//! # #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
//! # async fn main() { conforms().await }
//! async fn conforms() {
//!     testkit::run(|| async { Arc::new(MemoryStore::new()) }).await;
//! }
//! ```
//!
//! For a queue it is [`run_queue`], over a [`QueuePlace`].
//!
//! The cases come in groups ([`Group`]); `docs/writing-a-backend.md` says what each of them wants. No case waits: time
//! passes by owners that live for no time, by moments in the past and the future, and by a clock that the case moves.
//! Backends of runtimes with one thread are welcome, but races are found with two.

mod between;
mod caller;
mod cases;
mod clock;
mod kit;
#[cfg(test)]
mod matrix;
mod model;
mod puppet;
mod queue;
mod sample;

pub use caller::poll_and_drop;
pub use cases::CASES;
pub use clock::HandClock;
pub use kit::{Backend, Case, CaseFn, Failure, Group, Place, failures, run};
pub use model::{Difference, Model, compare};
pub use queue::{ClockedQueue, QUEUE_CASES, QueueBackend, QueuePlace, queue_failures, run_queue};
pub use sample::{Story, every_event, new_run, summary};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong;
