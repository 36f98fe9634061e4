//! One file per verb.

mod approval;
mod completions;
mod config;
mod dispatch;
mod doctor;
pub(crate) mod init;
mod man;
mod plan;
mod plugins;
mod run;
mod runs;
mod schema;
mod upkeep;
mod validate;
mod version;
mod workflow;

pub(crate) use dispatch::carry_out;
