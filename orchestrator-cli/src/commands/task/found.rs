//! Which tasks are meant, and why nothing was done to one.

use std::time::Duration;

use orchestrator_core::engine::{FindTasks, TaskError};
use orchestrator_core::id::OwnerId;
use orchestrator_core::value::VALUE_LIMIT;
use serde_json::Value;

use crate::app::{App, no_run};
use crate::args::{ClaimedRef, TaskWhich};
use crate::commands::run::refused as not_started;
use crate::exit::Exit;
use crate::inputs::pairs;
use crate::output::{Problem, escape};
use crate::span::parse_duration;
use crate::{source, store};

/// How often it is looked for claims that are over, which nothing tells of.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// What the arguments ask for.
pub(super) fn find(which: &TaskWhich) -> Result<FindTasks, Problem> {
    Ok(FindTasks {
        queues: which.queues.iter().map(|queue| queue.as_str().into()).collect(),
        kinds: which.kinds.clone(),
        labels: pairs("--label", &which.labels)?,
        has: pairs("--has", &which.has)?,
        ..FindTasks::default()
    })
}

/// A duration that a flag gives.
pub(super) fn duration(flag: &str, text: &str) -> Result<Duration, Problem> {
    parse_duration(text).map_err(|why| Problem::new(Exit::Usage, "usage", format!("{flag}: {why}")))
}

/// The claim of a task that is meant.
pub(super) struct Named {
    pub(super) task: String,
    pub(super) token: OwnerId,
    /// How long it lasts without renewal, if that is said.
    pub(super) ttl: Option<Duration>,
}

/// The task that is named, and its claim.
pub(super) fn claim(claimed: &ClaimedRef) -> Result<Named, Problem> {
    let (task, token, ttl) = match &claimed.claim {
        None => (claimed.task.clone().unwrap_or_default(), claimed.token.clone().unwrap_or_default(), None),
        Some(file) => {
            let source = source::read(file, VALUE_LIMIT as u64, "claim")?;
            let said: Value = serde_json::from_slice(&source.bytes).unwrap_or_default();
            let text = |name: &str| said[name].as_str().map(str::to_owned);
            let ttl = said["ttl_ms"].as_u64().map(Duration::from_millis);
            let named = text("run_id").zip(text("token")).map(|(task, token)| (task, token, ttl));
            named.ok_or_else(|| {
                let title = format!("{} does not hold what `task claim --json` says", source.name);
                let problem = Problem::new(Exit::Invalid, "invalid_input", title);
                if source.bytes.is_empty() {
                    problem.hint("it is empty: nothing was claimed")
                } else {
                    problem
                }
            })?
        }
    };
    let token = token.parse().map_err(|_| {
        let title =
            format!("`{}` is no token: those are `own_` and 32 hexadecimal digits", escape::line(&token));
        Problem::new(Exit::Usage, "usage", title).hint("`task claim` gives it, with --json as `token`")
    })?;
    Ok(Named { task, token, ttl })
}

/// Why nothing was done.
pub(super) fn refused(app: &App, error: TaskError) -> Problem {
    match error {
        TaskError::Start(error) => not_started(app, error, "a task"),
        TaskError::NotFound(run) => no_run(&run.to_string()).tries(app.shell.command("task list")),
        TaskError::NotOpen { run, .. } => Problem::new(Exit::Conflict, "task_not_open", error.to_string())
            .tries(app.shell.command(&format!("task show {run}"))),
        TaskError::Obstructed { .. } => Problem::new(Exit::Conflict, "task_not_free", error.to_string())
            .tries(app.shell.command("task ready")),
        TaskError::Over { .. } => Problem::new(Exit::Conflict, "claim_over", error.to_string())
            .hint("whatever was done for it does not count; stop, and claim it again if it is open"),
        TaskError::Invalid(_) => Problem::new(Exit::Invalid, "invalid_input", error.to_string()),
        TaskError::Store(error) => store::of_error(&error),
        error => Problem::new(Exit::Conflict, "rejected", error.to_string()),
    }
}
