//! `runs …`: looking at runs and steering them.

mod dispatch;
mod events;
mod fork;
mod list;
mod logs;
mod pages;
mod qa;
mod resume;
mod retry;
mod show;
mod signal;
pub(crate) mod steer;
mod tail;
mod wait;
mod watch;

pub(crate) use dispatch::carry_out;
pub(crate) use steer::refused;
pub(crate) use tail::Changes;
