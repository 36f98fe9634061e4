//! One file per verb.

mod approval;
mod config;
mod dispatch;
mod doctor;
pub(crate) mod init;
mod plan;
mod plugins;
mod run;
mod runs;
mod validate;
mod version;

pub(crate) use dispatch::carry_out;
