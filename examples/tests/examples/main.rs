//! Runs every example as a reader would, through the built binary, and checks what comes of it.

mod approval;
mod bench;
mod fan_out;
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
