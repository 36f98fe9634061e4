//! Where the engine's tasks run.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::port::executor::Executor;

/// Where the engine's tasks run. Spawning works from any thread, also a plugin's own.
#[derive(Debug, Clone)]
pub(crate) enum Tasks {
    /// In the runtime in which the engine was started.
    Runtime(Handle),
    /// Where the host says.
    Given(Arc<dyn Executor>),
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Runtime(runtime) => drop(runtime.spawn(task)),
            Self::Given(executor) => executor.spawn(Box::pin(task)),
        }
    }
}
