//! The stages of a workflow: its steps proper, and what comes after them.

use serde::{Deserialize, Serialize};

use crate::id::StepIx;

/// A part of a workflow. A run goes through them in this order, and passes over those that it does not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// `steps`.
    #[default]
    Main,
    /// The `compensate` of those that have succeeded, the last to end first.
    Compensation,
    /// `on-failure`.
    OnFailure,
    /// `finally`.
    Finally,
}

impl Stage {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// Those after the steps proper.
    pub const CLEANUP: [Self; 3] = [Self::Compensation, Self::OnFailure, Self::Finally];

    /// The key under which its steps are written.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Main => "steps",
            Self::Compensation => "compensate",
            Self::OnFailure => "on-failure",
            Self::Finally => "finally",
        }
    }
}

/// Which steps of a workflow are of which stage: they stand in the order of the stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    /// Where the stages after the first begin.
    begins: [u32; 3],
    /// What each compensation undoes.
    undoes: Vec<StepIx>,
}

impl Default for Stages {
    /// All steps are steps proper.
    fn default() -> Self {
        Self { begins: [u32::MAX; 3], undoes: Vec::new() }
    }
}

impl Stages {
    /// `main` steps proper, a compensation of each step in `undoes`, and so many `on-failure` steps; the rest is
    /// `finally`.
    #[must_use]
    pub fn new(main: u32, undoes: Vec<StepIx>, on_failure: u32) -> Self {
        let compensated = main + undoes.len() as u32;
        Self { begins: [main, compensated, compensated + on_failure], undoes }
    }

    /// The stage of a step.
    #[must_use]
    pub const fn of(&self, step: StepIx) -> Stage {
        let [compensation, on_failure, finally] = self.begins;
        match step.0 {
            at if at < compensation => Stage::Main,
            at if at < on_failure => Stage::Compensation,
            at if at < finally => Stage::OnFailure,
            _ => Stage::Finally,
        }
    }

    /// Where a stage begins and ends, in a workflow of so many steps.
    pub(crate) fn range(&self, stage: Stage, steps: u32) -> std::ops::Range<u32> {
        let [compensation, on_failure, finally] = self.begins.map(|begin| begin.min(steps));
        match stage {
            Stage::Main => 0..compensation,
            Stage::Compensation => compensation..on_failure,
            Stage::OnFailure => on_failure..finally,
            Stage::Finally => finally..steps,
        }
    }

    /// The step that a compensation undoes.
    #[must_use]
    pub fn undone_by(&self, compensation: StepIx) -> Option<StepIx> {
        let at = compensation.0.checked_sub(self.begins[0])?;
        self.undoes.get(at as usize).copied()
    }

    /// The compensation of a step, if it has one.
    #[must_use]
    pub fn undo_of(&self, step: StepIx) -> Option<StepIx> {
        // In the order of the text.
        let at = self.undoes.binary_search(&step).ok()?;
        Some(StepIx(self.begins[0] + at as u32))
    }

    /// How many steps are compensations.
    #[must_use]
    pub fn compensations(&self) -> usize {
        self.undoes.len()
    }
}
