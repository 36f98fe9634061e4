//! What can be asked of all steps at once, kept with every change of one: advancing a run costs what changed.

use std::collections::BTreeSet;

use crate::id::StepIx;
use crate::machine::event::WaitOn;
use crate::machine::kind::StepKind;
use crate::machine::state::StepState;
use crate::machine::step_set::StepSet;
use crate::time::Timestamp;

/// What can be asked of all steps at once, kept up to date with each change of one. A function of the slots alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Index {
    /// Steps to prepare or to continue.
    pub(crate) actionable: StepSet,
    /// Steps being executed.
    pub(crate) running: StepSet,
    /// Steps that something falls due for.
    pub(crate) timers: BTreeSet<(Timestamp, StepIx)>,
    /// Steps that wait for a person.
    pub(crate) waiting: BTreeSet<StepIx>,
    /// Steps that wait for a moment, not for a person.
    pub(crate) moments: u32,
    /// How many steps are in each state, by [`StepKind`].
    pub(crate) counts: [u32; StepKind::ALL.len()],
}

impl Index {
    pub(crate) fn enter(&mut self, step: StepIx, state: &StepState) {
        self.counts[state.kind() as usize] += 1;
        match state {
            StepState::Ready | StepState::Arrived { .. } => self.actionable.insert(step),
            StepState::Running { .. } => self.running.insert(step),
            StepState::Backoff { until } => drop(self.timers.insert((*until, step))),
            StepState::Waiting { on, until, .. } => {
                match **on {
                    WaitOn::Until => self.moments += 1,
                    WaitOn::Approval { .. } => drop(self.waiting.insert(step)),
                }
                self.timers.extend(until.map(|until| (until, step)));
            }
            _ => {}
        }
    }

    pub(crate) fn leave(&mut self, step: StepIx, state: &StepState) {
        self.counts[state.kind() as usize] -= 1;
        match state {
            StepState::Ready | StepState::Arrived { .. } => self.actionable.remove(step),
            StepState::Running { .. } => self.running.remove(step),
            StepState::Backoff { until } => drop(self.timers.remove(&(*until, step))),
            StepState::Waiting { on, until, .. } => {
                match **on {
                    WaitOn::Until => self.moments -= 1,
                    WaitOn::Approval { .. } => drop(self.waiting.remove(&step)),
                }
                if let Some(until) = until {
                    self.timers.remove(&(*until, step));
                }
            }
            _ => {}
        }
    }
}
