//! What comes after the steps proper: compensations, `on-failure`, `finally`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::id::{StepIx, Unit};
use crate::machine::ending::Ending;
use crate::machine::event::StageBegun;
use crate::machine::failure::StepError;
use crate::machine::fan::{Fan, Items};
use crate::machine::kind::StepKind;
use crate::machine::slot::Slot;
use crate::machine::state::{Intent, RunState};
use crate::machine::step_state::{SkipReason, StepState};
use crate::spec::Stage;
use crate::time::Timestamp;

/// How the steps proper of a run have ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// How.
    pub status: Ending,
    /// What went wrong, if something did.
    pub error: Option<StepError>,
    /// The compensations, in the order in which they are executed.
    pub order: Vec<Unit>,
}

impl RunState {
    /// Whether the steps of a stage are to stop: the run is being cancelled, or has missed its deadline. What comes after the steps proper goes on
    /// then, unless it is itself what was cancelled.
    #[must_use]
    pub fn is_stopped(&self, stage: Stage) -> bool {
        self.is_cancelled(stage) || stage == Stage::Main && self.head.overdue.is_some()
    }

    /// Whether somebody has cancelled the steps of a stage.
    pub(crate) fn is_cancelled(&self, stage: Stage) -> bool {
        match stage {
            Stage::Main => self.head.intent == Intent::Cancel,
            _ => self.head.aborted,
        }
    }

    /// Whether something that is executed is to stop.
    pub(crate) fn stops_something(&self) -> bool {
        self.is_stopped(self.head.stage) || self.index.overdue > 0
    }

    /// Whether new attempts of the stage may begin.
    pub(crate) fn goes_on(&self, stage: Stage) -> bool {
        self.proceeds(stage) && self.has_entered()
    }

    /// Whether, in a run that goes on, something is left to be begun after the steps proper.
    pub(crate) fn is_open(&self, stage: Stage) -> bool {
        self.workflow.steps_of(stage).any(|step| !self.slot(step).state.is_terminal())
    }

    /// Whether a step was stopped before it was done, or may have been.
    pub(crate) fn has_stopped(&self) -> bool {
        self.count(StepKind::Cancelled) + self.count(StepKind::OutcomeUnknown) > 0
    }

