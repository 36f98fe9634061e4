//! What the outside provides: a store, a queue, plugins, a policy. Traits and plain data; no driver's type, no clock.

pub mod artifact;
pub mod evidence;
pub mod executor;
pub mod notice;
pub mod plugin;
pub mod policy;
pub mod queue;
pub mod secret;
mod stop;
pub mod store;
