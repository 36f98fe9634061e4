//! `schedule …`: when runs are started by the time of day.

mod create;
mod dispatch;
mod list;
mod named;
mod show;
mod steer;

pub(crate) use dispatch::carry_out;
