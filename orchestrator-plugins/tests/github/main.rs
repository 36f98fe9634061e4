//! The plugin `github` against a double of GitHub, which keeps what it is told.

mod app;
mod checks;
mod comment;
#[path = "../double/mod.rs"]
mod double;
mod engine;
mod hostile;
mod logs;
mod merge;
mod open;
mod place;
mod refused;
#[path = "../stage/mod.rs"]
mod stage;
