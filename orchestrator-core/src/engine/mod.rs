//! The shell around the machine: drives runs, executes attempts, commits. Names no backend.

mod attempt;
mod attend;
mod batch;
mod begin;
mod builder;
mod case;
mod colleagues;
mod committer;
mod control;
mod delegate;
mod dispatch;
mod doorbell;
mod driver;
mod enqueue;
mod entry;
mod error;
mod evidence;
mod expand;
mod family;
mod fetch;
mod follow;
mod fork;
mod ground;
mod handle;
mod judge;
mod lease;
mod lines;
mod loaded;
mod member;
mod note;
mod occupancy;
mod offers;
mod order;
mod owner;
mod pins;
mod placed;
mod places;
mod prepare;
mod progress;
mod qa;
mod queues;
mod reconcile;
mod registry;
mod report;
mod room;
#[cfg(feature = "schedule")]
mod schedules;
mod serve;
mod shared;
mod signal;
mod stages;
mod start;
mod step_fn;
mod stranded;
mod task;
mod tasks;
mod turns;
mod values;
mod vault;
mod waiting;
mod waits;
mod watch;
mod work;

pub use builder::EngineBuilder;
pub use doorbell::RUNS_QUEUE;
pub use error::{CommandError, DriveError, ForkError, StartError};
pub use family::{RegisteredTexts, names_a_file};
pub use fork::{FORKED_FROM, ForkRun};
pub use handle::{Engine, Live, Progress, Receipt, RunHandle};
pub use queues::{PauseQueue, PausedQueue, QUEUE_KIND, pause_queue, paused_queues, resume_queue};
pub use registry::Registry;
pub use report::{RunReport, StepReport, read_outline, read_report};
#[cfg(feature = "schedule")]
pub use schedules::{StoredSchedule, Synced, read_schedules, sync_schedules};
pub use start::StartRun;
pub use step_fn::{StepFailure, quick_step_fn, step_fn};
pub use stranded::stranded;
pub use task::{
    ClaimTask, ClaimedTask, DEFAULT_TTL, FindTasks, Heartbeat, MAX_DEPENDENCIES, MAX_TITLE, MAX_TTL, MIN_TTL,
    NewTask, Obstacle, OpenTask, TASK_QUEUE, TASK_WORKFLOW, TaskBrief, TaskEnd, TaskError, TaskRight,
    TaskType, read_tasks,
};
pub use vault::MissingSecret;
pub use waiting::{Holder, Waiting};
pub use work::Work;
