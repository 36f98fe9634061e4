//! The stable JSON shapes of tasks. Keys may be added.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::engine::{Obstacle, OpenTask, TaskType};
use orchestrator_core::id::{OwnerId, RunId};
use orchestrator_core::machine::PATHS;
use orchestrator_core::port::store::HoldRow;
use orchestrator_core::spec::Glob;
use orchestrator_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A stand-alone task, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TaskItem {
    pub(crate) run_id: RunId,
    pub(crate) title: String,
    #[serde(rename = "type")]
    pub(crate) kind: TaskType,
    /// `queued`, `blocked`, `claimed`, `paused`, `completed`, `failed` or `cancelled`.
    pub(crate) status: String,
    pub(crate) priority: i32,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) depends_on: Vec<String>,
    pub(crate) project: Arc<str>,
    pub(crate) by: Arc<str>,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) attempts: u32,
    /// Who has claimed it.
    pub(crate) claimed_by: Option<String>,
    /// When that claim ends if nobody renews it.
    pub(crate) claimed_until: Option<Timestamp>,
    /// What is in the way of claiming it.
    pub(crate) why: Option<String>,
    pub(crate) error: Option<String>,
}

/// A stand-alone task, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct TaskShape {
    #[serde(flatten)]
    pub(crate) item: TaskItem,
    pub(crate) prompt: String,
    pub(crate) data: Value,
    pub(crate) queue: Option<Arc<str>>,
    pub(crate) requires: BTreeMap<String, String>,
    pub(crate) claim_ttl: String,
    pub(crate) paths: Value,
    pub(crate) output: Value,
}

/// A task that can be claimed, stand-alone or a step of a workflow; or, with what is in the way, one that cannot.
#[derive(Debug, Serialize)]
pub(crate) struct ReadyItem {
    pub(crate) run_id: RunId,
    pub(crate) step: Arc<str>,
    pub(crate) workflow: Arc<str>,
    pub(crate) title: Arc<str>,
    #[serde(rename = "type")]
    pub(crate) kind: TaskType,
    pub(crate) priority: i32,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) requires: BTreeMap<String, String>,
    pub(crate) queue: Arc<str>,
    /// Since when it is open.
    pub(crate) since: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) why: Option<String>,
}

/// A task that was claimed.
#[derive(Debug, Serialize)]
pub(crate) struct ClaimedShape {
    #[serde(flatten)]
    pub(crate) task: ReadyItem,
    /// What renews the claim and ends the task.
    pub(crate) token: OwnerId,
    pub(crate) until: Timestamp,
    pub(crate) ttl_ms: u64,
    pub(crate) prompt: Arc<str>,
    pub(crate) data: Value,
    /// The paths that are nobody else's until it ends.
    pub(crate) paths: Option<HeldPaths>,
}

/// Paths of a workspace that a task holds.
#[derive(Debug, Serialize)]
pub(crate) struct HeldPaths {
    pub(crate) workspace: String,
    pub(crate) read: Vec<String>,
    pub(crate) write: Vec<String>,
}

impl HeldPaths {
    /// Those among what is held.
    pub(crate) fn of(holds: &[HoldRow]) -> Option<Self> {
        let (key, paths) = holds.iter().find_map(|row| Some((&row.key, row.paths.as_ref()?)))?;
        let texts = |globs: &[Glob]| globs.iter().map(|glob| glob.as_str().to_string()).collect();
        let workspace = key.strip_prefix(PATHS).unwrap_or(key).to_owned();
        Some(Self { workspace, read: texts(paths.read()), write: texts(paths.write()) })
    }
}

impl From<OpenTask> for ReadyItem {
    fn from(task: OpenTask) -> Self {
        Self {
            run_id: task.ticket.run,
            step: task.brief.step,
            workflow: task.brief.workflow,
            title: task.brief.title,
            kind: task.brief.kind,
            priority: task.priority,
            labels: task.brief.labels,
            requires: task.requires,
            queue: task.queue,
            since: task.since,
            attempt: task.ticket.attempt,
            why: task.obstacle.as_ref().map(Obstacle::to_string),
        }
    }
}
