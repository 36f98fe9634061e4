//! Who polls the engine's tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A task of the engine.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls the engine's tasks. A seam: a simulator decides with it who is next, who pauses, and who dies where. Without one,
/// tasks are Tokio's own, and the engine's owner is renewed from a thread of its own.
///
/// Whoever brings an executor must see to it that renewals are not starved: they are a task among the others.
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Polls this task to its end, or until the process that it belongs to is dead. Does not poll it before it returns.
    fn spawn(&self, task: Task);
}
