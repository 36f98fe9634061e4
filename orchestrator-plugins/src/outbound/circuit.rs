//! Hosts that have failed again and again are left alone for a while.
//!
//! What is kept is only in memory, and nothing depends on it: an attempt that finds a circuit open fails at once as
//! `transient` and says how long to wait, and the wait is the engine's, durable as any other. After a restart every circuit is
//! closed, and a host that is still down opens it again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many failures in a row open a circuit.
const FAILURES: u32 = 5;

/// How long it stays open the first time; twice as long each time that the probe fails, up to [`OPEN_MAX`].
const OPEN: Duration = Duration::from_secs(1);

/// The longest time that a circuit stays open: one minute.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// How long to wait while somebody else's probe is on its way.
const PROBED: Duration = Duration::from_secs(1);

/// The most hosts that are kept in mind; of more, those that come later are called as if nothing had happened.
const HOSTS: usize = 4_096;

/// What a host that has failed lately is thought to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// It is called; it has failed, but not often enough in a row.
    Closed,
    /// It is not called.
    Open,
    /// It is called once, to find out.
    HalfOpen,
}

/// A host that has failed lately.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Circuit {
    /// `scheme://host:port`.
    pub origin: String,
    /// Whether it is called.
    pub state: CircuitState,
    /// How often it has failed in a row.
    pub failures: u32,
    /// How long it is still left alone.
    pub wait: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    failures: u32,
    state: CircuitState,
    /// When a probe may be made.
    until: Instant,
    /// How long it was open the last time.
    opened_for: Duration,
}

/// All hosts that have failed lately.
#[derive(Debug, Default)]
pub(super) struct Circuits(Mutex<BTreeMap<String, Known>>);

/// A call that is on its way.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    circuits: &'a Circuits,
    origin: String,
    /// Whether it is the one call that finds out.
    probe: bool,
}

impl Circuits {
    /// Lets a call to `origin` pass.
    ///
    /// # Errors
    /// How long the host is still left alone.
    pub(super) fn enter(&self, origin: String) -> Result<Passage<'_>, Duration> {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = match known.get_mut(&origin) {
            None => false,
            Some(host) => match host.state {
                CircuitState::Closed => false,
                CircuitState::Open if host.until > now => return Err(host.until - now),
                CircuitState::HalfOpen => return Err(PROBED),
                CircuitState::Open => {
                    host.state = CircuitState::HalfOpen;
                    true
                }
            },
        };
        drop(known);
        Ok(Passage { circuits: self, origin, probe })
    }

    /// Every host that has failed lately, by its origin.
    pub(super) fn list(&self) -> Vec<Circuit> {
        let now = Instant::now();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(origin, host): (&String, &Known)| Circuit {
            origin: origin.clone(),
            state: host.state,
            failures: host.failures,
            wait: (host.state == CircuitState::Open).then(|| host.until.saturating_duration_since(now)),
        };
        known.iter().map(told).collect()
    }

    fn with<T>(&self, then: impl FnOnce(&mut BTreeMap<String, Known>) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Passage<'_> {
    /// The host has answered as one that is well.
    pub(super) fn succeeded(mut self) {
        self.probe = false;
        self.circuits.with(|known| known.remove(&self.origin));
    }

    /// The host was not there, or has answered as one that is not well. Whether its circuit has opened by that, and for how
    /// long.
    pub(super) fn failed(mut self) -> Option<Duration> {
        let probe = std::mem::take(&mut self.probe);
        let origin = std::mem::take(&mut self.origin);
        self.circuits.with(|known| {
            if known.len() >= HOSTS && !known.contains_key(&origin) {
                return None;
            }
            let fresh = Known {
                failures: 0,
                state: CircuitState::Closed,
                until: Instant::now(),
                opened_for: Duration::ZERO,
            };
            let host = known.entry(origin).or_insert(fresh);
            host.failures = host.failures.saturating_add(1);
            // Calls that were on their way when it opened say nothing new.
            let opens = probe || (host.state == CircuitState::Closed && host.failures >= FAILURES);
            opens.then(|| {
                host.opened_for = (host.opened_for * 2).clamp(OPEN, OPEN_MAX);
                host.until = Instant::now() + host.opened_for;
                host.state = CircuitState::Open;
                host.opened_for
            })
        })
    }
}

impl Drop for Passage<'_> {
    /// A call that was given up says nothing about the host; if it was the probe, the next call is one.
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        self.circuits.with(|known| {
            if let Some(host) = known.get_mut(&self.origin) {
                host.state = CircuitState::Open;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(circuits: &Circuits) -> Result<Passage<'_>, Duration> {
        circuits.enter("http://a:1".to_owned())
    }

    fn open(circuits: &Circuits) {
        for failure in 1..=FAILURES {
            let opened = enter(circuits).unwrap().failed();
            assert_eq!(opened, (failure == FAILURES).then_some(OPEN));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_probe_decides() {
        let circuits = Circuits::default();
        open(&circuits);
        assert_eq!(enter(&circuits).unwrap_err(), OPEN);
        // Another host is not meant.
        circuits.enter("http://b:1".to_owned()).unwrap().succeeded();
        tokio::time::advance(OPEN).await;
        let probe = enter(&circuits).unwrap();
        assert_eq!(enter(&circuits).unwrap_err(), PROBED, "there is one probe");
        assert_eq!(circuits.list()[0].state, CircuitState::HalfOpen);
        assert_eq!(probe.failed(), Some(OPEN * 2), "longer each time");
        tokio::time::advance(OPEN * 2).await;
        enter(&circuits).unwrap().succeeded();
        assert_eq!(circuits.list(), []);
        enter(&circuits).unwrap().succeeded();
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_in_between_begins_the_count_anew() {
        let circuits = Circuits::default();
        for _ in 1..FAILURES {
            assert_eq!(enter(&circuits).unwrap().failed(), None);
        }
        enter(&circuits).unwrap().succeeded();
        assert_eq!(enter(&circuits).unwrap().failed(), None);
        assert_eq!(circuits.list()[0].failures, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_it_to_the_next() {
        let circuits = Circuits::default();
        open(&circuits);
        tokio::time::advance(OPEN).await;
        drop(enter(&circuits).unwrap());
        enter(&circuits).unwrap().succeeded();
        assert_eq!(circuits.list(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_never_open_for_longer_than_a_minute() {
        let circuits = Circuits::default();
        open(&circuits);
        let mut opened_for = OPEN;
        for _ in 0..10 {
            tokio::time::advance(opened_for).await;
            opened_for = enter(&circuits).unwrap().failed().unwrap();
        }
        assert_eq!(opened_for, OPEN_MAX);
        let wait = circuits.list()[0].wait;
        assert_eq!((wait, circuits.list()[0].state), (Some(OPEN_MAX), CircuitState::Open));
    }

    #[tokio::test(start_paused = true)]
    async fn late_failures_do_not_open_it_for_longer() {
        let circuits = Circuits::default();
        let late = enter(&circuits).unwrap();
        open(&circuits);
        assert_eq!(late.failed(), None);
        assert_eq!(enter(&circuits).unwrap_err(), OPEN);
    }
}
