//! `queue …`: where steps wait for workers, and whether anything begins from there.

mod count;
mod dead;
mod dispatch;
mod list;
mod steer;

pub(crate) use dead::count as count_dead;
pub(crate) use dispatch::carry_out;
