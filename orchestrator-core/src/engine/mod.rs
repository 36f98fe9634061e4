//! The shell around the machine: drives runs, executes attempts, commits. Names no backend.

mod attempt;
mod batch;
mod builder;
mod committer;
mod control;
mod driver;
mod error;
mod expand;
mod follow;
mod fork;
mod handle;
mod judge;
mod lines;
mod loaded;
mod member;
mod note;
mod owner;
mod prepare;
mod registry;
mod report;
mod shared;
mod start;
mod step_fn;
mod values;
mod watch;

pub use builder::EngineBuilder;
pub use error::{CommandError, DriveError, ForkError, StartError};
pub use fork::{FORKED_FROM, ForkRun};
pub use handle::{Engine, Live, Progress, Receipt, RunHandle};
pub use registry::Registry;
pub use report::{RunReport, StepReport, Waiting, read_outline, read_report};
pub use start::StartRun;
pub use step_fn::{StepFailure, quick_step_fn, step_fn};
