//! Time: milliseconds since the Unix epoch, and the clock that tells them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. Serialises as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment, or the last one that can be written down and read again.
    #[must_use]
    pub(crate) fn or_last(self) -> Self {
        Self(self.0.min(LAST))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How much longer than others somebody seems to have waited for each point of priority, wherever somebody waits in a line.
pub const HEAD_START: Duration = Duration::from_secs(60);

impl Timestamp {
    /// The place in line of who waits since this moment, in milliseconds; the smallest goes first. A place is for good: who
    /// waits for long enough goes before all that come later, however urgent, so nobody waits for ever.
    #[must_use]
    pub const fn place(self, priority: i32) -> i64 {
        // Widened without loss: `From` is not const.
        self.0.saturating_sub((priority as i64).saturating_mul(HEAD_START.as_millis() as i64))
    }
}

/// Where adding and reading end: 9999-12-30T22:00:00Z, the last whole second that jiff can print. What is stored must be
/// readable again, and a later moment has no RFC 3339 form.
const LAST: i64 = 253_402_207_200_000;

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let sum = self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
        Self(sum).or_last()
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            // Outside the years -9999 to 9999 there is no RFC 3339 form.
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an RFC 3339 moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-01-31T12:00:00Z")]
pub struct InvalidTimestamp(String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_millisecond()).or_last())
            .map_err(|_| InvalidTimestamp(text.chars().take(80).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Tells the time and waits. A seam: the engine asks no other clock, so that a simulated one can drive it.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns at `at` or a little later; at once if `at` has passed.
    async fn sleep_until(&self, at: Timestamp);
}

/// The store's time plus the monotonic time that has passed since it was read. Adjusting the machine's wall clock
/// does not move it.
#[derive(Debug)]
pub struct SystemClock {
    anchor: Timestamp,
    started: tokio::time::Instant,
}

impl SystemClock {
    /// A clock that shows `now` at this moment.
    #[must_use]
    pub fn anchored_at(now: Timestamp) -> Self {
        Self { anchor: now, started: tokio::time::Instant::now() }
    }

    /// A clock anchored at the operating system's wall clock.
    #[must_use]
    pub fn from_wall_clock() -> Self {
        Self::anchored_at(wall_clock())
    }
}

/// The operating system's wall clock. For backends whose clock it is (memory, SQLite); the engine asks its [`Clock`].
#[must_use]
pub fn wall_clock() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.anchor + self.started.elapsed()
    }

    async fn sleep_until(&self, at: Timestamp) {
        sleep_from(self.now(), at).await;
    }
}

/// Sleeps until `at`, by a clock that rounds down and shows `now`.
pub(crate) async fn sleep_from(now: Timestamp, at: Timestamp) {
    if at > now {
        // One millisecond more than the difference: a sleeper must not wake early.
        tokio::time::sleep(at.since(now) + Duration::from_millis(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339_with_milliseconds_and_reads_it_back() {
        let at = Timestamp::from_millis(1_700_000_000_120);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.120Z");
        assert_eq!(at.to_string().parse(), Ok(at));
    }

    #[test]
    fn the_farthest_moment_can_be_printed_and_read_back() {
        let far = Timestamp::from_millis(5) + Duration::MAX;
        assert_eq!(far.to_string().parse(), Ok(far));
    }

    #[tokio::test(start_paused = true)]
    async fn sleepers_never_wake_early() {
        let clock = SystemClock::anchored_at(Timestamp::from_millis(5));
        let due = Timestamp::from_millis(105);
        clock.sleep_until(due).await;
        assert!(clock.now() >= due);
    }
}
