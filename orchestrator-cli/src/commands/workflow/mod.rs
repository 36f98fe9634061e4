//! `workflow …`: texts kept under names.

mod diff;
mod dispatch;
mod execute;
mod list;
mod register;
mod show;

pub(crate) use dispatch::carry_out;
