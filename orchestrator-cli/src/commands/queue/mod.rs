//! `queue …`: where steps wait for workers, and whether anything begins from there.

mod count;
mod dispatch;
mod list;
mod steer;

pub(crate) use dispatch::carry_out;
