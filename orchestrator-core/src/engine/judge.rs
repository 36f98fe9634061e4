//! Judging what a step that is repeated gave the last time.

use std::sync::Arc;

use crate::engine::loaded::Loaded;
use crate::engine::prepare::{Done, Misrender, Preparation, referred_to, scope, view};
use crate::engine::shared::Shared;
use crate::engine::values::Values;
use crate::id::Unit;
use crate::machine::{Prepared, RunState};
use crate::spec::expr::StepView;
use crate::value::ValueRef;

/// Whether it was the last time.
pub(crate) fn judge(
    shared: &Shared,
    loaded: &Arc<Loaded>,
    state: &RunState,
    values: &Values,
    step: Unit,
    output: &ValueRef,
) -> Preparation {
    // Only a step that is repeated has something to be judged.
    let Some(repeat) = &loaded.workflow.step(step.step).options().repeat else {
        return Done::bare(Prepared::Enough);
    };
    let references = || repeat.until.references().iter();
    let needed =
        referred_to(loaded, state, references()).into_iter().chain([output]).chain(state.list_of(step));
    let missing = values.missing(needed);
    if !missing.is_empty() {
        return Preparation::Load(missing);
    }
    let judged = scope(loaded, state, values, references(), Some(step)).and_then(|mut scope| {
        let output = values.get(output);
        scope.own = Some(StepView { status: "completed", output, ..view(state, values, step, false) });
        repeat.until.evaluate(&scope).map_err(|error| Misrender::of("repeat.until", &error))
    });
    match judged {
        Ok(true) => Done::bare(Prepared::Enough),
        Ok(false) => {
            let at = (!repeat.delay.is_zero()).then(|| shared.clock.now() + repeat.delay);
            Done::bare(Prepared::Again { at })
        }
        Err(error) => Done::bare(Prepared::Fault(error.into())),
    }
}
