//! What must hold of every state.

use crate::id::Unit;
use crate::machine::index::Index;
use crate::machine::{Intent, Items, RunState, Slot, StepKind, StepState, WaitOn};
use crate::spec::{EffectClass, Stage};

/// A state that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// Checks a state. Costs O(steps): for tests.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check(state: &RunState) -> Result<(), Violation> {
    let mut index = Index::default();
    for (at, slot) in (0u32..).zip(&state.slots) {
        index.enter(at, slot);
        if state.place(state.unit_at(at)) != Some(at) && !slot.state.is_terminal() {
            return Err(Violation(format!("an item of an earlier list is {:?}", slot.state.kind())));
        }
    }
    for (step, slot) in state.slots() {
        check_step(state, step).map_err(|what| {
            Violation(format!("step `{}` ({:?}): {what}", state.spec(step).name, slot.state.kind()))
        })?;
    }
    if index != state.index {
        return Err(Violation("the index is not what the steps say".into()));
    }
    if state.head().ended.is_some() && !state.is_settled() {
        return Err(Violation("the run has ended with open steps".into()));
    }
    if state.head().driver.is_some() && state.head().ended.is_some() {
        return Err(Violation("an ended run is driven".into()));
    }
    let begun = state.slots().any(|(_, slot)| slot.attempts > 0);
    if state.head().not_before.is_some() && (begun || state.head().intent == Intent::Cancel) {
        return Err(Violation("a run that is put off has begun, or is being cancelled".into()));
    }
    let under_way = [StepKind::Running, StepKind::Offered, StepKind::Waiting, StepKind::Parked];
    if !state.has_entered() && under_way.iter().any(|kind| state.count(*kind) > 0) {
        return Err(Violation("something of a run has begun before it has its place".into()));
    }
    if state.head().ended.is_some() && (!state.held().is_empty() || state.waited_place().is_some()) {
        return Err(Violation("an ended run has a place, or waits for one".into()));
    }
    if state.head().driver.is_some() && state.head().driver_epoch == 0 {
        return Err(Violation("a driver without a right".into()));
    }
    Ok(())
}

fn check_step(state: &RunState, step: Unit) -> Result<(), String> {
    let slot = state.slot(step);
    let has_begun = slot.attempts > 0 || slot.fan.is_some();
    if slot.state.is_terminal() != slot.ended_at.is_some() || has_begun != slot.began_at.is_some() {
        return Err(format!("began at {:?}, ended at {:?}", slot.began_at, slot.ended_at));
    }
    let needs = &state.spec(step).needs;
    let undoes = slot.stage == Stage::Compensation;
    // What comes later waits for the run to get there; a compensation, for its turn.
    let gate = slot.stage > state.head().stage || undoes;
    let open = needs.iter().filter(|need| !state.slot(**need).state.is_terminal()).count();
    let open = open + usize::from(gate && matches!(slot.state, StepState::Pending { .. }));
    match &slot.state {
        StepState::Pending { missing } if step.item().is_some() && !undoes => {
            let expanded = matches!(state.slot(step.step).state, StepState::Expanded(_));
            if *missing != 1 || !expanded || state.spec(step).options().max_parallel().is_none() {
                return Err("an item waits for no other".into());
            }
        }
        StepState::Expanded(items) => check_items(state, step, *items)?,
        StepState::Pending { missing } if *missing as usize != open || open == 0 => {
            return Err(format!("says {missing} needs are missing, {open} are"));
        }
        StepState::Pending { .. } | StepState::Cancelled => {}
        // Until the list is made anew, the items are what they were.
        _ if step.item().is_some() && slot.state.is_terminal() => {}
        _ if open > 0 => return Err(format!("left `pending` while {open} of its needs are open")),
        StepState::Running { attempt, fence, .. }
            if *attempt != slot.attempts || fence.epoch != slot.epoch =>
        {
            return Err("runs under a right that is not the latest".into());
        }
        StepState::Offered { attempt, epoch, .. } if *attempt != slot.attempts || *epoch != slot.epoch => {
            return Err("is offered under a right that is not the latest".into());
        }
        StepState::Succeeded { .. } if !has_begun && !slot.kept => {
            return Err("succeeded without an attempt".into());
        }
        _ => {}
    }
    match &slot.state {
        StepState::Waiting { attempt, on, until, .. } => {
            if *attempt != 0 && *attempt != slot.attempts {
                return Err("waits with an attempt that is not the latest".into());
            }
            if **on == WaitOn::Until && until.is_none() {
                return Err("waits for a moment that nobody names".into());
            }
        }
        StepState::Arrived { attempt, .. }
        | StepState::OutcomeUnknown { attempt }
        | StepState::Quarantined { attempt, .. }
            if *attempt != slot.attempts =>
        {
            return Err("stands at an attempt that is not the latest".into());
        }
        StepState::OutcomeUnknown { .. } if slot.effect != Some(EffectClass::AtMostOnce) => {
            return Err("has an unknown outcome, though a repetition does no harm".into());
        }
        _ => {}
    }
    if let Some(policy) = &state.spec(step).options().retry
        && u32::from(slot.failures) + u32::from(slot.losses) > policy.max_attempts
    {
        return Err(format!("{} failures and {} losses, too many", slot.failures, slot.losses));
    }
    check_counts(slot)
}

fn check_counts(slot: &Slot) -> Result<(), String> {
    let begun = matches!(
        slot.state.kind(),
        StepKind::Offered
            | StepKind::Running
            | StepKind::Arrived
            | StepKind::OutcomeUnknown
            | StepKind::Quarantined
    );
    if begun && (slot.attempts == 0 || slot.request.is_none() || slot.effect.is_none()) {
        return Err("was begun without a request".into());
    }
    if u64::from(slot.attempts) > slot.epoch {
        return Err(format!("{} attempts under {} rights", slot.attempts, slot.epoch));
    }
    Ok(())
}

/// What a step says of its items is what they say.
fn check_items(state: &RunState, step: Unit, items: Items) -> Result<(), String> {
    let Some(fan) = state.fan(step.step) else { return Err("is expanded to nothing".into()) };
    let kinds = (0..fan.count).map(|item| state.slot(Unit::item_of(step.step, item)).state.kind());
    let kinds: Vec<StepKind> = kinds.collect();
    let count = |wanted: &dyn Fn(StepKind) -> bool| kinds.iter().filter(|kind| wanted(**kind)).count() as u32;
    let found = [
        count(&|kind| !kind.is_terminal()),
        count(&|kind| kind == StepKind::OutcomeUnknown),
        count(&|kind| kind == StepKind::Failed),
        count(&|kind| kind == StepKind::Cancelled),
    ];
    let told = [items.open, items.unknown, items.failed, items.cancelled];
    if found != told {
        return Err(format!("says {told:?} of its items, they are {found:?}"));
    }
    let waiting = count(&|kind| kind == StepKind::Pending);
    if state.slot(step).stage == Stage::Compensation {
        return Ok(());
    }
    let bound = state.at_once(step.step);
    if items.open - waiting > bound || (waiting > 0 && items.open - waiting < bound) {
        return Err(format!(
            "{} items are open, {waiting} more wait, the bound is {bound}",
            items.open - waiting
        ));
    }
    Ok(())
}
