//! Stand-alone tasks: runs of a workflow of one step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::engine::registry::Registry;
use crate::engine::start::StartRun;
use crate::engine::task::said::{MAX_DEPENDENCIES, MAX_TITLE, TaskBrief, TaskType, fault_of_labels};
use crate::id::RunId;
use crate::spec::retry::{Backoff, RetryPolicy};
use crate::spec::{
    DEFAULT_WORKSPACE, Diagnostics, Input, MAX_WORKSPACE, Paths, TASK_KIND, Workflow, duration, is_queue_name,
};

/// The name of the workflow of stand-alone tasks.
pub const TASK_WORKFLOW: &str = "task";

/// The queue of stand-alone tasks that name none.
pub const TASK_QUEUE: &str = "tasks";

/// The step of a stand-alone task.
const STEP: &str = "work";

/// The wait before a task that has failed can be claimed again.
const AGAIN: Duration = Duration::from_secs(1);

/// A stand-alone task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// What is to be done, in a line of at most [`crate::engine::MAX_TITLE`] bytes.
    pub title: String,
    /// All that whoever claims it has to know.
    pub prompt: String,
    /// What kind of work it is.
    pub kind: TaskType,
    /// Words to find it by.
    pub labels: BTreeMap<String, String>,
    /// Runs that have to complete before anybody can claim it.
    pub depends_on: Vec<RunId>,
    /// Anything else that whoever claims it is given.
    pub data: Value,
    /// The queue in which it waits; a name as queues have them.
    pub queue: String,
    /// What whoever claims it must have: every label, with that value.
    pub requires: BTreeMap<String, String>,
    /// How long a claim lasts that nobody renews: [`crate::engine::MIN_TTL`] to [`crate::engine::MAX_TTL`].
    pub claim_ttl: Duration,
    /// Paths that nobody else may write while it is claimed.
    pub reads: Vec<String>,
    /// Paths that nobody else may read or write while it is claimed.
    pub writes: Vec<String>,
    /// The workspace of these paths.
    pub workspace: String,
    /// How many attempts it has: claims that are lost, and ends that are said to be failures. 1 to
    /// [`crate::spec::retry::MAX_ATTEMPTS`]. `None`: a failure is its end, and the third lost claim makes somebody look at it.
    pub attempts: Option<u32>,
    /// How long it may take in all, from its creation on.
    pub deadline: Option<Duration>,
    /// Larger is sooner: each point is a minute's head start.
    pub priority: i32,
    /// The tenant.
    pub project: Arc<str>,
    /// Who creates it.
    pub by: Arc<str>,
    /// Creates at most one task per key and project; 1 to 255 bytes.
    pub key: Option<Arc<str>>,
}

impl NewTask {
    /// A task that says what is to be done and nothing else.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            prompt: String::new(),
            kind: TaskType::default(),
            labels: BTreeMap::new(),
            depends_on: Vec::new(),
            data: Value::Null,
            queue: TASK_QUEUE.to_owned(),
            requires: BTreeMap::new(),
            claim_ttl: super::DEFAULT_TTL,
            reads: Vec::new(),
            writes: Vec::new(),
            workspace: DEFAULT_WORKSPACE.to_owned(),
            attempts: None,
            deadline: None,
            priority: 0,
            project: Arc::from(StartRun::DEFAULT_PROJECT),
            by: Arc::from("host"),
            key: None,
        }
    }

    /// The workflow of which it is a run: few texts, whatever the tasks say.
    fn workflow(&self, plugins: &Registry) -> Result<Workflow, Diagnostics> {
        let given = |name: &str| format!("${{{{ inputs.{name} }}}}");
        let fields = ["title", "prompt", "type", "labels", "depends_on", "claim_ttl", "data"];
        let with: Map<String, Value> =
            fields.iter().map(|name| ((*name).to_owned(), given(name).into())).collect();
        let paths = ["read", "write", "workspace"].map(|name| (name.to_owned(), given(name).into()));
        let paths: Map<String, Value> = paths.into_iter().collect();
        let mut builder = Workflow::builder(TASK_WORKFLOW)
            .description("A task: whoever claims it does it")
            .input("title", Input::string())
            .input("prompt", Input::string().default(""))
            .input("type", Input::string().default(TaskType::default().as_str()))
            .input("labels", Input::object().default(json!({})))
            .input("depends_on", Input::array().default(json!([])))
            .input("claim_ttl", Input::string())
            .input("data", Input::any().default(Value::Null))
            .input("read", Input::array().default(json!([])))
            .input("write", Input::array().default(json!([])))
            .input("workspace", Input::string().default(DEFAULT_WORKSPACE));
        if let Some(deadline) = self.deadline {
            builder = builder.deadline(deadline);
        }
        let builder = builder.step(STEP, |step| {
            let mut step = step.uses(TASK_KIND).with(with).paths(paths).queue(&*self.queue);
            if !self.requires.is_empty() {
                step = step.labels(self.requires.clone());
            }
            if let Some(max_attempts) = self.attempts {
                let (initial, max) = (AGAIN, AGAIN);
                let on = Vec::new();
                step = step.retry(RetryPolicy { max_attempts, backoff: Backoff::Fixed, initial, max, on });
            }
            step
        });
        builder.build(plugins)
    }

    /// Why it can be no task, if it cannot.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.title.trim().is_empty() || self.title.len() > MAX_TITLE {
            return Some(format!("a title has 1 to {MAX_TITLE} bytes"));
        }
        if let Some(fault) = [&self.labels, &self.requires].into_iter().find_map(fault_of_labels) {
            return Some(fault);
        }
        if self.depends_on.len() > MAX_DEPENDENCIES {
            return Some(format!("a task depends on {MAX_DEPENDENCIES} runs at most"));
        }
        if !is_queue_name(&self.queue) {
            let rule = "a name has 1 to 64 letters, digits, `_`, `-` and `.`";
            return Some(format!("`{}` cannot be the name of a queue: {rule}", self.queue));
        }
        if self.workspace.is_empty() || self.workspace.len() > MAX_WORKSPACE {
            return Some(format!("the name of a workspace has 1 to {MAX_WORKSPACE} bytes"));
        }
        TaskBrief::check_ttl(self.claim_ttl).err().or_else(|| Paths::new(&self.reads, &self.writes).err())
    }

    /// What is to be started.
    pub(crate) fn into_start(self, plugins: &Registry) -> Result<StartRun, Diagnostics> {
        let workflow = self.workflow(plugins)?;
        let depends_on: Vec<String> = self.depends_on.iter().map(ToString::to_string).collect();
        let mut start = StartRun::new(workflow)
            .input("title", self.title)
            .input("prompt", self.prompt)
            .input("type", self.kind.as_str())
            .input("labels", json!(self.labels))
            .input("depends_on", json!(depends_on))
            .input("claim_ttl", duration::print(self.claim_ttl))
            .input("data", self.data)
            .input("read", json!(self.reads))
            .input("write", json!(self.writes))
            .input("workspace", self.workspace)
            .project(self.project)
            .priority(self.priority)
            .by(self.by);
        for (name, value) in self.labels {
            start = start.label(name, value);
        }
        Ok(match self.key {
            Some(key) => start.idempotency_key(key),
            None => start,
        })
    }
}
