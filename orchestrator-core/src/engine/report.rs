//! A run as it is shown: the stable JSON shape of `run`, `runs show`, `runs wait`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::engine::loaded::Library;
use crate::engine::placed::unserved;
use crate::engine::shared::Shared;
use crate::engine::waiting::{Holder, Waiting, holders, unit_of, waiting};
use crate::engine::waits::{Cause, Waits, not_before, waits};
use crate::id::{RunId, StepIx, Unit};
use crate::machine::{Spot, WaitOn};
use crate::port::store::{
    ApprovalQuery, ApprovalRow, RunQuery, RunRow, StepRow, Store, StoreError, unit_name,
};
use crate::spec::{StepSpec, Workflow};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// A run with its steps. Serialises to the stable shape; keys may be added.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The run.
    pub run_id: RunId,
    /// The run whose step it carries out, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// That step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_step: Option<String>,
    /// Its workflow.
    pub workflow: Arc<str>,
    /// The revision it is pinned to.
    pub revision: Digest,
    /// The status shown to users.
    pub status: String,
    /// Who started it.
    pub by: Arc<str>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it is to begin, as long as it is put off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// 1, and one more with every reopening.
    pub generation: u32,
    /// Number of its last event.
    pub seq: u64,
    /// Its inputs.
    pub inputs: Value,
    /// Its outputs; `null` until it has completed.
    pub outputs: Value,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// Its steps, in the order of the text.
    pub steps: Vec<StepReport>,
    /// What it waits for, if it waits.
    pub waiting_for: Vec<Waiting>,
}

/// A step of a [`RunReport`].
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// Its name.
    pub id: Arc<str>,
    /// Which item of the step, if it is one: 0, 1, 2 … The items of a step follow it.
    pub item: Option<u32>,
    /// The key under which it is written: `steps`, `compensate`, `on-failure` or `finally`.
    pub stage: &'static str,
    /// The status shown to users.
    pub status: &'static str,
    /// Attempts begun.
    pub attempts: u32,
    /// What a repetition would do, once an attempt has begun.
    pub effect: Option<&'static str>,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When something falls due for it.
    pub due_at: Option<Timestamp>,
    /// What it gave; `null` if nothing.
    pub output: Value,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// The run that carries it out, or did last, if it is one that another run carries out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<RunId>,
}

/// A run as it is in a store now; `None` if there is no such run. For those who only look: needs no engine, and
/// writes nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn read_report(store: &dyn Store, run: RunId) -> Result<Option<RunReport>, StoreError> {
    Reader { store, library: &Library::default(), outputs: true }.report(run).await
}

/// As [`read_report`], without what the steps gave: every `output` is `null`. A run with many steps or items is read much
/// faster so.
///
/// # Errors
/// [`StoreError`].
pub async fn read_outline(store: &dyn Store, run: RunId) -> Result<Option<RunReport>, StoreError> {
    Reader { store, library: &Library::default(), outputs: false }.report(run).await
}

impl Shared {
    /// A run as it is in the store.
    pub(crate) async fn report(&self, run: RunId) -> Result<Option<RunReport>, StoreError> {
        Reader { store: &*self.store, library: &self.library, outputs: true }.report(run).await
    }

    /// The same without what its steps gave.
    pub(crate) async fn outline(&self, run: RunId) -> Result<Option<RunReport>, StoreError> {
        Reader { store: &*self.store, library: &self.library, outputs: false }.report(run).await
    }
}

/// A report says in detail what the children of a run wait for until it has named so many things.
const MOST_BELOW: usize = 256;

/// Reads runs as they are shown.
struct Reader<'a> {
    store: &'a dyn Store,
    library: &'a Library,
    /// Whether what the steps gave is wanted.
    outputs: bool,
}

