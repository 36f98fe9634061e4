//! How the state changes, and how a change is taken back.

use crate::id::StepIx;
use crate::machine::slot::Slot;
use crate::machine::state::{Head, RunState};
use crate::machine::step_state::StepState;

/// How to take back what was applied since [`RunState::begin_scratch`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Undo {
    /// What was, apart from the slots; `None` while no scratch is open.
    from: Option<From>,
    /// What has changed, in order. Empty while no scratch is open; keeps its room for the next.
    before: Vec<(u32, Before)>,
    /// What the slots of which all has changed were, in the same order.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct From {
    head: Head,
    slots: usize,
    fans: usize,
}

/// What a change of a slot has replaced.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// All of it: see [`Undo::slots`].
    Slot,
    /// It was pending, and missed so many needs.
    Pending(u32),
}

impl RunState {
    /// Keeps what is applied from here on reversible, until [`RunState::keep`] or [`RunState::take_back`].
    pub fn begin_scratch(&mut self) {
        debug_assert!(self.undo.from.is_none(), "a scratch is open already");
        let (slots, fans) = (self.slots.len(), self.fans.len());
        self.undo.from = Some(From { head: self.head.clone(), slots, fans });
    }

    /// Keeps what was applied since [`RunState::begin_scratch`].
    pub fn keep(&mut self) {
        self.undo.from = None;
        self.undo.before.clear();
        self.undo.slots.clear();
    }

    /// Takes back what was applied since [`RunState::begin_scratch`]. Costs what was applied, not what there is.
    pub fn take_back(&mut self) {
        let Some(from) = self.undo.from.take() else { return };
        let mut slots = std::mem::take(&mut self.undo.slots).into_iter().rev();
        for (at, before) in std::mem::take(&mut self.undo.before).into_iter().rev() {
            match before {
                Before::Slot => {
                    // There is one for each such entry.
                    if let Some(slot) = slots.next() {
                        self.alter(at, |now| *now = slot);
                    }
                }
                Before::Pending(needs) => match &mut self.slots[at as usize].state {
                    StepState::Pending { missing } => *missing = needs,
                    _ => self.alter(at, |slot| slot.state = StepState::Pending { missing: needs }),
                },
            }
        }
        for at in from.slots..self.slots.len() {
            let gone = self.index.leave(at as u32, &self.slots[at]);
            self.index.forget(gone);
            self.touched.remove(at as u32);
        }
        self.slots.truncate(from.slots);
        self.fans.truncate(from.fans);
        self.head = from.head;
    }

    /// Changes a slot in its place.
    pub(crate) fn change<T>(&mut self, at: u32, change: impl FnOnce(&mut Slot) -> T) -> T {
        if self.undo.from.is_some() {
            self.undo.before.push((at, Before::Slot));
            self.undo.slots.push(self.slots[at as usize].clone());
        }
        self.alter(at, change)
    }

    /// As [`RunState::change`], without a way back.
    fn alter<T>(&mut self, at: u32, change: impl FnOnce(&mut Slot) -> T) -> T {
        let slot = &mut self.slots[at as usize];
        let before = self.index.leave(at, slot);
        let changed = change(slot);
        self.index.enter_again(at, slot, before);
        self.touched.insert(at);
        changed
    }

    /// Adds a slot.
    pub(crate) fn add(&mut self, slot: Slot) {
        // A run has fewer than 2^32 slots: `MAX_STEPS` and `MAX_ITEMS` bound it.
        self.index.enter(self.slots.len() as u32, &slot);
        self.slots.push(slot);
    }

    /// One need of a pending step has ended: the step becomes ready with the last of them. Of every other nothing is to
    /// be seen from outside, so it is not touched.
    pub(crate) fn need_ended(&mut self, step: StepIx) {
        let at = step.0;
        let StepState::Pending { missing } = &mut self.slots[step.index()].state else { return };
        if self.undo.from.is_some() {
            self.undo.before.push((at, Before::Pending(*missing)));
        }
        if *missing > 1 {
            *missing -= 1;
        } else {
            self.alter(at, |slot| slot.state = StepState::Ready);
        }
    }
}
