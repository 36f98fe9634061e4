//! What the run of a step keeps of an earlier one, where it goes on inside of that. Looked up when the step is about to
//! begin, and recorded in the events that create the new run: nobody asks again.

use std::sync::Arc;

use crate::engine::control::Opened;
use crate::engine::driver::Driver;
use crate::engine::error::ForkError;
use crate::engine::note::Note;
use crate::engine::prepare::Done;
use crate::engine::shared::Shared;
use crate::engine::values::unloadable;
use crate::id::{RunId, StepIx, Unit};
use crate::machine::{Ending, Event, Inside, RunState, StepError, StepKind, fork_failed, fork_inside};
use crate::port::store::StoreError;
use crate::spec::retry::ErrorClass;
use crate::spec::{Stage, Workflow};
use crate::value::{Digest, StoredValue, ValueRef};

/// The wait before the store is asked again that could not answer.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

/// On what the run of a step begins.
#[derive(Debug, Clone)]
pub(crate) enum Ground {
    /// On nothing: from the beginning.
    Bare,
    /// On what an earlier run has done.
    Kept(Arc<Kept>),
    /// It cannot go on as was asked.
    Fault(StepError),
}

/// What an earlier run has done.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) run: RunId,
    /// What the log of the new run begins with, after its creation.
    pub(crate) events: Vec<Event>,
    pub(crate) values: Vec<StoredValue>,
    inputs: ValueRef,
    edition: Digest,
    /// Whether somebody has said where to go on: then other inputs are meant.
    is_named: bool,
}

impl Ground {
    /// What a run of this workflow with these inputs keeps.
    pub(crate) fn of(self, workflow: &Workflow, inputs: &ValueRef) -> Result<Option<Arc<Kept>>, StepError> {
        match self {
            Self::Bare => Ok(None),
            Self::Fault(error) => Err(error),
            Self::Kept(kept) if kept.edition != workflow.edition && kept.is_named => {
                Err(fault(format!("{} is of another revision of `{}`", kept.run, workflow.name)))
            }
            Self::Kept(kept) => {
                let fits = kept.edition == workflow.edition && (kept.is_named || kept.inputs == *inputs);
                Ok(fits.then_some(kept))
            }
        }
    }
}

fn fault(message: String) -> StepError {
    StepError::new(ErrorClass::Invalid, message)
}

impl Driver {
    /// Looks up what the run of a step is to keep, and prepares the step again with that.
    pub(crate) fn look_inside(&mut self, step: Unit, inside: Inside, mut done: Done) {
        self.preparing.insert(step);
        let (shared, driver) = (self.shared.clone(), self.own_mailbox.clone());
        let generation = self.state.head().generation;
        self.shared.tasks.spawn(async move {
            done.ground = Some(shared.ground(&inside).await);
            let _ = driver.send(Note::Ruled(step, generation, Box::new(done), None));
        });
    }
}

impl Shared {
    async fn ground(&self, inside: &Inside) -> Ground {
        loop {
            match self.try_ground(inside).await {
                Ok(ground) => return ground,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(run = %inside.child, %error, "a run cannot be gone on with yet");
                    self.clock.sleep_until(self.clock.now() + AGAIN).await;
                }
                Err(error) => return Ground::Fault(unloadable(&error)),
            }
        }
    }

    async fn try_ground(&self, inside: &Inside) -> Result<Ground, StoreError> {
        let child = inside.child;
        let is_named = !inside.from.is_empty();
        let Some(opened) = self.open(child).await? else {
            let gone = || fault(format!("{child}, with which it was to go on, is gone"));
            return Ok(if is_named { Ground::Fault(gone()) } else { Ground::Bare });
        };
        let state = &opened.state;
        let events = if is_named {
            let named = places(&child.to_string(), &opened, &inside.from);
            let events = named.and_then(|(from, deeper)| Ok(fork_inside(state, &from, &deeper)?));
            match events {
                Ok(events) => events,
                Err(error) => return Ok(Ground::Fault(fault(format!("{child}: {error}")))),
            }
        } else {
            if !matches!(state.head().ended, Some((Ending::Failed | Ending::Cancelled, _))) {
                return Ok(Ground::Bare);
            }
            // From the beginning it might do a second time what it must do at most once.
            if state.count(StepKind::OutcomeUnknown) > 0 {
                return Ok(Ground::Fault(fault(format!(
                    "the outcome of a step of {child} is unknown: resolve it there first"
                ))));
            }
            match fork_failed(state) {
                Ok(events) => events,
                Err(_) => return Ok(Ground::Bare),
            }
        };
        let values = self.values_of(child, &events).await?;
        let inputs = state.head().inputs.clone();
        let edition = opened.loaded.workflow.edition;
        Ok(Ground::Kept(Arc::new(Kept { run: child, events, values, inputs, edition, is_named })))
    }

    /// What the log of a fork begins with, after its creation. All that is named is there, down to the last run.
    pub(crate) async fn forked(
        &self,
        level: &str,
        opened: &Opened,
        from: &[Unit],
        inside: &[(Unit, Arc<str>)],
    ) -> Result<Vec<Event>, ForkError> {
        let workflow = &opened.loaded.workflow;
        for (unit, _) in inside {
            has_inside(workflow, &opened.state, *unit)?;
        }
        let events = fork_inside(&opened.state, from, inside).map_err(|rejection| match level {
            "" => ForkError::Rejected(rejection),
            _ => ForkError::RejectedInside { level: level.to_owned(), rejection },
        })?;
        let entered = events.iter().find_map(|event| match event {
            Event::RunForked(forked) => Some(&forked.inside),
            _ => None,
        });
        for inside in entered.into_iter().flatten().filter(|inside| !inside.from.is_empty()) {
            let below = self.open(inside.child).await?.ok_or(ForkError::NotFound(inside.child))?;
            let name = place_of(workflow, inside.step);
            let level = if level.is_empty() { name } else { format!("{level}/{name}") };
            let (from, deeper) = places(&level, &below, &inside.from)?;
            // Boxed, because a child may have children.
            Box::pin(self.forked(&level, &below, &from, &deeper)).await?;
        }
        Ok(events)
    }
}

