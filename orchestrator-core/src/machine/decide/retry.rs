//! How an ended run goes on: which steps begin again.

use std::collections::BTreeSet;

use crate::id::{StepIx, Unit};
use crate::machine::command::{Asked, Rejection};
use crate::machine::decide::guard::slot;
use crate::machine::event::{Event, RunReopened};
use crate::machine::inside::Inside;
use crate::machine::kind::StepKind;
use crate::machine::state::RunState;
use crate::spec::Stage;

pub(super) fn retry(state: &RunState, named: &[Unit], asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let owed = owed(state);
    if named.is_empty() && !owed.is_empty() {
        return undo_on(state, owed, asked);
    }
    let named = if named.is_empty() { all_to_repeat(state)? } else { named.to_vec() };
    for unit in &named {
        let slot = slot(state, *unit)?;
        match slot.state.kind() {
            StepKind::OutcomeUnknown => {
                return Err(Rejection::NothingToRetry("an unknown outcome must be resolved first"));
            }
            kind if is_open_to_retry(kind) => {}
            _ if is_undone(state, *unit) => {}
            _ if owed.contains(unit) => {}
            _ => {
                let state = slot.state.shown();
                return Err(Rejection::WrongState { state, wanted: "failed or cancelled" });
            }
        }
    }
    let stages: BTreeSet<Stage> = named.iter().map(|unit| state.slot(*unit).stage).collect();
    if stages.len() > 1 {
        return Err(Rejection::NothingToRetry("steps of one stage are retried at a time"));
    }
    if stages.contains(&Stage::Compensation) {
        return undo_on(state, owed, asked);
    }
    if stages.contains(&Stage::Main) && !owed.is_empty() {
        return Err(Rejection::NothingToRetry(
            "what has been done is not undone yet: retry the run without naming a step first",
        ));
    }
    let undone = if stages.contains(&Stage::Main) { all_undone(state) } else { Vec::new() };
    let from = named.iter().chain(&undone).map(|unit| unit.step);
    let reached = reached(state, from)?;
    if named.iter().any(|unit| is_held_back(state, *unit, &reached)) {
        return Err(Rejection::NothingToRetry("a step it needs has not completed: retry that one"));
    }
    let mut again: BTreeSet<Unit> = reached.iter().map(|step| Unit::of(*step)).collect();
    // Of a step that depends on another of them, no item stays as it is.
    let is_first = |unit: &&Unit| state.spec(**unit).needs.iter().all(|need| !reached.contains(need));
    again.extend(named.iter().filter(is_first).flat_map(|unit| items_to_repeat(state, *unit)));
    again.extend(undone.iter().filter(is_first));
    let inside = again.iter().filter(is_first).filter_map(|unit| state.resumed(*unit)).collect();
    Ok(reopened(state, again, inside, asked))
}

pub(super) fn rerun(state: &RunState, step: Unit, asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let stage = slot(state, step)?.stage;
    if step.item().is_some() {
        return Err(Rejection::NothingToRetry("a run goes on from a step, not from one item of it"));
    }
    if stage != Stage::Main {
        return Err(Rejection::NothingToRetry("a run goes on from one of its `steps`"));
    }
    if !owed(state).is_empty() {
        return Err(Rejection::NothingToRetry(
            "what has been done is not undone yet: `runs retry` finishes that first",
        ));
    }
    let undone = all_undone(state).into_iter().map(|unit| unit.step);
    let reached = reached(state, undone.chain([step.step]))?;
    if is_held_back(state, step, &reached) {
        return Err(Rejection::NothingToRetry("a step it needs has not completed: begin from that one"));
    }
    Ok(reopened(state, reached.into_iter().map(Unit::of).collect(), Vec::new(), asked))
}

/// Goes on with the compensations; one after the other, so those after the first wait for it.
fn undo_on(state: &RunState, owed: BTreeSet<Unit>, asked: &Asked) -> Result<Vec<Event>, Rejection> {
    let unknown = |unit: &Unit| state.slot(*unit).state.kind() == StepKind::OutcomeUnknown;
    match owed.iter().any(unknown) {
        true => Err(Rejection::NothingToRetry("an unknown outcome must be resolved first")),
        false => Ok(reopened(state, owed, Vec::new(), asked)),
    }
}

/// The compensations that were to be executed and that nothing has come of, and the steps of their items.
fn owed(state: &RunState) -> BTreeSet<Unit> {
    let order = state.head.verdict.iter().flat_map(|verdict| &verdict.order);
    let owed = order.copied().filter(|undo| state.find(*undo).is_some() && state.is_owed(*undo));
    owed.flat_map(|undo| [Unit::of(undo.step), undo]).collect()
}

/// The steps and items whose compensation has been executed.
pub(super) fn all_undone(state: &RunState) -> Vec<Unit> {
    let mut undone = Vec::new();
    for undo in state.workflow.steps_of(Stage::Compensation) {
        let Some(step) = state.workflow.stages.undone_by(undo) else { continue };
        let items = state.fan(undo).map_or(0, |fan| fan.count);
        let units = std::iter::once(Unit::of(step)).chain((0..items).map(|item| Unit::item_of(step, item)));
        undone.extend(units.filter(|unit| is_undone(state, *unit)));
    }
    undone
}

fn is_undone(state: &RunState, unit: Unit) -> bool {
    let undo = state.workflow.stages.undo_of(unit.step).map(|undo| Unit::new(undo, unit.item()));
    undo.filter(|undo| state.find(*undo).is_some()).is_some_and(|undo| {
        // That of a step with items ends when theirs have: it is they that are undone.
        let slot = state.slot(undo);
        slot.attempts > 0
            && match slot.state.kind() {
                StepKind::Succeeded => true,
                StepKind::Failed => !state.is_owed(undo),
                _ => false,
            }
    })
}

fn reopened(state: &RunState, again: BTreeSet<Unit>, inside: Vec<Inside>, asked: &Asked) -> Vec<Event> {
    let reopened = RunReopened {
        generation: state.head.generation + 1,
        steps: again.into_iter().collect(),
        inside,
        by: asked.by.clone(),
        reason: asked.reason.clone(),
    };
    vec![reopened.into()]
}

/// These steps and all that depend on them: what depends on a repeated step is repeated with it, whole.
pub(super) fn reached(
    state: &RunState,
    from: impl Iterator<Item = StepIx>,
) -> Result<BTreeSet<StepIx>, Rejection> {
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

/// The steps proper that have failed, were cancelled or were undone; where there are none, those that came after.
pub(super) fn all_to_repeat(state: &RunState) -> Result<Vec<Unit>, Rejection> {
    let failed = all_that_failed(state);
    let main = |unit: &Unit| state.slot(*unit).stage == Stage::Main;
    let (mut main, rest): (Vec<Unit>, Vec<Unit>) = failed.into_iter().partition(main);
    if main.is_empty() {
        main = all_undone(state);
    }
    match (main.is_empty(), rest.is_empty()) {
        (true, true) => Err(Rejection::NothingToRetry("no step has failed or was cancelled")),
        (true, false) => {
            let first = rest.iter().map(|unit| state.slot(*unit).stage).min();
            Ok(rest.into_iter().filter(|unit| Some(state.slot(*unit).stage) == first).collect())
        }
        (false, _) => Ok(main),
    }
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
pub(super) fn items_to_repeat(state: &RunState, named: Unit) -> Vec<Unit> {
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
