//! Until when this incarnation may begin something, on a clock that stands still for nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::engine::tasks::Tasks;
use crate::time::{Clock, Timestamp, sleep_from};

/// How long after it was asked for the last renewal that was answered an incarnation ends, in shares of the time to live:
/// what it executes is killed then, and has to be gone before others may take it for dead.
pub(crate) const ENDS: f64 = 0.7;

/// Until when this incarnation may begin something: others may take it for dead not long after. Its keeper notices that too;
/// but where a whole process was stopped, and goes on, others may be faster than its keeper.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The keeper goes by this one as well.
    pub(crate) clock: Arc<dyn Clock>,
    ttl: Duration,
    until: watch::Sender<Timestamp>,
}

impl Lease {
    /// One that has not begun.
    pub(crate) fn new(ttl: Duration, clock: &Arc<dyn Clock>, tasks: &Tasks) -> Self {
        let clock = match tasks {
            // Whoever polls the tasks has the time as well.
            Tasks::Given(_) => clock.clone(),
            Tasks::Runtime(_) => Arc::new(BootClock),
        };
        Self { clock, ttl, until: watch::channel(Timestamp::from_millis(i64::MIN)).0 }
    }

    /// A renewal was answered that was asked for at this time.
    pub(crate) fn extend(&self, asked: Timestamp) {
        self.until.send_replace(self.end(asked));
    }

    /// When it ends, if it is renewed at this time and not again.
    pub(crate) fn end(&self, asked: Timestamp) -> Timestamp {
        asked + self.ttl.mul_f64(ENDS)
    }

    pub(crate) fn holds(&self) -> bool {
        self.clock.now() < *self.until.borrow()
    }

    /// Returns when it holds: at once, or when it was renewed.
    pub(crate) async fn held(&self) {
        let mut until = self.until.subscribe();
        // The sender is this one's own.
        let _ = until.wait_for(|until| self.clock.now() < *until).await;
    }
}

/// The time since the machine was started, and what it has slept.
#[derive(Debug)]
struct BootClock;

#[async_trait]
impl Clock for BootClock {
    fn now(&self) -> Timestamp {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        // On the systems of Apple it goes on while the machine sleeps.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(CLOCK);
        Timestamp::from_millis(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
    }

    async fn sleep_until(&self, at: Timestamp) {
        sleep_from(self.now(), at).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;
    use crate::time::wall_clock;

    #[tokio::test]
    async fn a_lease_holds_from_a_renewal_for_a_share_of_the_time_to_live() {
        let clock: Arc<dyn Clock> = Arc::new(crate::time::SystemClock::from_wall_clock());
        let lease = Lease::new(Duration::from_secs(1_000), &clock, &Tasks::Runtime(Handle::current()));
        assert!(!lease.holds());
        let now = lease.clock.now();
        assert!(now < wall_clock(), "since the start of the machine, not since 1970");
        lease.extend(now - Duration::from_secs(701));
        assert!(!lease.holds());
        lease.extend(now - Duration::from_secs(600));
        assert!(lease.holds());
        lease.held().await;
    }
}
