//! The plugin `git` on real repositories.

mod actions;
mod commit;
mod hostile;
mod login;
mod merge;
mod options;
mod place;
mod push;
#[path = "../stage/mod.rs"]
mod stage;
