//! `runs …`: looking at runs and steering them.

mod dispatch;
mod events;
mod list;
mod logs;
mod resume;
mod show;
pub(crate) mod steer;
mod tail;
mod wait;

pub(crate) use dispatch::carry_out;
