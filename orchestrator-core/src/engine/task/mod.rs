//! Tasks: work that people, agents and scripts claim from outside, renew, and end. A stand-alone task is a run with one step.

mod claim;
mod create;
mod end;
mod look;
mod plugin;
mod said;
mod tend;

pub use claim::{ClaimTask, ClaimedTask};
pub use create::{NewTask, TASK_QUEUE, TASK_WORKFLOW};
pub use end::{Heartbeat, TaskEnd, TaskRight};
pub use look::{FindTasks, Obstacle, OpenTask, read_tasks};
pub(crate) use plugin::TaskKind;
pub use said::{DEFAULT_TTL, MAX_DEPENDENCIES, MAX_TITLE, MAX_TTL, MIN_TTL, TaskBrief, TaskType};

use crate::engine::error::{CommandError, DriveError, StartError};
use crate::id::RunId;
use crate::port::store::StoreError;

/// Why nothing was done to a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It cannot be created.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// Nothing of the run can be claimed.
    #[error("{run} {why}")]
    NotOpen {
        /// The run.
        run: RunId,
        /// What it is.
        why: String,
    },
    /// Something is in the way of who would claim it.
    #[error("{run} cannot be claimed now: {why}")]
    Obstructed {
        /// The run.
        run: RunId,
        /// What.
        why: String,
    },
    /// The claim is over: it was not renewed in time, or the task was taken back, or it has ended.
    #[error("the claim of {run} is over: {why}")]
    Over {
        /// The run.
        run: RunId,
        /// Why, as far as that is known.
        why: String,
    },
    /// Something that was said cannot be kept.
    #[error("{0}")]
    Invalid(String),
    /// The run was being changed by others all the time.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Nobody could see to it.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