impl Reader<'_> {
    async fn report(&self, run: RunId) -> Result<Option<RunReport>, StoreError> {
        loop {
            let Some(row) = self.store.run(run).await? else { return Ok(None) };
            let rows = self.store.steps(run).await?;
            // Nobody is asked about a run that has ended.
            let approvals =
                if row.finished_at.is_none() { self.open_approvals(run).await? } else { Vec::new() };
            let waits = waits(self.store, &row, &rows, &approvals).await?;
            // What was read belongs together only if nothing has happened in between.
            if self.store.heads(&[run]).await?.first().is_none_or(|(_, seq)| *seq == row.seq) {
                return self.compose(row, rows, approvals, waits).await.map(Some);
            }
        }
    }

    async fn open_approvals(&self, run: RunId) -> Result<Vec<ApprovalRow>, StoreError> {
        let open =
            ApprovalQuery { run: Some(run), open: true, limit: usize::MAX, ..ApprovalQuery::default() };
        Ok(self.store.approvals(open).await?.items)
    }

    async fn compose(
        &self,
        row: RunRow,
        rows: Vec<StepRow>,
        approvals: Vec<ApprovalRow>,
        waits: Waits,
    ) -> Result<RunReport, StoreError> {
        let workflow = self.workflow(&row).await?;
        let children = self.children(&row, &workflow).await?;
        let mut steps: Vec<StepReport> = Vec::with_capacity(workflow.steps.len());
        let mut waiting_for: Vec<Waiting> = Waiting::of_run(row.run, &waits).into_iter().collect();
        let stage = |step: usize| workflow.stages.of(StepIx(step as u32)).key();
        // What has no row in a run that has ended was not needed.
        let status = if row.finished_at.is_some() { "skipped" } else { "pending" };
        let untouched = |(at, step): (usize, &StepSpec)| StepReport::untouched(&step.name, stage(at), status);
        // How many steps have their own line already.
        let mut own = 0;
        // Rows come in the order of the text, the items of a step after it; steps that have not begun have none.
        for step in rows {
            let unit = Unit::new(step.step, step.item);
            match children.get(&unit).filter(|_| step.status == "waiting") {
                Some(child) => self.waits_below(&step, child, &mut waiting_for).await?,
                None => waiting_for.extend(waiting(row.run, &step, &workflow, &approvals, &waits)),
            }
            let output = self.shown(row.run, step.output.as_ref().filter(|_| self.outputs)).await?;
            let before = &workflow.steps[own..step.step.index().max(own).min(workflow.steps.len())];
            steps.extend((own..).zip(before).map(untouched));
            own = own.max(step.step.index() + 1);
            steps.push(StepReport {
                id: step.name,
                item: step.item,
                stage: stage(step.step.index()),
                // Nothing runs in a run that has ended: the outcome of one of the step's items is unknown.
                status: match step.status {
                    "running" if row.finished_at.is_some() => "outcome_unknown",
                    status => status,
                },
                attempts: step.attempts,
                effect: step.effect,
                started_at: step.started_at,
                finished_at: step.finished_at,
                due_at: step.due_at,
                output,
                error: step.error.map(|error| error.to_string()),
                child: children.get(&unit).map(|row| row.run),
            });
        }
        steps.extend((own..).zip(&workflow.steps[own.min(workflow.steps.len())..]).map(untouched));
        waiting_for.extend(unserved(self.store, &row, &workflow, &steps).await?);
        self.name_holders(&row, &mut waiting_for).await?;
        // What a run below asks, it has said itself.
        for waiting in waiting_for.iter_mut().filter(|waiting| waiting.run == row.run) {
            if let Some(approval) = approvals.iter().find(|approval| unit_of(approval) == waiting.ix) {
                waiting.show = match &approval.show {
                    Some(show) => Some(self.shown(row.run, Some(show)).await?),
                    None => None,
                };
            }
            if let ("qa", Some(Cause::On(WaitOn::Qa { show, .. }))) = (waiting.kind, waits.get(&waiting.ix)) {
                waiting.show = Some(self.shown(row.run, Some(show)).await?);
            }
        }
        Ok(RunReport {
            run_id: row.run,
            parent: row.new.parent.map(|parent| parent.run),
            parent_step: self.parent_step(&row).await?,
            workflow: row.new.workflow.clone(),
            revision: row.new.revision,
            status: shown_status(&row, &steps, &waiting_for),
            by: row.new.by.clone(),
            created_at: row.created_at,
            not_before: not_before(self.store, &row).await?,
            started_at: row.started_at,
            finished_at: row.finished_at,
            generation: row.generation,
            seq: row.seq,
            inputs: self.shown(row.run, Some(&row.new.inputs)).await?,
            outputs: self.shown(row.run, row.outputs.as_ref()).await?,
            error: row.error.map(|error| error.to_string()),
            steps,
            waiting_for,
        })
    }

    /// Says who holds what the steps of a run wait for.
    async fn name_holders(&self, row: &RunRow, waiting_for: &mut [Waiting]) -> Result<(), StoreError> {
        let rows = holders(self.store, row, waiting_for).await?;
        let mut named: HashMap<Spot, Vec<Holder>> = HashMap::with_capacity(rows.len());
        for (spot, rows) in rows {
            let holders = named.entry(spot).or_default();
            for row in rows {
                let run = self.store.run(row.run).await?;
                let workflow = match &run {
                    Some(run) => self.workflow(run).await.ok(),
                    None => None,
                };
                holders.push(Holder::new(&row, workflow.as_deref()));
            }
        }
        for waiting in waiting_for.iter_mut().filter(|waiting| waiting.run == row.run) {
            let holders = waiting.spot().and_then(|spot| named.get(&spot)).cloned();
            holders.into_iter().for_each(|holders| waiting.tell_holders(holders));
        }
        Ok(())
    }

    /// The workflow of a run; read from the store only where nobody here holds it.
    async fn workflow(&self, row: &RunRow) -> Result<Arc<Workflow>, StoreError> {
        let revision = row.new.revision;
        if let Some(loaded) = self.library.known(revision, &row.new.workflow) {
            return Ok(loaded.workflow.clone());
        }
        let gone = || StoreError::Corrupt(format!("revision {revision} is gone"));
        let text = self.store.revision(revision).await?.ok_or_else(gone)?;
        Ok(self.library.read(revision, &row.new.workflow, &text)?.workflow.clone())
    }

    /// The runs that carry out steps of a run, of each step or item the latest.
    async fn children(&self, row: &RunRow, workflow: &Workflow) -> Result<HashMap<Unit, RunRow>, StoreError> {
        if workflow.steps.iter().all(|step| step.options().child.is_none()) {
            return Ok(HashMap::new());
        }
        let all = RunQuery { parent: Some(row.run), limit: usize::MAX, ..RunQuery::default() };
        let mut latest = HashMap::new();
        // The newest come first.
        for child in self.store.list_runs(all).await?.items {
            if let Some(parent) = child.new.parent {
                latest.entry(parent.unit).or_insert(child);
            }
        }
        Ok(latest)
    }

    /// What the child of a waiting step waits for; if that is nothing that could be named, how far it is.
    async fn waits_below(
        &self,
        step: &StepRow,
        child: &RunRow,
        waiting_for: &mut Vec<Waiting>,
    ) -> Result<(), StoreError> {
        let told = waiting_for.len();
        if waiting_for.len() < MOST_BELOW {
            let outline = Reader { outputs: false, ..*self };
            // Boxed, because a child may have children.
            if let Some(report) = Box::pin(outline.report(child.run)).await? {
                waiting_for.extend(report.waiting_for);
            }
        }
        if waiting_for.len() == told {
            let message = format!("{} of {} steps are done in {}", child.done, child.new.steps, child.run);
            let (name, ix) = (step.name.clone(), Unit::new(step.step, step.item));
            let waiting = Waiting::new(child.run, Some(name), ix, "child", message);
            waiting_for.push(Waiting { attempt: step.attempts, until: step.due_at, ..waiting });
        }
        Ok(())
    }

    /// The step that a run carries out, as it is called.
    async fn parent_step(&self, row: &RunRow) -> Result<Option<String>, StoreError> {
        let Some(parent) = row.new.parent else { return Ok(None) };
        let rows = self.store.steps(parent.run).await?;
        let step = rows.iter().find(|step| Unit::new(step.step, step.item) == parent.unit);
        Ok(step.map(|step| unit_name(&step.name, step.item)))
    }

    async fn shown(&self, run: RunId, value: Option<&ValueRef>) -> Result<Value, StoreError> {
        let Some(reference) = value else { return Ok(Value::Null) };
        let body = match reference {
            ValueRef::Inline(body) => body.clone(),
            ValueRef::Stored(stored) => {
                let gone = || StoreError::Corrupt(format!("value {} is gone", stored.digest));
                self.store.value(run, stored.digest).await?.ok_or_else(gone)?
            }
        };
        serde_json::from_str(&body).map_err(|error| {
            StoreError::Corrupt(format!("value {} does not read: {error}", reference.digest()))
        })
    }
}

