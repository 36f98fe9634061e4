//! The formats in which servers are asked and answer.

mod chat;
mod format;
mod messages;
mod responses;

pub(super) use format::{Api, Asked, Wire};
