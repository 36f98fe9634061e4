//! What can be asked of all steps at once, kept with every change of one: advancing a run costs what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::machine::hold::Claim;
use crate::machine::kind::StepKind;
use crate::machine::positions::Positions;
use crate::machine::slot::Slot;
use crate::machine::step_state::StepState;
use crate::machine::wait::WaitOn;
use crate::spec::Paths;
use crate::spec::Stage;
use crate::time::Timestamp;

/// What can be asked of all slots at once, kept up to date with each change of one. A function of the slots alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Index {
    /// Slots to prepare or to continue.
    pub(crate) actionable: Positions,
    /// Slots that wait for a place under a key, by it; first those that let the fewest be held.
    pub(crate) parked: BTreeSet<(Arc<str>, Claim, u32)>,
    /// The paths that are held, under which keys and by whom.
    pub(crate) locks: BTreeMap<(Arc<str>, u32), Arc<Paths>>,
    /// Slots that the driver executes.
    pub(crate) running: Positions,
    /// Slots that others execute, or may: offered or claimed.
    pub(crate) away: Positions,
    /// Tasks that somebody outside may claim.
    pub(crate) tasks: Positions,
    /// Slots that something falls due for.
    pub(crate) timers: BTreeSet<(Timestamp, u32)>,
    /// Slots that are to have ended by then, and are on their way.
    pub(crate) deadlines: BTreeSet<(Timestamp, u32)>,
    /// How many have missed that, and are still executed.
    pub(crate) overdue: u32,
    /// How many have missed that, and are offered.
    pub(crate) overdue_offers: u32,
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
    /// Takes up a new slot.
    pub(crate) fn enter(&mut self, at: u32, slot: &Slot) {
        self.count(Tally::of(slot), 1);
        self.list(at, slot);
    }

    /// Takes up a slot again that has changed since [`Index::leave`] gave how it counted.
    pub(crate) fn enter_again(&mut self, at: u32, slot: &Slot, before: Tally) {
        let now = Tally::of(slot);
        if now.counts_like(before) {
            self.counts[before.kind as usize] -= 1;
            self.counts[now.kind as usize] += 1;
        } else {
            self.count(before, u32::MAX);
            self.count(now, 1);
        }
        self.list(at, slot);
    }

    /// Forgets a slot that is gone since [`Index::leave`] gave how it counted.
    pub(crate) fn forget(&mut self, gone: Tally) {
        self.count(gone, u32::MAX);
    }

    fn list(&mut self, at: u32, slot: &Slot) {
        if let Some(due) = deadline(slot) {
            self.deadlines.insert((due, at));
        }
        for hold in slot.held().iter() {
            if let Some(paths) = hold.claim.paths() {
                self.locks.insert((hold.key.clone(), at), paths.clone());
            }
        }
        match &slot.state {
            StepState::Ready | StepState::Arrived { .. } => self.actionable.insert(at),
            StepState::Parked { hold, .. } => {
                _ = self.parked.insert((hold.key.clone(), hold.claim.clone(), at));
            }
            StepState::Running { remote: false, .. } => self.running.insert(at),
            StepState::Offered { task: true, .. } => self.tasks.insert(at),
            StepState::Running { .. } | StepState::Offered { .. } => self.away.insert(at),
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

    /// Lets go of a slot that is about to change. Until that has come it counts as it does now, which is given.
    pub(crate) fn leave(&mut self, at: u32, slot: &Slot) -> Tally {
        if let Some(due) = deadline(slot) {
            self.deadlines.remove(&(due, at));
        }
        for hold in slot.held().iter().filter(|hold| hold.claim.paths().is_some()) {
            self.locks.remove(&(hold.key.clone(), at));
        }
        match &slot.state {
            StepState::Ready | StepState::Arrived { .. } => self.actionable.remove(at),
            StepState::Parked { hold, .. } => {
                _ = self.parked.remove(&(hold.key.clone(), hold.claim.clone(), at));
            }
            StepState::Running { remote: false, .. } => self.running.remove(at),
            StepState::Offered { task: true, .. } => self.tasks.remove(at),
            StepState::Running { .. } | StepState::Offered { .. } => self.away.remove(at),
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
        Tally::of(slot)
    }

    /// Counts a slot in, or out where `one` is minus one.
    fn count(&mut self, tally: Tally, one: u32) {
        let add = |count: &mut u32, counts: bool| *count = count.wrapping_add(if counts { one } else { 0 });
        let stage = tally.stage as usize;
        add(&mut self.counts[tally.kind as usize], true);
        add(&mut self.overdue, tally.is(OVERDUE));
        add(&mut self.overdue_offers, tally.is(OVERDUE_OFFER));
        add(&mut self.ended_steps, tally.is(ENDED));
        add(&mut self.open[stage], tally.is(OPEN));
        add(&mut self.unknown[stage], tally.is(UNKNOWN));
        add(&mut self.failed[stage], tally.is(FAILED));
    }

    /// How many steps have failed without the author's leave to go on.
    pub(crate) fn failed_steps(&self) -> u32 {
        self.failed.iter().sum()
    }
}

/// How a slot counts: a bit for each of the counts that it is part of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    kind: StepKind,
    stage: Stage,
    counts: u8,
}

/// In [`Index::overdue`].
const OVERDUE: u8 = 1;
/// In [`Index::ended_steps`].
const ENDED: u8 = 1 << 1;
/// In [`Index::open`].
const OPEN: u8 = 1 << 2;
/// In [`Index::unknown`].
const UNKNOWN: u8 = 1 << 3;
/// In [`Index::failed`].
const FAILED: u8 = 1 << 4;
/// In [`Index::overdue_offers`].
const OVERDUE_OFFER: u8 = 1 << 5;

impl Tally {
    fn of(slot: &Slot) -> Self {
        let (kind, stage) = (slot.state.kind(), slot.stage);
        let is_held = matches!(slot.state, StepState::Expanded(items) if items.is_held());
        let bit = |bit: u8, counts: bool| if counts { bit } else { 0 };
        let counts = bit(OVERDUE, slot.overdue && kind == StepKind::Running)
            | bit(OVERDUE_OFFER, slot.overdue && kind == StepKind::Offered)
            | bit(ENDED, !slot.is_item && kind.is_terminal() && stage != Stage::Compensation)
            | bit(OPEN, !kind.is_terminal())
            | bit(UNKNOWN, kind == StepKind::OutcomeUnknown || is_held)
            | bit(FAILED, !slot.is_item && kind == StepKind::Failed && !slot.tolerated);
        Self { kind, stage, counts }
    }

    const fn is(self, bit: u8) -> bool {
        self.counts & bit != 0
    }

    /// Whether only the kind is another.
    fn counts_like(self, other: Self) -> bool {
        (self.stage, self.counts) == (other.stage, other.counts)
    }
}

/// When a slot falls due that can do something about it: not one that waits for somebody to say what has happened.
fn deadline(slot: &Slot) -> Option<Timestamp> {
    let due = slot.due().filter(|_| !slot.overdue)?;
    let kind = slot.state.kind();
    (!kind.is_terminal() && !kind.needs_outsider()).then_some(due)
}
