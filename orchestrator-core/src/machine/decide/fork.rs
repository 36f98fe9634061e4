//! What another run keeps that begins where this one has been.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{StepIx, Unit};
use crate::machine::command::Rejection;
use crate::machine::decide::guard::slot;
use crate::machine::decide::retry::{all_to_repeat, all_undone, items_to_repeat, reached};
use crate::machine::ending::{Ending, KeptAs};
use crate::machine::event::{Event, RunForked, StepCollected, StepExpanded, StepKept};
use crate::machine::fan::Fan;
use crate::machine::inside::Inside;
use crate::machine::kind::StepKind;
use crate::machine::state::RunState;
use crate::machine::step_state::{SkipReason, StepState};
use crate::spec::Stage;

/// The events that follow the creation of a run that is to do again what `from` names, and all that depends on it, and
/// keeps the rest as it has ended here. Without a name: what has failed or was cancelled. What has not ended begins anew,
/// and so does what was undone. What `from` does not name stays as it is, also where it has failed.
///
/// # Errors
/// [`Rejection`]: why no run can begin there.
pub fn fork(state: &RunState, from: &[Unit]) -> Result<Vec<Event>, Rejection> {
    fork_inside(state, from, &[])
}

/// As [`fork`], and the runs that carry out steps named in `inside` go on where those of this run have been: from what is
/// named there. A step that is named in `from` too begins at its beginning.
///
/// # Errors
/// As [`fork`]; also if no run has carried out such a step.
pub fn fork_inside(
    state: &RunState,
    from: &[Unit],
    inside: &[(Unit, Arc<str>)],
) -> Result<Vec<Event>, Rejection> {
    if from.is_empty() && inside.is_empty() {
        let from = all_to_repeat(state)?;
        let inside = from.iter().filter_map(|unit| state.resumed(*unit)).collect();
        return begin(state, &from, inside);
    }
    let mut from = from.to_vec();
    let mut entered: BTreeMap<Unit, Inside> = BTreeMap::new();
    for (unit, place) in inside {
        let before = slot(state, *unit)?.child();
        let Some(child) = state.inside(*unit).map(|inside| inside.child).or(before) else {
            return Err(Rejection::NothingToRetry(
                "no run has carried out the step yet: fork at the step itself",
            ));
        };
        if from.contains(unit) || from.contains(&Unit::of(unit.step)) {
            continue;
        }
        let fresh = || Inside { step: *unit, child, from: Vec::new() };
        entered.entry(*unit).or_insert_with(fresh).from.push(place.clone());
    }
    from.extend(entered.keys());
    begin(state, &from, entered.into_values().collect())
}

/// As [`fork`] of what has failed or was cancelled, item by item: the items that have succeeded are kept too.
///
/// # Errors
/// As [`fork`].
pub fn fork_failed(state: &RunState) -> Result<Vec<Event>, Rejection> {
    let mut from = Vec::new();
    for unit in all_to_repeat(state)? {
        let items = items_to_repeat(state, unit);
        if items.is_empty() { from.push(unit) } else { from.extend(items) }
    }
    let inside = from.iter().filter_map(|unit| state.resumed(*unit)).collect();
    begin(state, &from, inside)
}

fn begin(state: &RunState, from: &[Unit], mut inside: Vec<Inside>) -> Result<Vec<Event>, Rejection> {
    for unit in from {
        if slot(state, *unit)?.stage != Stage::Main {
            return Err(Rejection::NothingToRetry("a fork begins at one of the `steps`"));
        }
    }
    let undone = all_undone(state);
    let again = reached(state, from.iter().chain(&undone).map(|unit| unit.step))?;
    // A step that is named by its items, and does not depend on another that is done again, keeps the others.
    let named: BTreeSet<Unit> =
        from.iter().chain(&undone).filter(|unit| unit.item().is_some()).copied().collect();
    let whole: BTreeSet<StepIx> =
        from.iter().filter(|unit| unit.item().is_none()).map(|unit| unit.step).collect();
    let is_first = |step: StepIx| state.spec(step.into()).needs.iter().all(|need| !again.contains(need));
    let is_partial = |step: StepIx| {
        !whole.contains(&step)
            && present_fan(state, step).is_some()
            && named.range(Unit::items_of(step)).next().is_some()
            && is_first(step)
    };
    inside.retain(|inside| {
        let step = inside.step.step;
        if inside.step.item().is_some() { is_partial(step) } else { is_first(step) }
    });
    let mut events = vec![RunForked { run: state.run(), seq: state.head.seq, inside }.into()];
    let mut kept: BTreeSet<StepIx> = BTreeSet::new();
    for step in state.plan.waves().into_iter().flatten().filter(|step| state.slot(*step).stage == Stage::Main)
    {
        if state.spec(step.into()).needs.iter().any(|need| !kept.contains(need)) {
            continue;
        }
        if !again.contains(&step) {
            if keep(state, step, &mut events) {
                kept.insert(step);
            }
        } else if is_partial(step) {
            keep_items(state, step, |unit| !named.contains(&unit), &mut events);
        }
    }
    Ok(events)
}

/// Keeps a step as it has ended; whether it has.
fn keep(state: &RunState, step: StepIx, events: &mut Vec<Event>) -> bool {
    let slot = state.slot(step);
    if slot.state.kind() == StepKind::Cancelled || !slot.state.is_terminal() {
        return false;
    }
    if present_fan(state, step).is_none() || matches!(slot.state, StepState::Skipped { .. }) {
        events.extend(kept(state, step.into()).map(Event::from));
        return true;
    }
    if !keep_items(state, step, |_| true, events) {
        return false;
    }
    let (status, error) = match &slot.state {
        StepState::Failed { error } => (Ending::Failed, Some((**error).clone())),
        _ => (Ending::Completed, None),
    };
    events.push(StepCollected { step: step.into(), status, error }.into());
    true
}

/// Makes the same list again, and keeps those of its items that have ended; whether these are all.
fn keep_items(
    state: &RunState,
    step: StepIx,
    wanted: impl Fn(Unit) -> bool,
    events: &mut Vec<Event>,
) -> bool {
    let Some(fan) = present_fan(state, step) else { return false };
    events.push(StepExpanded { step: step.into(), items: fan.list.clone(), count: fan.count }.into());
    let items = (0..fan.count).map(|item| Unit::item_of(step, item));
    let before = events.len();
    events.extend(items.filter(|item| wanted(*item)).filter_map(|item| kept(state, item)).map(Event::from));
    events.len() - before == fan.count as usize
}

/// The items of a step, unless it was to make its list anew and has not come to that.
fn present_fan(state: &RunState, step: StepIx) -> Option<&Fan> {
    let superseded = StepState::Skipped { reason: SkipReason::Superseded };
    state.fan(step).filter(|fan| fan.count == 0 || state.slot(Unit::item_of(step, 0)).state != superseded)
}

fn kept(state: &RunState, step: Unit) -> Option<StepKept> {
    let child = state.slot(step).child();
    let state = match &state.slot(step).state {
        StepState::Succeeded { output } => KeptAs::Succeeded { output: output.clone() },
        StepState::Failed { error } => KeptAs::Failed { error: (**error).clone() },
        StepState::Skipped { reason } => KeptAs::Skipped { reason: *reason },
        _ => return None,
    };
    Some(StepKept { step, state, child })
}
