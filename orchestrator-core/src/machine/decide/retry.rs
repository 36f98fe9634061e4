//! How an ended run goes on: which steps begin again.

use std::collections::BTreeSet;

use crate::id::{StepIx, Unit};
use crate::machine::command::{Asked, Rejection};
use crate::machine::decide::guard::slot;
use crate::machine::event::{Event, RunReopened};
use crate::machine::kind::StepKind;
use crate::machine::state::RunState;

pub(super) fn retry(state: &RunState, named: &[Unit], asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let named = if named.is_empty() { all_that_failed(state) } else { named.to_vec() };
    if named.is_empty() {
        return Err(Rejection::NothingToRetry("no step has failed or was cancelled"));
    }
    let mut again = BTreeSet::new();
    for unit in &named {
        let slot = slot(state, *unit)?;
        match slot.state.kind() {
            StepKind::OutcomeUnknown => {
                return Err(Rejection::NothingToRetry("an unknown outcome must be resolved first"));
            }
            kind if is_open_to_retry(kind) => {}
            _ => {
                let state = slot.state.shown();
                return Err(Rejection::WrongState { state, wanted: "failed or cancelled" });
            }
        }
        again.insert(Unit::of(unit.step));
        again.extend(items_to_repeat(state, *unit));
    }
    let reached = reached(state, named.iter().map(|unit| unit.step))?;
    again.extend(reached.iter().map(|step| Unit::of(*step)));
    if named.iter().any(|unit| is_held_back(state, *unit, &reached)) {
        return Err(Rejection::NothingToRetry("a step it needs has not completed: retry that one"));
    }
    Ok(reopened(state, again, asked))
}

pub(super) fn rerun(state: &RunState, step: Unit, asked: &Asked) -> Result<Vec<Event>, Rejection> {
    slot(state, step)?;
    if step.item().is_some() {
        return Err(Rejection::NothingToRetry("a run goes on from a step, not from one item of it"));
    }
    let reached = reached(state, [step.step].into_iter())?;
    if is_held_back(state, step, &reached) {
        return Err(Rejection::NothingToRetry("a step it needs has not completed: begin from that one"));
    }
    Ok(reopened(state, reached.into_iter().map(Unit::of).collect(), asked))
}

fn reopened(state: &RunState, again: BTreeSet<Unit>, asked: &Asked) -> Vec<Event> {
    let reopened = RunReopened {
        generation: state.head.generation + 1,
        steps: again.into_iter().collect(),
        by: asked.by.clone(),
        reason: asked.reason.clone(),
    };
    vec![reopened.into()]
}

/// These steps and all that depend on them: what depends on a repeated step is repeated with it, whole.
fn reached(state: &RunState, from: impl Iterator<Item = StepIx>) -> Result<BTreeSet<StepIx>, Rejection> {
    let mut reached: BTreeSet<StepIx> = from.collect();
    let mut open: Vec<StepIx> = reached.iter().copied().collect();
    while let Some(step) = open.pop() {
        open.extend(state.plan.successors(step).filter(|successor| reached.insert(*successor)));
    }
    match reached.iter().any(|step| has_unknown(state, *step)) {
        true => Err(Rejection::NothingToRetry(
            "the unknown outcome of a step that depends on it must be resolved first",
        )),
        false => Ok(reached),
    }
}

const fn is_open_to_retry(kind: StepKind) -> bool {
    matches!(kind, StepKind::Failed | StepKind::Cancelled)
}

/// Every step that has failed or was cancelled. An unknown outcome is among them, so that it is not passed over.
fn all_that_failed(state: &RunState) -> Vec<Unit> {
    let failed = |step: &StepIx| {
        let slot = state.slot(*step);
        (is_open_to_retry(slot.state.kind()) && !slot.tolerated) || has_unknown(state, *step)
    };
    state.plan.steps().filter(failed).map(|step| unknown_of(state, step).unwrap_or(Unit::of(step))).collect()
}

/// Of a step that has items, those that are to be repeated: the one that is named, or all that have not succeeded. None
/// where the step has none: then all of it is repeated.
fn items_to_repeat(state: &RunState, named: Unit) -> Vec<Unit> {
    match (named.item(), state.fan(named.step)) {
        (Some(_), _) => vec![named],
        (None, None) => Vec::new(),
        (None, Some(fan)) => {
            let items = (0..fan.count).map(|item| Unit::item_of(named.step, item));
            items.filter(|unit| is_open_to_retry(state.slot(*unit).state.kind())).collect()
        }
    }
}

fn has_unknown(state: &RunState, step: StepIx) -> bool {
    unknown_of(state, step).is_some()
}

/// The step, or its first item, whose outcome is unknown.
fn unknown_of(state: &RunState, step: StepIx) -> Option<Unit> {
    if state.count(StepKind::OutcomeUnknown) == 0 {
        return None;
    }
    let items = state.fan(step).map_or(0, |fan| fan.count);
    let mut units = std::iter::once(Unit::of(step)).chain((0..items).map(|item| Unit::item_of(step, item)));
    units.find(|unit| state.slot(*unit).state.kind() == StepKind::OutcomeUnknown)
}

/// Whether a step would only be skipped again: what it needs has ended without success and is not retried with it.
fn is_held_back(state: &RunState, unit: Unit, retried: &BTreeSet<StepIx>) -> bool {
    let spec = state.spec(unit);
    !spec.judges_its_needs()
        && spec.needs.iter().any(|need| {
            let slot = state.slot(*need);
            slot.state.is_terminal() && !slot.has_completed() && !retried.contains(need)
        })
}