    /// How the steps proper have ended, if that is known and still true: a cancelled run in which in the end nothing was
    /// stopped and nothing undone has done its work.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        let verdict = self.head.verdict.as_deref().filter(|_| self.head.stage != Stage::Main)?;
        let is_true = verdict.status != Ending::Cancelled || self.has_stopped() || !verdict.order.is_empty();
        is_true.then_some(verdict)
    }

    /// What is to be undone: the compensations of what has succeeded, the last to end first.
    pub(crate) fn to_undo(&self) -> Vec<Unit> {
        let mut ended: Vec<(u64, Unit)> = Vec::new();
        for undo in self.workflow.steps_of(Stage::Compensation) {
            let Some(step) = self.workflow.stages.undone_by(undo) else { continue };
            let items = self.fan(step).map_or(0, |fan| fan.count);
            let units = match items {
                0 => vec![None],
                items => (0..items).map(Some).collect(),
            };
            for item in units {
                let (done, undone) = (self.slot(Unit::new(step, item)), self.find(Unit::new(undo, item)));
                let is_undone =
                    undone.is_some_and(|undone| matches!(undone.state, StepState::Succeeded { .. }));
                // The end of an empty list has done nothing.
                let has_done = done.attempts > 0 && matches!(done.state, StepState::Succeeded { .. });
                if has_done && !is_undone {
                    ended.push((done.ended_seq, Unit::new(undo, item)));
                }
            }
        }
        ended.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
        ended.into_iter().map(|(_, unit)| unit).collect()
    }

    /// Goes on to a later stage, and passes over those between.
    pub(crate) fn begin_stage(&mut self, begun: &StageBegun, at: Timestamp) -> Result<(), String> {
        let from = self.head.stage;
        if begun.stage <= from || !self.is_settled() {
            return Err(format!("{:?} begins after {from:?}", begun.stage));
        }
        self.pass_over(|stage| from < stage && stage < begun.stage, at);
        self.head.stage = begun.stage;
        let order = match (&self.head.verdict, begun.stage) {
            (_, Stage::Compensation) | (None, _) => begun.steps.clone(),
            (Some(verdict), _) => verdict.order.clone(),
        };
        let (status, error) = (begun.status, begun.error.clone());
        self.head.verdict = Some(Arc::new(Verdict { status, error, order }));
        match begun.stage {
            Stage::Compensation => self.begin_to_undo(&begun.steps, at),
            stage => {
                self.workflow.steps_of(stage).for_each(|step| self.need_ended(step));
                Ok(())
            }
        }
    }

    /// Nothing of these stages is needed any more.
    pub(crate) fn pass_over(&mut self, stages: impl Fn(Stage) -> bool, at: Timestamp) {
        for stage in Stage::CLEANUP.into_iter().filter(|stage| stages(*stage)) {
            for step in self.workflow.steps_of(stage) {
                // An unknown outcome that a cancelled run has left open stays one.
                if self.slots[step.index()].state.kind() == StepKind::Pending {
                    self.is_not_needed(step.0, at);
                }
            }
        }
    }

    fn is_not_needed(&mut self, at: u32, when: Timestamp) {
        let seq = self.head.seq + 1;
        self.change(at, |slot| {
            slot.state = StepState::Skipped { reason: SkipReason::NotNeeded };
            (slot.ended_at, slot.ended_seq) = (Some(when), seq);
        });
    }

    /// The run begins anew, and what comes after the steps proper waits for it.
    pub(crate) fn close_cleanup(&mut self) {
        for stage in Stage::CLEANUP {
            for step in self.workflow.steps_of(stage) {
                let missing = self.workflow.step(step).needs.len() as u32 + 1;
                self.supersede_items(step);
                self.change(step.0, |slot| slot.begin_anew(StepState::Pending { missing }));
            }
        }
        self.head.verdict = None;
    }

    fn begin_to_undo(&mut self, order: &[Unit], at: Timestamp) -> Result<(), String> {
        let mut wanted: BTreeMap<StepIx, BTreeSet<u32>> = BTreeMap::new();
        for unit in order {
            let items = wanted.entry(unit.step).or_default();
            items.extend(unit.item());
            let undone = self.workflow.stages.undone_by(unit.step);
            if undone.is_none_or(|step| self.find(Unit::new(step, unit.item())).is_none()) {
                return Err(format!("{unit:?} undoes nothing"));
            }
        }
        for undo in self.workflow.steps_of(Stage::Compensation) {
            match wanted.get(&undo) {
                Some(items) if items.is_empty() => {
                    self.change(undo.0, |slot| slot.begin_anew(StepState::Pending { missing: 1 }));
                }
                Some(items) => self.begin_to_undo_items(undo, items, at),
                None if self.slots[undo.index()].state.is_terminal() => {}
                None => self.is_not_needed(undo.0, at),
            }
        }
        self.head.undone = 0;
        self.undo_next();
        Ok(())
    }

    /// A compensation has items where its step has: the same, in the same order.
    fn begin_to_undo_items(&mut self, undo: StepIx, items: &BTreeSet<u32>, at: Timestamp) {
        let done = self.workflow.stages.undone_by(undo).and_then(|step| self.fan(step));
        let Some((count, list)) = done.map(|fan| (fan.count, fan.list.clone())) else { return };
        if self.fan(undo).is_none_or(|fan| fan.count != count || fan.list != list) {
            let base = self.slots.len() as u32;
            let before = self.fan(undo).map(|fan| (fan.base, fan.count));
            self.fans.push(Fan { step: undo, base, count, list });
            for item in 0..count {
                let mut slot = Slot::new(StepState::Skipped { reason: SkipReason::NotNeeded });
                slot.stage = Stage::Compensation;
                slot.is_item = true;
                slot.ended_at = Some(at);
                if let Some((base, _)) = before.filter(|(_, count)| item < *count) {
                    slot.go_on_from(&self.slots[(base + item) as usize]);
                }
                self.add(slot);
            }
            let fan = NonZeroU32::new(self.fans.len() as u32);
            self.change(undo.0, |slot| slot.fan = fan);
        }
        self.reopen_undo(undo, |item| items.contains(&item));
        self.change(undo.0, |slot| slot.began_at = Some(at));
    }

    /// Takes items of a compensation up again, and the compensation with them.
    pub(crate) fn reopen_undo(&mut self, undo: StepIx, again: impl Fn(u32) -> bool) {
        let Some((base, count)) = self.fan(undo).map(|fan| (fan.base, fan.count)) else { return };
        // None of them makes room for another: they are in the order of all compensations.
        let mut items = Items { next: count, ..Items::default() };
        for item in 0..count {
            if again(item) {
                items.open += 1;
                self.change(base + item, |slot| slot.begin_anew(StepState::Pending { missing: 1 }));
            } else {
                items.count_ended(self.slots[(base + item) as usize].state.kind());
            }
        }
        self.change(undo.0, |slot| slot.begin_anew(StepState::Expanded(items)));
    }

    /// The next compensation is ready, once the one before it has ended.
    pub(crate) fn undo_next(&mut self) {
        let Some(verdict) = self.head.verdict.clone().filter(|_| self.head.stage == Stage::Compensation)
        else {
            return;
        };
        while let Some(next) = verdict.order.get(self.head.undone as usize) {
            let Some(at) = self.place(*next) else { return };
            match self.slots[at as usize].state.kind() {
                StepKind::Pending => return self.change(at, |slot| slot.state = StepState::Ready),
                kind if kind.is_terminal() => self.head.undone += 1,
                _ => return,
            }
        }
    }

    /// Whether all that is undone before this has been: what was done on top of it is gone.
    pub(crate) fn was_undone_before(&self, unit: Unit) -> bool {
        let Some(verdict) = &self.head.verdict else { return true };
        let at = self.head.undone as usize;
        debug_assert!(verdict.order.get(at).is_none_or(|next| *next == unit), "one after the other");
        // That one was skipped if the one before it had failed.
        at == 0 || verdict.order.get(at - 1).is_none_or(|before| !self.is_owed(*before))
    }

    /// Whether a compensation was to be executed, and nothing has come of it.
    pub(crate) fn is_owed(&self, undo: Unit) -> bool {
        match &self.slot(undo).state {
            StepState::Succeeded { .. } => false,
            StepState::Skipped { reason } => *reason == SkipReason::Need,
            StepState::Failed { .. } => !self.spec(undo).options().continue_on_error,
            _ => true,
        }
    }
}
