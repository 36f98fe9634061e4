//! Runs every example as a reader would, through the built binary, and checks what comes of it.

mod approval;
mod bench;
#[path = "../../../orchestrator-plugins/tests/double/mod.rs"]
mod double;
mod fan_out;
mod fix_and_pr;
mod github;
mod host;
mod killed;
mod notes;
mod own_store;
mod poll;
mod qa_gate;
mod retry;
mod saga;
mod service;
mod shape;
mod signal;
mod sub_workflow;
mod typed_steps;
