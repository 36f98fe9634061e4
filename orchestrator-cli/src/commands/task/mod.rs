//! `task …`: work that people, agents and scripts claim.

mod claim;
mod create;
mod dispatch;
mod end;
mod found;
mod list;
mod ready;
mod watch;

pub(crate) use dispatch::carry_out;
