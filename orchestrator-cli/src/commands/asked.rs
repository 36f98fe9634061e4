//! What a run will wait for from outside: people's words, and signals.

use std::sync::Arc;

use orchestrator_core::engine::Registry;
use orchestrator_core::spec::{StepSpec, Workflow};
use serde::Serialize;
use serde_json::json;

use crate::workflow::family;

/// The steps at which a run of the workflow, or of one below it, will wait for a person's word, each with its place.
pub(crate) fn asks(workflow: &Arc<Workflow>) -> Vec<(String, &StepSpec)> {
    let of = |at: usize, held: &Workflow, step: &StepSpec| match at {
        0 => step.name.to_string(),
        _ => format!("{} in {}", step.name, held.name),
    };
    let all = family(workflow).into_iter().enumerate();
    let steps = all.flat_map(|(at, held)| held.steps.iter().map(move |step| (of(at, held, step), step)));
    steps.filter(|(_, step)| &*step.uses == "approval").collect()
}

/// What a run of the workflow will wait for from people.
pub(crate) fn approvals(workflow: &Arc<Workflow>) -> Vec<serde_json::Value> {
    let told = asks(workflow).into_iter().map(|(step, spec)| {
        let message = spec.with.as_written()["message"].as_str().map(str::to_owned);
        json!({ "step": step, "message": message })
    });
    told.collect()
}

/// A signal that a step waits for.
#[derive(Debug, Serialize)]
pub(crate) struct Expected<'a> {
    pub(crate) step: &'a str,
    /// As written: it may hold expressions.
    pub(crate) name: String,
}

/// The signals that a run of the workflow will wait for.
pub(crate) fn signals<'a>(workflow: &'a Workflow, plugins: &Registry) -> Vec<Expected<'a>> {
    let expected = workflow.steps.iter().filter_map(|step| {
        let written = step.with.as_written();
        let signal = plugins.get(&step.uses)?.signal(&written)?;
        let name = signal.name.or_else(|| written["name"].as_str().map(str::to_owned)).unwrap_or_default();
        Some(Expected { step: &step.name, name })
    });
    expected.collect()
}
