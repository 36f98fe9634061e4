//! Steps that run once for each item of a list.

use std::num::NonZeroU32;

use crate::id::{StepIx, Unit};
use crate::machine::ending::Ending;
use crate::machine::event::{Event, StepCollected};
use crate::machine::failure::StepError;
use crate::machine::kind::StepKind;
use crate::machine::slot::Slot;
use crate::machine::state::RunState;
use crate::machine::step_state::{SkipReason, StepState};
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;
use crate::value::ValueRef;

/// The most items that all steps of a run may have together.
pub const MAX_ITEMS: usize = 1_000_000;

/// How far the items of a step are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Items {
    /// How many have not ended.
    pub open: u32,
    /// How many of the open ones have an unknown outcome.
    pub unknown: u32,
    /// How many have failed.
    pub failed: u32,
    /// How many were cancelled.
    pub cancelled: u32,
    /// The first that may have to wait for an earlier one to end.
    pub(crate) next: u32,
}

impl Items {
    /// Whether all that is open are unknown outcomes.
    pub(crate) const fn is_held(self) -> bool {
        self.unknown > 0 && self.open == self.unknown
    }

    /// An item has gone from one state to another.
    fn moved(&mut self, from: StepKind, to: StepKind) {
        let unknown = |kind| u32::from(kind == StepKind::OutcomeUnknown);
        self.unknown = self.unknown + unknown(to) - unknown(from);
        self.open -= u32::from(to.is_terminal());
        self.count_ended(to);
    }

    /// One has ended so, if it has.
    pub(crate) fn count_ended(&mut self, kind: StepKind) {
        self.failed += u32::from(kind == StepKind::Failed);
        self.cancelled += u32::from(kind == StepKind::Cancelled);
    }
}

/// The items of a step: where their slots are, and the list they were made from.
#[derive(Debug, Clone)]
pub struct Fan {
    /// The step.
    pub step: StepIx,
    /// The slot of the first item.
    pub(crate) base: u32,
    /// How many there are.
    pub count: u32,
    /// The list.
    pub list: ValueRef,
}

impl RunState {
    /// The items of a step; `None` if it has not been expanded.
    #[must_use]
    pub fn fan(&self, step: StepIx) -> Option<&Fan> {
        let fan = self.slots.get(step.index())?.fan?;
        self.fans.get(fan.get() as usize - 1)
    }

    /// The list that an item is of; `None` for a step itself.
    pub(crate) fn list_of(&self, unit: Unit) -> Option<&ValueRef> {
        unit.item()?;
        self.fan(unit.step).map(|fan| &fan.list)
    }

    /// How many items of a step may be open at once.
    pub(crate) fn at_once(&self, step: StepIx) -> u32 {
        self.workflow.step(step).options().max_parallel().map_or(u32::MAX, |max| max.get())
    }

    /// Where the slot of a step or item is.
    pub(crate) fn place(&self, unit: Unit) -> Option<u32> {
        match unit.item() {
            None => (unit.step.index() < self.plan.len()).then_some(unit.step.0),
            Some(item) => {
                let fan = self.fan(unit.step)?;
                (item < fan.count).then_some(fan.base + item)
            }
        }
    }

    /// What a slot is of.
    pub(crate) fn unit_at(&self, at: u32) -> Unit {
        if (at as usize) < self.plan.len() {
            return Unit::of(StepIx(at));
        }
        let fan = &self.fans[self.fans.partition_point(|fan| fan.base <= at) - 1];
        Unit::item_of(fan.step, at - fan.base)
    }

    /// The step makes its list anew: the items it has had are no longer part of it. What they were stays in the log.
    pub(crate) fn supersede_items(&mut self, step: StepIx) {
        let Some((base, count)) = self.fan(step).map(|fan| (fan.base, fan.count)) else { return };
        for at in base..base + count {
            self.change(at, |slot| slot.state = StepState::Skipped { reason: SkipReason::Superseded });
        }
    }

    /// Gives a ready step its items. As many as the author allows at once are ready with it.
    pub(crate) fn expand(
        &mut self,
        step: StepIx,
        list: &ValueRef,
        count: u32,
        due: Option<Timestamp>,
        at: Timestamp,
    ) {
        let (at_once, stage) = (self.at_once(step), self.slots[step.index()].stage);
        let earlier = self.fan(step).map(|fan| (fan.base, fan.count));
        let base = self.slots.len() as u32;
        self.fans.push(Fan { step, base, count, list: list.clone() });
        for item in 0..count {
            let place = if item < at_once { StepState::Ready } else { StepState::Pending { missing: 1 } };
            let mut slot = Slot { is_item: true, stage, ..Slot::new(place) };
            if let Some((base, count)) = earlier
                && item < count
            {
                slot.go_on_from(&self.slots[(base + item) as usize]);
            }
            self.add(slot);
        }
        let fan = NonZeroU32::new(self.fans.len() as u32);
        let items = Items { open: count, next: at_once.min(count), ..Items::default() };
        self.change(step.0, |slot| {
            slot.fan = fan;
            slot.began_at = Some(at);
            if due.is_some() {
                slot.extra().due = due;
            }
            slot.state = StepState::Expanded(items);
        });
    }

