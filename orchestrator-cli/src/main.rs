//! The command line of orchestrator.

mod app;
mod args;
mod commands;
mod drive;
mod exit;
mod files;
mod find;
mod inputs;
mod names;
mod output;
mod progress;
mod registered;
mod settings;
mod shell;
mod signals;
mod situation;
mod source;
mod span;
mod start;
mod store;
mod user;
mod workflow;

fn main() -> std::process::ExitCode {
    start::start().into()
}
