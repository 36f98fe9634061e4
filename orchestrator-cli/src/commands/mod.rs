//! One file per verb.

mod approval;
mod asked;
mod completions;
mod config;
mod dispatch;
mod doctor;
mod graph;
pub(crate) mod init;
mod man;
mod past;
mod plan;
mod plugins;
mod queue;
mod run;
mod runs;
mod schedule;
mod schema;
mod task;
mod upkeep;
mod validate;
mod version;
mod worker;
mod workflow;

pub(crate) use dispatch::carry_out;
pub(crate) use graph::write as write_file;
pub(crate) use run::{carry_out as carry_out_run, prepare as prepare_run};