/// The status of a run whose row knows nothing of its children: where each step that has begun and not ended waits for
/// one that only a person can move, so does the run.
fn shown_status(row: &RunRow, steps: &[StepReport], waiting_for: &[Waiting]) -> String {
    let mut open = steps
        .iter()
        .filter(|step| !matches!(step.status, "pending" | "completed" | "failed" | "skipped" | "cancelled"));
    let has_children = steps.iter().any(|step| step.child.is_some() && step.status == "waiting");
    let items = |step: &StepReport| {
        step.item.is_none() && steps.iter().any(|of| of.id == step.id && of.item.is_some())
    };
    let all_wait =
        open.all(|step| matches!(step.status, "waiting" | "outcome_unknown" | "blocked") || items(step));
    let blocked = has_children && all_wait && waiting_for.iter().all(Waiting::needs_someone);
    if blocked && &*row.status == "running" { "blocked".to_owned() } else { row.status.to_string() }
}

impl StepReport {
    /// What it is called where a step is named: `build`, `build[3]`.
    #[must_use]
    pub fn name(&self) -> String {
        unit_name(&self.id, self.item)
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.finished_at.is_some()
    }

    fn untouched(name: &Arc<str>, stage: &'static str, status: &'static str) -> Self {
        Self {
            id: name.clone(),
            item: None,
            stage,
            status,
            attempts: 0,
            effect: None,
            started_at: None,
            finished_at: None,
            due_at: None,
            output: Value::Null,
            error: None,
            child: None,
        }
    }
}

impl RunReport {
    /// Whether the run has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.finished_at.is_some()
    }

    /// The output of a step, as a type of yours.
    ///
    /// # Errors
    /// If there is no such step, or its output is not of that type.
    pub fn output<T: serde::de::DeserializeOwned>(&self, step: &str) -> Result<T, serde_json::Error> {
        let found = self.steps.iter().find(|report| &*report.id == step);
        let output = found.map_or(Value::Null, |report| report.output.clone());
        serde_json::from_value(output)
    }
}
