//! When runs are started by the time of day: what a schedule says, and which of its times are due. No clock, and no store.
//!
//! Cron expressions are read and reckoned with the feature `schedule`, which brings `croner` and the data of time zones. What
//! a schedule is stands without it, so that every program reads what another has kept.

#[cfg(feature = "schedule")]
mod cron;
mod due;
#[cfg(feature = "schedule")]
mod fault;
mod model;
#[cfg(test)]
mod tests;

#[cfg(feature = "schedule")]
pub use cron::Cron;
pub use due::{CATCH_UP, Due, GRACE, due};
#[cfg(feature = "schedule")]
pub use fault::CronFault;
pub use model::{
    Failing, KIND, MAX_SCHEDULE_NAME, Missed, Overlap, Past, Schedule, is_schedule_name, name_in_text,
};
