//! Deadlines: how long a step, or the steps proper of a run, may take in all.

use crate::id::Unit;
use crate::machine::event::Event;
use crate::machine::failure::StepError;
use crate::machine::slot::Slot;
use crate::machine::state::{Intent, RunState};
use crate::machine::step_state::StepState;
use crate::spec::Stage;
use crate::spec::duration;
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;

impl RunState {
    /// When the steps proper are to have ended, as long as that is not known to be missed. Counted from the beginning of
    /// the generation.
    #[must_use]
    pub fn run_due(&self) -> Option<Timestamp> {
        let is_open = self.head.ended.is_none()
            && self.head.stage == Stage::Main
            && self.head.overdue.is_none()
            && self.head.intent != Intent::Cancel;
        self.workflow.deadline.filter(|_| is_open).map(|deadline| self.head.since + deadline)
    }

    /// When a step is to have ended that an event now begins, if that is to be noted.
    pub(crate) fn newly_due(
        &self,
        unit: Unit,
        slot: &Slot,
        event: &Event,
        at: Timestamp,
    ) -> Option<Timestamp> {
        let deadline = self.workflow.step(unit.step).options.as_ref()?.deadline?;
        let begins = matches!(
            event,
            Event::StepBegun(_) | Event::StepOffered(_) | Event::StepExpanded(_) | Event::StepWaiting(_)
        );
        (begins && unit.item().is_none() && slot.due().is_none()).then(|| at + deadline)
    }

    /// What a run that has missed its deadline says.
    pub(crate) fn run_is_late(&self) -> StepError {
        let deadline = self.workflow.deadline.unwrap_or_default();
        let message = format!("the run took longer than its deadline of {}", duration::print(deadline));
        StepError::new(ErrorClass::Timeout, message)
    }

    /// What a step that has missed its deadline says.
    pub(crate) fn step_is_late(&self, unit: Unit) -> StepError {
        let deadline = self.spec(unit).options().deadline.unwrap_or_default();
        let message = format!("took longer than its deadline of {}", duration::print(deadline));
        StepError::new(ErrorClass::Timeout, message)
    }

    /// The steps and items that have missed a deadline by now: of those that still have something to do.
    pub(crate) fn late(&self, now: Timestamp) -> Vec<Unit> {
        let due = self.index.deadlines.iter().take_while(|(due, _)| *due <= now);
        let mut late = Vec::new();
        for (_, at) in due {
            let unit = self.unit_at(*at);
            late.push(unit);
            if let (StepState::Expanded(_), Some(fan)) = (&self.slot(unit).state, self.fan(unit.step)) {
                let items = (0..fan.count).map(|item| Unit::item_of(unit.step, item));
                late.extend(items.filter(|item| {
                    let kind = self.slot(*item).state.kind();
                    !kind.is_terminal() && !kind.needs_outsider()
                }));
            }
        }
        late
    }
}
