//! Telling an attempt to stop.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The run is being cancelled.
    Cancelled,
    /// The attempt has used up its time.
    TimedOut,
    /// The process is stopping in an orderly way.
    Shutdown,
    /// The attempt's right has ended: another owner may be executing the step.
    Fenced,
}

/// Tells an attempt to stop.
#[derive(Debug, Clone)]
pub struct Stop(Arc<dyn Stoppable>);

/// The other end of a [`Stop`].
#[derive(Debug, Clone)]
pub struct Stopper(Arc<dyn Stoppable>);

/// A reason, given at most once. Made for every attempt there is, most of which are never told to stop.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    reason: OnceLock<StopReason>,
    given: Notify,
}

/// What a signal is part of: the engine makes one allocation for all that an attempt has of it.
pub(crate) trait Stoppable: fmt::Debug + Send + Sync {
    fn signal(&self) -> &Signal;
}

impl Stoppable for Signal {
    fn signal(&self) -> &Signal {
        self
    }
}

impl Signal {
    async fn given(&self) -> StopReason {
        loop {
            // Made before the look: a reason given in between wakes it.
            let given = self.given.notified();
            if let Some(reason) = self.reason.get() {
                return *reason;
            }
            given.await;
        }
    }
}

impl Stop {
    /// A pair of ends.
    #[must_use]
    pub fn pair() -> (Stopper, Self) {
        let signal = Arc::<Signal>::default();
        (Stopper(signal.clone()), Self(signal))
    }

    /// The attempt's end of a signal.
    pub(crate) const fn of(attempt: Arc<dyn Stoppable>) -> Self {
        Self(attempt)
    }

    /// One that is never told to stop.
    #[must_use]
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Why the attempt is to stop, if it is.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.0.signal().reason.get().copied()
    }

    /// Returns when the attempt is to stop; never, if that does not happen.
    pub async fn requested(&self) -> StopReason {
        self.0.signal().given().await
    }
}

impl Stopper {
    /// The engine's end of a signal.
    pub(crate) const fn of(attempt: Arc<dyn Stoppable>) -> Self {
        Self(attempt)
    }

    /// Tells the attempt to stop. The first reason stands.
    pub fn stop(&self, reason: StopReason) {
        let signal = self.0.signal();
        if signal.reason.set(reason).is_ok() {
            signal.given.notify_waiters();
        }
    }

    /// As [`Stop::requested`], on this end.
    pub(crate) async fn given(&self) -> StopReason {
        self.0.signal().given().await
    }

    /// The reason given, if one was.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.0.signal().reason.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_to_stop_stands() {
        let (stopper, stop) = Stop::pair();
        stopper.stop(StopReason::TimedOut);
        stopper.stop(StopReason::Shutdown);
        assert_eq!(stop.requested().await, StopReason::TimedOut);
    }
}
