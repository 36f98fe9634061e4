//! `worker`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Drives runs that others have started, until it is told to stop.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  orchestrator run notes.yaml --detach --store postgres://me@db/flows
  orchestrator worker --store postgres://me@db/flows
  orchestrator worker --queue gpu --label zone=eu
  orchestrator worker list

A worker takes up every run that is due and that nobody alive drives; several share the work, on one machine or on
many, with one store. Steps start in a folder of their run below --workspaces.

It executes the steps of the queues that it serves (`queue: gpu` in a step), whoever drives their runs, and offers to
other workers what it does not serve or has no slot for. A step that says nothing is of the queue `default`.

It starts the runs of schedules (`orchestrator schedule`) whose time has come: one for each time, however many \
workers there are.

SIGTERM and Ctrl-C drain it: it begins nothing new, gives running steps time to end, lets go of its runs, and ends;
another worker goes on with them. A second signal ends it at once. If it dies, others take up its runs when its
time is over (--ttl).

Exit codes: 0 never, 2 usage, 7 store unavailable, 130 and 143 stopped by a signal.")]
pub(crate) struct Worker {
    #[command(subcommand)]
    pub(crate) command: Option<WorkerCommand>,

    /// A queue whose steps it executes, also for runs that others drive; may be repeated [default: default]
    #[arg(long = "queue", value_name = "NAME")]
    pub(crate) queues: Vec<String>,

    /// What it has: steps that ask for labels go to workers that have all of them; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,

    /// Most steps at once [default: 64; env: ORCHESTRATOR_SLOTS]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) slots: Option<u16>,

    /// How long running steps may take to end after Ctrl-C or SIGTERM [default: 10s; env: ORCHESTRATOR_GRACE]
    #[arg(long, value_name = "DURATION")]
    pub(crate) grace: Option<String>,

    /// How long it counts as alive when nothing is heard of it [default: 30s; env: ORCHESTRATOR_TTL]
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,

    /// Folder for the workspaces of runs [default: .orchestrator-workspaces, here or above]
    #[arg(long, value_name = "DIR")]
    pub(crate) workspaces: Option<PathBuf>,

    /// File of secrets: NAME=VALUE lines, or a folder of files [default: .orchestrator/secrets.env; env:
    /// ORCHESTRATOR_SECRETS_FILE]
    #[arg(long, value_name = "PATH")]
    pub(crate) secrets_file: Option<String>,
}

/// What can be asked of workers.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Every process that uses the store now, with how many runs it drives
    #[command(after_help = "\
Example:
  orchestrator worker list --json

Exit codes: 0 listed, 4 there is no store yet, 7 store unavailable.")]
    List,
}
