//! The command line of orchestrator.

mod app;
mod args;
mod bell;
mod below;
mod commands;
mod confined;
mod drive;
mod exit;
mod files;
mod find;
mod folder;
mod graph;
mod inputs;
mod names;
mod output;
mod outside;
mod prices;
mod progress;
mod registered;
mod report;
mod runtime;
mod secrets;
mod settings;
mod shell;
mod signals;
mod situation;
mod source;
mod span;
mod start;
mod store;
mod user;
mod watch;
mod workflow;

fn main() -> std::process::ExitCode {
    // Before there is any thread.
    orchestrator_plugins::confine_if_asked();
    start::start().into()
}
