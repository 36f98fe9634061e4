//! The stable JSON shapes that are not a run's report: events, log lines, items of lists. Keys may be added.

use orchestrator_core::id::{OwnerId, RunId, TransitionId, Unit};
use orchestrator_core::machine::Recorded;
use orchestrator_core::port::store::{ApprovalRow, NumberedLine, RunRow};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::names::Names;

/// An event, one a line.
#[derive(Debug, Serialize)]
pub(crate) struct EventShape<'a> {
    run_id: RunId,
    seq: u64,
    at: Timestamp,
    kind: &'static str,
    step: Option<&'a str>,
    item: Option<u32>,
    attempt: Option<u32>,
    epoch: Option<u64>,
    owner: Option<OwnerId>,
    transition_id: TransitionId,
    data: Map<String, Value>,
}

/// A line of output, one a line.
#[derive(Debug, Serialize)]
pub(crate) struct LineShape<'a> {
    run_id: RunId,
    number: u64,
    at: Timestamp,
    step: Option<&'a str>,
    item: Option<u32>,
    attempt: u32,
    stream: &'static str,
    text: &'a str,
}

/// A list, or a part of one.
#[derive(Debug, Serialize)]
pub(crate) struct ListShape<T> {
    pub(crate) items: Vec<T>,
    /// What to give as `--after` to go on.
    pub(crate) next: Option<String>,
}

/// A run in a list: what `runs show` gives, without its long parts.
#[derive(Debug, Serialize)]
pub(crate) struct RunItem<'a> {
    run_id: RunId,
    /// The run whose step it carries out, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<RunId>,
    workflow: &'a str,
    revision: Digest,
    status: &'a str,
    by: &'a str,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
    generation: u32,
    seq: u64,
    error: Option<&'a str>,
    labels: &'a std::collections::BTreeMap<String, String>,
    priority: i32,
    project: &'a str,
    done: u32,
    total: u32,
}

/// An approval in a list.
#[derive(Debug, Serialize)]
pub(crate) struct ApprovalItem<'a> {
    run_id: RunId,
    step: &'a str,
    item: Option<u32>,
    attempt: u32,
    status: &'static str,
    message: &'a str,
    digest: Digest,
    asked_at: Timestamp,
    expires_at: Option<Timestamp>,
    decided_at: Option<Timestamp>,
    by: Option<&'a str>,
    via: Option<&'a str>,
    comment: Option<&'a str>,
}

impl<'a> EventShape<'a> {
    /// An event of a run.
    pub(crate) fn new(run: RunId, recorded: &Recorded, names: &'a Names) -> Self {
        let event = &recorded.event;
        let body = event.body().ok().and_then(|body| serde_json::from_str(&body).ok());
        Self {
            run_id: run,
            seq: recorded.seq,
            at: recorded.at,
            kind: event.kind(),
            step: event.unit().map(|unit| names.step(unit.step)),
            item: event.unit().and_then(Unit::item),
            attempt: event.attempt(),
            epoch: event.epoch(),
            owner: event.fence().map(|(_, owner)| owner),
            transition_id: recorded.transition,
            data: data(body.unwrap_or_default(), names),
        }
    }
}

/// The rest of an event's body: without what stands beside it, with names in place of positions, and values as JSON.
fn data(mut body: Map<String, Value>, names: &Names) -> Map<String, Value> {
    for key in ["step", "attempt", "epoch", "owner"] {
        body.remove(key);
    }
    for (key, value) in &mut body {
        match (key.as_str(), &mut *value) {
            ("steps", Value::Array(steps)) => {
                for step in steps {
                    if let Ok(unit) = serde_json::from_value::<Unit>(step.clone()) {
                        *step = Value::from(&*names.of(unit));
                    }
                }
            }
            _ => plain_value(value),
        }
    }
    body
}

/// `{"inline": "TEXT"}` becomes `{"value": …}`, `{"stored": {…}}` becomes `{"digest": …, "len": …}`.
fn plain_value(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    if let [(key, inner)] = fields.iter().collect::<Vec<_>>().as_slice() {
        match (key.as_str(), inner) {
            ("inline", Value::String(text)) => {
                *value = json!({ "value": serde_json::from_str::<Value>(text).unwrap_or(Value::Null) });
                return;
            }
            ("stored", Value::Object(_)) => {
                *value = Value::clone(inner);
                return;
            }
            _ => {}
        }
    }
    fields.values_mut().for_each(plain_value);
}

impl<'a> LineShape<'a> {
    /// A line of a run.
    pub(crate) fn new(run: RunId, numbered: &'a NumberedLine, names: &'a Names) -> Self {
        Self {
            run_id: run,
            number: numbered.number,
            at: numbered.line.at,
            step: Some(names.step(numbered.line.step)),
            item: numbered.line.item,
            attempt: numbered.line.attempt,
            stream: numbered.line.stream.as_str(),
            text: &numbered.line.text,
        }
    }
}

impl<'a> From<&'a RunRow> for RunItem<'a> {
    fn from(row: &'a RunRow) -> Self {
        Self {
            run_id: row.run,
            parent: row.new.parent.map(|parent| parent.run),
            workflow: &row.new.workflow,
            revision: row.new.revision,
            status: &row.status,
            by: &row.new.by,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            due_at: row.due_at,
            generation: row.generation,
            seq: row.seq,
            error: row.error.as_deref(),
            labels: &row.new.labels,
            priority: row.new.priority,
            project: &row.new.project,
            done: row.done,
            total: row.new.steps,
        }
    }
}

impl<'a> From<&'a ApprovalRow> for ApprovalItem<'a> {
    fn from(row: &'a ApprovalRow) -> Self {
        Self {
            run_id: row.run,
            step: &row.name,
            item: row.item,
            attempt: row.attempt,
            status: row.status,
            message: &row.message,
            digest: row.digest,
            asked_at: row.asked_at,
            expires_at: row.expires_at,
            decided_at: row.decided_at,
            by: row.by.as_deref(),
            via: row.via.as_deref(),
            comment: row.comment.as_deref(),
        }
    }
}