/// What one and what nothing but another run can do again.
type Places = (Vec<Unit>, Vec<(Unit, Arc<str>)>);

/// Finds what is named in a run: steps and items of its own, and what is inside of them.
fn places(level: &str, opened: &Opened, named: &[Arc<str>]) -> Result<Places, ForkError> {
    let workflow = &opened.loaded.workflow;
    let (mut from, mut inside) = (Vec::new(), Vec::new());
    for place in named {
        let (head, rest) = match place.split_once('/') {
            Some((head, rest)) => (head, Some(rest)),
            None => (&**place, None),
        };
        let found = find(workflow, head).ok_or_else(|| ForkError::UnknownPlace {
            message: format!("`{level}`, a run of workflow `{}`, has no step `{head}`", workflow.name),
            name: head.to_owned(),
            known: names(workflow),
        })?;
        if opened.state.find(found).is_none() {
            let count = opened.state.fan(found.step).map_or(0, |fan| fan.count);
            return Err(nothing(format!("`{head}` is no item: the step has {count} in `{level}`")));
        }
        match rest {
            None => from.push(found),
            Some(rest) => inside.push((found, Arc::from(rest))),
        }
    }
    Ok((from, inside))
}

/// Whether a step is carried out by one run of its own.
fn has_inside(workflow: &Workflow, state: &RunState, unit: Unit) -> Result<(), ForkError> {
    let name = &workflow.step(unit.step).name;
    if workflow.step(unit.step).options().child.is_none() {
        return Err(nothing(format!("step `{name}` has no steps inside: it does not run another workflow")));
    }
    match (unit.item(), state.fan(unit.step)) {
        (None, Some(fan)) if fan.count > 0 => Err(nothing(format!(
            "step `{name}` has a run for each item: name one of them, as in `{name}[0]`"
        ))),
        _ => Ok(()),
    }
}

fn nothing(message: String) -> ForkError {
    ForkError::UnknownPlace { message, name: String::new(), known: Vec::new() }
}

/// The step called so, or its item: `test`, `test[3]`.
fn find(workflow: &Workflow, name: &str) -> Option<Unit> {
    let (name, item) = match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        Some((name, item)) => (name, Some(item.parse().ok().filter(|item| *item < u32::MAX)?)),
        None => (name, None),
    };
    let step = workflow.steps.iter().position(|step| *step.name == *name)?;
    // A workflow has fewer than 2^32 steps.
    Some(Unit::new(StepIx(step as u32), item))
}

fn place_of(workflow: &Workflow, unit: Unit) -> String {
    let name = &workflow.step(unit.step).name;
    unit.item().map_or_else(|| name.to_string(), |item| format!("{name}[{item}]"))
}

/// The steps proper, in the order of the text.
fn names(workflow: &Workflow) -> Vec<String> {
    let steps = (0u32..).zip(&workflow.steps);
    let main = steps.filter(|(at, _)| workflow.stages.of(StepIx(*at)) == Stage::Main);
    main.map(|(_, step)| step.name.to_string()).collect()
}