    /// An item has gone from one state to another: tells its step, and lets the next one begin if it has ended.
    pub(crate) fn item_moved(&mut self, unit: Unit, from: StepKind, to: StepKind) {
        let counts = |kind: StepKind| kind.is_terminal() || kind == StepKind::OutcomeUnknown;
        let (true, Some(fan)) = (counts(from) || counts(to), self.fan(unit.step)) else { return };
        let (base, count) = (fan.base, fan.count);
        let StepState::Expanded(mut items) = self.slots[unit.step.index()].state else { return };
        items.moved(from, to);
        // One that was itself waiting leaves no room behind.
        if to.is_terminal() && from != StepKind::Pending {
            let waits =
                |item: &u32| matches!(self.slots[(base + item) as usize].state, StepState::Pending { .. });
            let next = (items.next..count).find(waits);
            items.next = next.map_or(count, |next| next + 1);
            if let Some(next) = next {
                self.change(base + next, |slot| slot.state = StepState::Ready);
            }
        }
        self.change(unit.step.0, |slot| slot.state = StepState::Expanded(items));
    }

    /// Takes items of ended steps up again: each of them, and its step.
    pub(crate) fn reopen_items(&mut self, step: StepIx, again: impl Fn(u32) -> bool) {
        let Some(fan) = self.fan(step).cloned() else { return };
        let at_once = self.at_once(step);
        let mut items = Items { next: fan.count, ..Items::default() };
        for item in 0..fan.count {
            let place = fan.base + item;
            if again(item) {
                let ready = items.open < at_once;
                if !ready && items.next == fan.count {
                    items.next = item;
                }
                items.open += 1;
                let state = if ready { StepState::Ready } else { StepState::Pending { missing: 1 } };
                self.change(place, |slot| slot.begin_anew(state));
                continue;
            }
            items.count_ended(self.slots[place as usize].state.kind());
        }
        self.change(step.0, |slot| slot.begin_anew(StepState::Expanded(items)));
    }

    /// What ends the steps whose last open items these events end.
    pub(crate) fn collected(&self, events: &[Event]) -> Vec<Event> {
        let mut ending: Vec<(StepIx, u32, u32, u32)> = Vec::new();
        for event in events {
            let (Some(unit), Some(kind)) = (event.unit(), ends_as(event)) else { continue };
            if unit.item().is_none() {
                continue;
            }
            let (failed, cancelled) =
                (u32::from(kind == StepKind::Failed), u32::from(kind == StepKind::Cancelled));
            match ending.iter_mut().find(|(step, ..)| *step == unit.step) {
                Some(of) => *of = (of.0, of.1 + 1, of.2 + failed, of.3 + cancelled),
                None => ending.push((unit.step, 1, failed, cancelled)),
            }
        }
        let ended = ending.into_iter().filter_map(|(step, ended, failed, cancelled)| {
            let StepState::Expanded(items) = self.slots[step.index()].state else { return None };
            (items.open == ended)
                .then(|| self.collect(step, items.failed + failed, items.cancelled + cancelled, events))
        });
        ended.collect()
    }

    /// The end of a step of whose items so many have failed and were cancelled.
    fn collect(&self, step: StepIx, failed: u32, cancelled: u32, now: &[Event]) -> Event {
        let unit = Unit::of(step);
        if failed == 0 {
            let status = if cancelled > 0 { Ending::Cancelled } else { Ending::Completed };
            return StepCollected { step: unit, status, error: None }.into();
        }
        let count = self.fan(step).map_or(0, |fan| fan.count);
        let told = now.iter().filter_map(|event| match event {
            Event::StepFailed(e) if e.step.step == step && e.retry_at.is_none() => {
                e.step.item().map(|item| (item, &e.error))
            }
            _ => None,
        });
        let known = (0..count).find_map(|item| match &self.slot(Unit::item_of(step, item)).state {
            StepState::Failed { error } => Some((item, &**error)),
            _ => None,
        });
        let first = known.into_iter().chain(told).min_by_key(|(item, _)| *item);
        let first = first.map(|(item, error)| (item, error.class, error.message.clone()));
        let (item, class, why) = first.unwrap_or((0, ErrorClass::Lost, "lost".into()));
        let message = match failed {
            1 => format!("item {item} of {count} failed: {why}"),
            _ => format!("{failed} of {count} items failed, the first of them {item}: {why}"),
        };
        let error = Some(StepError::new(class, message));
        StepCollected { step: unit, status: Ending::Failed, error }.into()
    }
}

/// The state in which an event leaves its step or item for good, if it does.
fn ends_as(event: &Event) -> Option<StepKind> {
    use crate::machine::failure::AfterLoss;
    Some(match event {
        Event::StepSucceeded(_) => StepKind::Succeeded,
        Event::StepFailed(e) if e.retry_at.is_none() => StepKind::Failed,
        Event::StepLost(e) if e.then == AfterLoss::Fail => StepKind::Failed,
        Event::StepLost(e) if e.then == AfterLoss::Cancel => StepKind::Cancelled,
        Event::StepSkipped(_) => StepKind::Skipped,
        Event::StepCancelled(_) => StepKind::Cancelled,
        Event::StepResolved(e) if e.output.is_some() => StepKind::Succeeded,
        _ => return None,
    })
}
