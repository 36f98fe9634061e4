//! Figures and how they are taken.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One figure beside its limit.
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) measured: f64,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    pub(crate) must: Must,
}

/// What a figure must be.
pub(crate) enum Must {
    /// measured ÷ limit at most this.
    WithinTimes(f64),
    /// measured ÷ limit at least this.
    Reach(f64),
    /// measured − limit at most this, in the unit.
    WithinAbove(f64),
    /// measured at most the limit.
    Within,
}

impl Figure {
    pub(crate) fn is_met(&self) -> bool {
        match self.must {
            Must::WithinTimes(times) => self.measured <= self.limit * times,
            Must::Reach(times) => self.measured >= self.limit * times,
            Must::WithinAbove(above) => self.measured - self.limit <= above,
            Must::Within => self.measured <= self.limit,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: f64| match value {
            value if value >= 1000.0 => format!("{value:.0} {}", self.unit),
            value => format!("{value:.2} {}", self.unit),
        };
        let must = match self.must {
            Must::WithinTimes(times) => format!("≤ {times} ×"),
            Must::Reach(times) => format!("≥ {times} ×"),
            Must::WithinAbove(above) => format!("≤ +{above}"),
            Must::Within => "≤ limit".to_owned(),
        };
        write!(
            f,
            "{:<52} {:>14} {:>14} {:>8.2}× {:>9} {}",
            self.name,
            number(self.measured),
            number(self.limit),
            self.measured / self.limit,
            must,
            if self.is_met() { "ok" } else { "MISSED" },
        )
    }
}

/// The median of what `repeat` interleaved repetitions of two measurements give.
pub(crate) fn interleaved(
    repeat: usize,
    mut one: impl FnMut() -> f64,
    mut other: impl FnMut() -> f64,
) -> (f64, f64) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        ones.push(one());
        others.push(other());
    }
    (median(ones), median(others))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How long something takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

/// A runtime as the command line has it.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// A program built with the same profile as this one.
pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.parent()?.join(name);
    program.exists().then_some(program)
}

/// What half of them, and what all but one in a hundred have waited at most.
pub(crate) struct Waits {
    pub(crate) half: f64,
    pub(crate) most: f64,
}

impl Waits {
    pub(crate) fn of(mut waits: Vec<f64>) -> Self {
        waits.sort_by(f64::total_cmp);
        Self { half: waits[waits.len() / 2], most: waits[waits.len() * 99 / 100] }
    }
}
