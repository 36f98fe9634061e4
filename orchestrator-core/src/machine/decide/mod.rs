//! The only place that knows what may happen.

mod attempt;
mod child;
mod command;
mod end;
mod entry;
mod fork;
mod guard;
mod offer;
mod qa;
mod retry;
mod signal;
mod steer;

pub use command::decide;
pub(crate) use command::decide_into;
pub use fork::{fork, fork_failed, fork_inside};
