//! Steps that wait for somebody who serves their queue, or for the end of its pause, as they are reported.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::queues::{PausedQueue, paused_queues};
use crate::engine::report::StepReport;
use crate::engine::waiting::Waiting;
use crate::id::{RunId, StepIx};
use crate::machine::Intent;
use crate::port::store::{RunRow, Store, StoreError};
use crate::spec::{Placement, Workflow};

/// The steps of a run whose turn it is, and whose queue is paused or that nobody alive takes.
pub(crate) async fn unserved(
    store: &dyn Store,
    row: &RunRow,
    workflow: &Workflow,
    steps: &[StepReport],
) -> Result<Vec<Waiting>, StoreError> {
    if row.finished_at.is_some() || row.intent != Intent::Proceed {
        return Ok(Vec::new());
    }
    let paused = paused_queues(store).await?;
    if paused.is_empty() && workflow.steps.iter().all(|step| step.options().placement.is_none()) {
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
        let placement = &step.options().placement;
        // What is said of a task is that somebody may claim it.
        let is_told = !step.is_task() && placement.is_some() || !paused.is_empty();
        (is_told && is_due(ix)).then(|| (ix, step.name.clone(), placement.clone()))
    });
    let placed: Vec<(StepIx, Arc<str>, Option<Arc<Placement>>)> = placed.collect();
    if placed.is_empty() {
        return Ok(Vec::new());
    }
    let owners = store.owners().await?;
    let nobody_takes = |placement: &Placement| {
        !owners.iter().any(|owner| owner.serves.takes(&placement.queue, &placement.labels))
    };
    let waiting = placed.into_iter().filter_map(|(ix, name, placement)| {
        // Whoever drives the run executes what asks for nobody.
        let asks = placement.is_some();
        let placement = placement.unwrap_or_default();
        match paused.iter().find(|paused| paused.queue == placement.queue) {
            Some(paused) => Some(Waiting::for_a_resume(row.run, ix, name, placement, paused.clone())),
            None => (asks && nobody_takes(&placement))
                .then(|| Waiting::for_a_worker(row.run, ix, name, placement)),
        }
    });
    Ok(waiting.collect())
}

impl Waiting {
    fn for_a_resume(
        run: RunId,
        ix: StepIx,
        step: Arc<str>,
        placement: Arc<Placement>,
        paused: PausedQueue,
    ) -> Self {
        let message = format!("waits because {}", paused.told());
        Self { kind: "queue", message, paused: Some(paused), ..Self::for_a_worker(run, ix, step, placement) }
    }

    fn for_a_worker(run: RunId, ix: StepIx, step: Arc<str>, placement: Arc<Placement>) -> Self {
        let with = placement.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let with: Vec<String> = with.collect();
        let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
        let message = format!("waits for a worker that serves queue `{}`{with}", placement.queue);
        let waiting = Self::new(run, Some(step), ix.into(), "worker", message);
        Self { placement: Some(placement), ..waiting }
    }
}
