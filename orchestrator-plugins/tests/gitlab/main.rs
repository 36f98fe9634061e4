//! The plugin `gitlab` against a double of GitLab, which keeps what it is told.

mod checks;
#[path = "../double/mod.rs"]
mod double;
mod merge;
mod place;
mod requests;
#[path = "../stage/mod.rs"]
mod stage;
