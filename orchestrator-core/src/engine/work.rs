//! What an engine takes up, in the hands of its host.

use std::fmt;
use std::future::{Future, poll_fn};
use std::task::Poll;

use crate::engine::shared::Shared;
use crate::engine::tasks::{Tasks, guarded};
use crate::port::executor::Task;
use crate::port::queue::Ticket;

/// Something that an engine has taken up and that its host carries out: see [`EngineBuilder::hand_out`].
///
/// The driver of a run lasts until the run has ended or is let go. An attempt that somebody has offered has a slot, and lasts
/// until its outcome is delivered.
///
/// None is lost: what is dropped, at whatever point, the engine carries out to its end in a task of its own.
///
/// [`EngineBuilder::hand_out`]: crate::engine::EngineBuilder::hand_out
#[must_use = "what is dropped is carried out by the engine itself"]
pub struct Work {
    ticket: Ticket,
    /// What is still to be done.
    left: Option<Task>,
    tasks: Tasks,
}

impl Work {
    /// Which run, or which attempt of which step.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Carries it out to its end, within a Tokio runtime that has a timer. A panic is what it is in any task of the engine.
    pub async fn carry_out(mut self) {
        poll_fn(|cx| {
            // What has panicked is not polled again, here or anywhere.
            let Some(mut task) = self.left.take() else { return Poll::Ready(()) };
            let polled = task.as_mut().poll(cx);
            if polled.is_pending() {
                self.left = Some(task);
            }
            polled
        })
        .await;
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(task) = self.left.take() {
            tracing::debug!(ticket = ?self.ticket, "the host has let go of work; the engine carries it out");
            self.tasks.spawn(task);
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// How a host takes what it carries out.
pub(crate) struct Hands(pub(crate) Box<dyn Fn(Work) + Send + Sync>);

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hands")
    }
}

impl Shared {
    /// Has somebody carry this out: the host if it has asked for it, otherwise a task of the engine.
    pub(crate) fn hand_out(&self, ticket: Ticket, task: impl Future<Output = ()> + Send + 'static) {
        let Some(Hands(take)) = &self.hands else { return self.tasks.spawn(task) };
        let work = Work { ticket, left: Some(self.tasks.whole(task)), tasks: self.tasks.clone() };
        if let Err(said) = guarded(|| take(work)) {
            tracing::warn!(?ticket, %said, "the host has panicked where it takes work");
        }
    }
}
