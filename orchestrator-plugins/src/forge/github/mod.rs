//! `github`: pull requests, checks and logs on GitHub.

mod app;
mod hub;
mod plugin;
mod wire;

pub use plugin::Github;
