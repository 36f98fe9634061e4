//! `plugins`: the kinds of steps there are.

mod dispatch;
mod look;
mod tools;
mod try_out;

pub(crate) use dispatch::carry_out;
