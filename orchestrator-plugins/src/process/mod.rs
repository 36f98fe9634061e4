//! Kinds of steps that executables bring: they speak JSON, a line a message, over their standard streams.

mod conversation;
mod host;
mod manifest;
mod message;
mod plugin;
mod refusal;

pub use plugin::Process;
pub use refusal::NotAPlugin;
