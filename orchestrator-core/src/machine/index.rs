//! What can be asked of all steps at once, kept with every change of one: advancing a run costs what changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::machine::kind::StepKind;
use crate::machine::positions::Positions;
use crate::machine::slot::Slot;
use crate::machine::state::StepState;
use crate::machine::wait::WaitOn;
use crate::spec::Stage;
use crate::time::Timestamp;

/// What can be asked of all slots at once, kept up to date with each change of one. A function of the slots alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Index {
    /// Slots to prepare or to continue.
    pub(crate) actionable: Positions,
    /// Slots being executed.
    pub(crate) running: Positions,
    /// Slots that something falls due for.
    pub(crate) timers: BTreeSet<(Timestamp, u32)>,
    /// Slots that are to have ended by then, and are on their way.
    pub(crate) deadlines: BTreeSet<(Timestamp, u32)>,
    /// How many have missed that, and are still executed.
    pub(crate) overdue: u32,
    /// Slots that wait for a signal, by its name and by how long they have waited.
    pub(crate) listening: BTreeSet<(Arc<str>, Timestamp, u32)>,
    /// Slots that wait for the run that carries them out.
    pub(crate) children: Positions,
    /// How many wait for a moment, not for a person.
    pub(crate) moments: u32,
    /// How many are in each state, by [`StepKind`]: steps and items.
    pub(crate) counts: [u32; StepKind::ALL.len()],
    /// How many steps have ended; items are not counted, nor are compensations.
    pub(crate) ended_steps: u32,
    /// By stage: how many steps and items have not ended.
    pub(crate) open: [u32; Stage::COUNT],
    /// By stage: how many have an unknown outcome, or no open item but such.
    pub(crate) unknown: [u32; Stage::COUNT],
    /// By stage: how many steps have failed without the author's leave to go on; items are not counted.
    pub(crate) failed: [u32; Stage::COUNT],
}

impl Index {
    pub(crate) fn enter(&mut self, at: u32, slot: &Slot) {
        self.counts[slot.state.kind() as usize] += 1;
        self.count(slot, 1);
        if let Some(due) = deadline(slot) {
            self.deadlines.insert((due, at));
        }
        match &slot.state {
            StepState::Ready | StepState::Arrived { .. } => self.actionable.insert(at),
            StepState::Running { .. } => self.running.insert(at),
            StepState::Backoff { until } => drop(self.timers.insert((*until, at))),
            StepState::Waiting { on, since, until, .. } => {
                self.moments += u32::from(**on == WaitOn::Until);
                if let WaitOn::Signal { name } = &**on {
                    self.listening.insert((name.clone(), *since, at));
                }
                if on.child().is_some() {
                    self.children.insert(at);
                }
                self.timers.extend(until.map(|until| (until, at)));
            }
            _ => {}
        }
    }

    pub(crate) fn leave(&mut self, at: u32, slot: &Slot) {
        self.counts[slot.state.kind() as usize] -= 1;
        self.count(slot, u32::MAX);
        if let Some(due) = deadline(slot) {
            self.deadlines.remove(&(due, at));
        }
        match &slot.state {
            StepState::Ready | StepState::Arrived { .. } => self.actionable.remove(at),
            StepState::Running { .. } => self.running.remove(at),
            StepState::Backoff { until } => drop(self.timers.remove(&(*until, at))),
            StepState::Waiting { on, since, until, .. } => {
                self.moments -= u32::from(**on == WaitOn::Until);
                if let WaitOn::Signal { name } = &**on {
                    self.listening.remove(&(name.clone(), *since, at));
                }
                if on.child().is_some() {
                    self.children.remove(at);
                }
                if let Some(until) = until {
                    self.timers.remove(&(*until, at));
                }
            }
            _ => {}
        }
    }

    /// Counts a slot in, or out where `one` is minus one.
    fn count(&mut self, slot: &Slot, one: u32) {
        let add = |count: &mut u32, counts: bool| {
            if counts {
                *count = count.wrapping_add(one);
            }
        };
        let kind = slot.state.kind();
        let stage = slot.stage as usize;
        let is_held = matches!(slot.state, StepState::Expanded(items) if items.is_held());
        add(&mut self.overdue, slot.overdue && kind == StepKind::Running);
        add(&mut self.ended_steps, !slot.is_item && kind.is_terminal() && slot.stage != Stage::Compensation);
        add(&mut self.open[stage], !kind.is_terminal());
        add(&mut self.unknown[stage], kind == StepKind::OutcomeUnknown || is_held);
        add(&mut self.failed[stage], !slot.is_item && kind == StepKind::Failed && !slot.tolerated);
    }

    /// How many steps have failed without the author's leave to go on.
    pub(crate) fn failed_steps(&self) -> u32 {
        self.failed.iter().sum()
    }
}

/// When a slot falls due that can do something about it: not one that waits for somebody to say what has happened.
fn deadline(slot: &Slot) -> Option<Timestamp> {
    let due = slot.due.as_deref().filter(|_| !slot.overdue)?;
    let kind = slot.state.kind();
    (!kind.is_terminal() && !kind.needs_outsider()).then_some(*due)
}
