//! `git`: works on git repositories, with the program `git`.

mod action;
mod address;
mod call;
mod clone;
mod commit;
mod complaint;
mod diff;
mod fetch;
mod merge;
mod name;
mod plugin;
mod process;
mod push;
mod remote;
mod repository;
mod schema;
mod tame;
mod worktree;

pub use plugin::Git;
