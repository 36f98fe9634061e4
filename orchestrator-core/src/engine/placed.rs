//! Steps that wait for somebody who serves their queue, as they are reported.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::report::StepReport;
use crate::engine::waiting::Waiting;
use crate::id::{RunId, StepIx};
use crate::machine::Intent;
use crate::port::store::{RunRow, Store, StoreError};
use crate::spec::{Placement, Workflow};

/// The steps of a run whose turn it is, and that nobody alive takes.
pub(crate) async fn unserved(
    store: &dyn Store,
    row: &RunRow,
    workflow: &Workflow,
    steps: &[StepReport],
) -> Result<Vec<Waiting>, StoreError> {
    let goes_on = row.finished_at.is_none() && row.intent == Intent::Proceed;
    if !goes_on || workflow.steps.iter().all(|step| step.options().placement.is_none()) {
        return Ok(Vec::new());
    }
    let has_ended = |status: &str| matches!(status, "completed" | "failed" | "skipped" | "cancelled");
    let waits = |step: &StepReport| matches!(step.status, "pending" | "queued") && step.due_at.is_none();
    // Of a step with items: whether any of them waits.
    let mut own: HashMap<&str, (bool, bool)> = HashMap::new();
    for step in steps {
        let (ended, waiting) = own.entry(&*step.id).or_default();
        *ended |= step.item.is_none() && has_ended(step.status);
        *waiting |= waits(step);
    }
    let has_ended = |ix: &StepIx| own.get(&*workflow.step(*ix).name).is_none_or(|(ended, _)| *ended);
    let is_due = |ix: StepIx| {
        let (ended, waiting) = own.get(&*workflow.step(ix).name).copied().unwrap_or_default();
        !ended && waiting && workflow.step(ix).needs.iter().all(has_ended)
    };
    let placed = (0u32..).map(StepIx).zip(&workflow.steps).filter_map(|(ix, step)| {
        let placement = step.options().placement.clone()?;
        is_due(ix).then_some((ix, step.name.clone(), placement))
    });
    let placed: Vec<(StepIx, Arc<str>, Arc<Placement>)> = placed.collect();
    if placed.is_empty() {
        return Ok(Vec::new());
    }
    let owners = store.owners().await?;
    let nobody_takes = |placement: &Placement| {
        !owners.iter().any(|owner| owner.serves.takes(&placement.queue, &placement.labels))
    };
    let waiting = placed.into_iter().filter(|(_, _, placement)| nobody_takes(placement));
    Ok(waiting.map(|(ix, name, placement)| Waiting::for_a_worker(row.run, ix, name, placement)).collect())
}

impl Waiting {
    fn for_a_worker(run: RunId, ix: StepIx, step: Arc<str>, placement: Arc<Placement>) -> Self {
        let with = placement.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let with: Vec<String> = with.collect();
        let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
        Self {
            run,
            step,
            item: None,
            ix: ix.into(),
            attempt: 0,
            kind: "worker",
            signal: None,
            message: format!("waits for a worker that serves queue `{}`{with}", placement.queue),
            show: None,
            digest: None,
            until: None,
            key: None,
            paths: None,
            held_by: Vec::new(),
            error: None,
            placement: Some(placement),
        }
    }
}
