//! What a report says of the stages of its run.

use crate::engine::report::{RunReport, StepReport};
use crate::spec::Stage;

impl StepReport {
    /// Whether it comes after the steps proper and has not been needed, so far.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let untouched = self.status == "pending" || self.status == "skipped" && self.finished_at.is_none();
        self.stage != Stage::Main.key() && self.attempts == 0 && untouched
    }
}

impl RunReport {
    /// The steps, without those that come after the steps proper and have not been needed.
    pub fn needed_steps(&self) -> impl Iterator<Item = &StepReport> {
        self.steps.iter().filter(|step| !step.is_idle())
    }

    /// The compensations that were to be executed and were not, or have failed: what their steps have done stands.
    pub fn not_undone(&self) -> impl Iterator<Item = &StepReport> {
        let undo = Stage::Compensation.key();
        let owed = |step: &&StepReport| match step.status {
            "failed" | "cancelled" | "outcome_unknown" => true,
            "skipped" => step.finished_at.is_some(),
            _ => false,
        };
        self.steps.iter().filter(move |step| step.stage == undo && step.item.is_none()).filter(owed)
    }

    /// How many steps progress counts: all but the compensations. Items are not counted.
    #[must_use]
    pub fn counted_steps(&self) -> usize {
        let undo = Stage::Compensation.key();
        self.steps.iter().filter(|step| step.item.is_none() && step.stage != undo).count()
    }
}
