//! A clock that is moved by hand.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::testkit::sample::at;
use crate::time::{Clock, Timestamp};

/// A clock that stands still until it is moved. Whoever sleeps on it wakes when it has been moved far enough.
#[derive(Debug)]
pub struct HandClock(watch::Sender<Timestamp>);

impl Default for HandClock {
    fn default() -> Self {
        Self(watch::Sender::new(at(0)))
    }
}

impl HandClock {
    /// Moves it.
    pub fn pass(&self, time: Duration) {
        self.0.send_modify(|now| *now = *now + time);
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        // It fails only if the sender is gone, which is in `self`.
        let _ = self.0.subscribe().wait_for(|now| *now >= at).await;
    }
}
