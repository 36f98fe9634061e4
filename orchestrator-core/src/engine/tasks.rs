//! Where the engine's tasks run, and what becomes of a process in which one of them panics.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;

use crate::port::executor::{Executor, Task};

/// How a process ends that has lost a task of its engine: as after a panic of its main thread.
const PANICKED: i32 = 101;

/// Where the engine's tasks run. Spawning works from any thread, also a plugin's own.
#[derive(Debug, Clone)]
pub(crate) enum Tasks {
    /// In the runtime in which the engine was started.
    Runtime(Handle),
    /// Where the host says. Whoever polls there sees a panic.
    Given(Arc<dyn Executor>),
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Runtime(runtime) => drop(runtime.spawn(whole(task))),
            Self::Given(executor) => executor.spawn(Box::pin(task)),
        }
    }

    /// The task as it is polled here, for somebody else to poll: a panic is what it is among these.
    pub(crate) fn whole(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        match self {
            Self::Runtime(_) => Box::pin(whole(task)),
            Self::Given(_) => Box::pin(task),
        }
    }
}

/// Carries out a task of the engine, whose panic ends the process.
///
/// A process that has lost one would go on saying that it is alive, and keep runs that it no longer moves. A dead one is
/// noticed, and what it drove is taken up as after any other death. What plugins and policies do is caught before.
pub(crate) async fn whole<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))).unwrap_or_else(|panic| end(&*panic))
    })
    .await
}

fn end(panic: &(dyn Any + Send)) -> ! {
    tracing::error!(why = said(panic), "a task of the engine has panicked; the process ends");
    // Not by a macro, whose output a test would keep to itself. If nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "orchestrator: a task of the engine has panicked: {}", said(panic));
    std::process::exit(PANICKED)
}

/// Calls something that may panic and that is none of the engine's own: its panic in words.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| said(&*panic).to_owned())
}

/// As [`guarded`], for something that takes time.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    // After a panic it is never polled again.
    poll_fn(|cx| match guarded(|| work.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(said) => Poll::Ready(Err(said)),
    })
    .await
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
