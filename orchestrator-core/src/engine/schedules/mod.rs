//! Schedules: documents that say when runs of a registered workflow are started, and the engine that starts them.
//!
//! Of every time there is one run, however many engines look: it is started under a key made of the schedule and the time,
//! and only then is the schedule moved on. Who dies between the two leaves it to the next, who is told of the same run.

mod fire;
mod of_text;
mod stored;
mod watch;

pub use of_text::{Synced, sync_schedules};
pub use stored::{StoredSchedule, read_schedules};
pub(crate) use watch::watch_schedules;
