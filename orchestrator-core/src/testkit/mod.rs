//! The conformance kit: what every store must do, as a list of cases. A backend that passes all of them can be put
//! under the engine.
//!
//! A backend's test is a few lines: say how an empty store is made ([`Backend`]) and how it is opened again ([`Place`]),
//! and call [`run`].
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use orchestrator_core::{memory::MemoryStore, port::store::Store, testkit::{self, Backend, Place}};
//! #[derive(Debug)]
//! struct Memory(Arc<MemoryStore>);
//!
//! #[async_trait::async_trait]
//! impl Place for Memory {
//!     async fn open(&self) -> Arc<dyn Store> {
//!         self.0.clone()
//!     }
//! }
//!
//! struct Memories;
//!
//! #[async_trait::async_trait]
//! impl Backend for Memories {
//!     async fn fresh(&self) -> Arc<dyn Place> {
//!         Arc::new(Memory(Arc::new(MemoryStore::new())))
//!     }
//! }
//!
//! #[tokio::test]
//! async fn conformance() {
//!     testkit::run(&Memories).await;
//! }
//! ```
//!
//! No case waits: time passes by owners that live for no time, and by moments in the past and the future.

mod cases;
mod kit;
mod sample;

pub use cases::CASES;
pub use kit::{Backend, Case, CaseFn, Place, failures, run};
pub use sample::{Story, every_event, new_run, summary};

#[cfg(test)]
mod mutants;
#[cfg(test)]
mod tests;
