//! How recorded failures are retried. Pure: jitter is a hash, not a random number, so a decision can be repeated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, Unit, mix};

/// The most attempts an author may ask for.
pub const MAX_ATTEMPTS: u32 = 1_000;

/// The `retry:` of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Failures and losses together never exceed this, 1 to [`MAX_ATTEMPTS`].
    pub max_attempts: u32,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Error classes that are retried. Empty: those that the plugin calls transient.
    pub on: Vec<ErrorClass>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::Exponential,
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            on: Vec::new(),
        }
    }
}

/// How the wait between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backoff {
    /// Always `initial`.
    Fixed,
    /// `initial`, twice that, four times that … up to `max`.
    Exponential,
}

/// Why an attempt failed, in words that a retry policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// The work itself failed: a script's exit code, an unexpected status.
    Failed,
    /// A condition that passes by itself: a refused connection, a 503.
    Transient,
    /// The attempt took longer than its `timeout`.
    Timeout,
    /// The other side asked to slow down.
    RateLimited,
    /// The request is wrong and stays wrong.
    Invalid,
    /// A policy or the other side refused.
    Denied,
    /// An expression could not be rendered.
    Template,
    /// The plugin panicked.
    PluginPanicked,
    /// The executing process died too often.
    Lost,
    /// What the step declares as evidence does not hold.
    Evidence,
    /// Whoever judged it has not passed it.
    Qa,
    /// Someone has cancelled the run that carries out the step.
    Cancelled,
}

impl ErrorClass {
    /// Whether trying again may help when the author has not said which classes to retry.
    #[must_use]
    pub const fn may_pass_by_itself(self) -> bool {
        matches!(
            self,
            Self::Failed
                | Self::Transient
                | Self::Timeout
                | Self::RateLimited
                | Self::Lost
                | Self::Evidence
                | Self::Qa
        )
    }
}

impl RetryPolicy {
    /// Whether a failure of `class` is retried.
    #[must_use]
    pub fn covers(&self, class: ErrorClass) -> bool {
        if self.on.is_empty() { class.may_pass_by_itself() } else { self.on.contains(&class) }
    }

    /// The wait before the attempt that follows failure number `failures` (1 is the first): between half and all of
    /// the nominal wait, spread by a hash of run, step and failure so that steps that failed together do not return
    /// together.
    #[must_use]
    pub fn delay(&self, run: RunId, unit: impl Into<Unit>, failures: u32) -> Duration {
        let half = self.nominal(failures) / 2;
        half + half.mul_f64(share(run, unit.into(), failures))
    }

    /// The wait where the other side has asked for one of `asked`: never less, and longer by anything up to the nominal wait, or
    /// to half of what was asked, at most [`RetryPolicy::max`], if that is more. Many are told to come back at one moment, and
    /// would all do so.
    #[must_use]
    pub fn delay_after(&self, asked: Duration, run: RunId, unit: impl Into<Unit>, failures: u32) -> Duration {
        let unit = unit.into();
        let span = self.nominal(failures).max(Ord::min(asked / 2, self.max));
        let spread = span.mul_f64(share(run, unit, failures));
        self.delay(run, unit, failures).max(asked.saturating_add(spread))
    }

    fn nominal(&self, failures: u32) -> Duration {
        match self.backoff {
            Backoff::Fixed => self.initial,
            Backoff::Exponential => self.initial.saturating_mul(1 << failures.saturating_sub(1).min(31)),
        }
        .min(self.max)
    }
}

/// A fraction of one, of its own for each failure of each step or item of each run.
fn share(run: RunId, unit: Unit, failures: u32) -> f64 {
    let place = u64::from(unit.step.0) << 32 ^ u64::from(unit.rank()).rotate_right(24);
    let seed = run.as_uuid().as_u128() as u64 ^ place ^ u64::from(failures);
    // The top 32 bits.
    (mix(seed) >> 32) as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::StepIx;

    #[test]
    fn waits_grow_stay_bounded_and_repeat_exactly() {
        let policy = RetryPolicy { max: Duration::from_secs(8), ..RetryPolicy::default() };
        let run = RunId::from_uuid(uuid::Uuid::from_u128(7));
        for failures in 1..200 {
            let delay = policy.delay(run, StepIx(3), failures);
            let nominal = Duration::from_secs(1 << (failures - 1).min(3));
            assert!(delay >= nominal / 2 && delay <= nominal, "{failures}: {delay:?}");
            assert_eq!(delay, policy.delay(run, StepIx(3), failures));
        }
    }

    #[test]
    fn who_is_asked_to_wait_comes_no_sooner_and_not_with_all_others() {
        let policy = RetryPolicy { max: Duration::from_secs(8), ..RetryPolicy::default() };
        let run = RunId::from_uuid(uuid::Uuid::from_u128(7));
        for (asked, failures, longest) in [(0, 1, 1), (30, 1, 38), (4, 1, 6), (4, 9, 12), (86_400, 3, 86_408)]
        {
            let asked = Duration::from_secs(asked);
            let waits: Vec<Duration> = (0..2_000)
                .map(|item| policy.delay_after(asked, run, Unit::new(StepIx(0), Some(item)), failures))
                .collect();
            assert!(
                waits.iter().all(|wait| (asked..=Duration::from_secs(longest)).contains(wait)),
                "{asked:?}"
            );
            // Of ten parts of that time, none is for many more than its tenth.
            let first = waits.iter().min().unwrap();
            let tenth = (*waits.iter().max().unwrap() - *first) / 10;
            let most = (0..10).map(|part| {
                let from = *first + tenth * part;
                waits.iter().filter(|wait| (from..from + tenth).contains(wait)).count()
            });
            assert!(most.max().unwrap() < 2 * 200, "{asked:?}");
        }
        let twice = [1, 2].map(|_| policy.delay_after(Duration::from_secs(3), run, StepIx(1), 2));
        assert_eq!(twice[0], twice[1], "a decision can be repeated");
    }
}
