//! What can be typed, and what `--help` says about it.

mod approval;
mod global;
mod graph;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod page;
mod queue;
mod report;
mod run;
mod runs;
mod schedule;
mod spec;
mod task;
mod tools;
mod upkeep;
mod worker;
mod workflow;

use clap::{Parser, Subcommand};

pub(crate) use approval::{ApprovalCommand, Decision, ListApprovals};
pub(crate) use global::Global;
pub(crate) use graph::{DrawGraph, GraphFormat};
pub(crate) use queue::{DeadCommand, ListDead, QueueCommand};
pub(crate) use report::{ReportTo, Reports};
pub(crate) use run::{Drive, Run, Start};
pub(crate) use runs::{
    Ask, Begin, Cancel, Compensate, Events, Fork, ListRuns, Logs, Qa, Reason, Resolve, Resume, Retry, RunRef,
    RunsCommand, Show, Signal, Wait, Watch,
};
pub(crate) use schedule::{CreateSchedule, ListSchedules, ScheduleCommand};
pub(crate) use spec::{Init, Plan, PluginsCommand, TryOut, Validate};
pub(crate) use task::{
    ClaimTaskArgs, ClaimedRef, CompleteTask, CreateTask, HeartbeatTask, ListTasks, ReadyTasks, TaskCommand,
    TaskWhich, WatchTasks,
};
pub(crate) use tools::{Completions, Man, Schema};
pub(crate) use upkeep::{Backup, CopyStore, Prune, Restore, StoreCommand};
pub(crate) use worker::{Worker, WorkerCommand};
pub(crate) use workflow::{DiffWorkflow, Execute, ListWorkflows, Register, ShowWorkflow, WorkflowCommand};

/// Runs durable workflows written in YAML.
#[derive(Debug, Parser)]
#[command(
    name = "orchestrator",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = false,
    max_term_width = 100,
    after_help = "\
Begin with:
  orchestrator init                     a folder for state and a sample workflow
  orchestrator run hello.yaml           run it
  orchestrator runs list                what has run here

Exit codes:
  0  done                               5  denied
  1  the run has failed                 6  conflict: decided, ended or driven already
  2  wrong usage or configuration       7  store unavailable or incompatible
  3  invalid workflow or input          8  timed out or cancelled
  4  not found                          9  waits for someone: the next command is printed
  130, 143  stopped by Ctrl-C, SIGTERM

`orchestrator COMMAND --help` shows an example of each command."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a folder for state, and a sample workflow to begin with
    Init(Init),
    /// Run a workflow here, to its end
    Run(Run),
    /// Check workflows without running them
    Validate(Validate),
    /// Draw a workflow, or a run of one
    Graph(DrawGraph),
    /// Show what a run would do, without doing any of it
    Plan(Plan),
    /// Look at runs and steer them
    #[command(subcommand, arg_required_else_help = true)]
    Runs(RunsCommand),
    /// Keep workflows under names, and run them by name
    #[command(subcommand, arg_required_else_help = true)]
    Workflow(WorkflowCommand),
    /// Start runs of registered workflows at certain times
    #[command(subcommand, arg_required_else_help = true)]
    Schedule(ScheduleCommand),
    /// Work that people, agents and scripts claim
    #[command(subcommand, arg_required_else_help = true)]
    Task(TaskCommand),
    /// Drive runs that others have started, until told to stop
    Worker(Worker),
    /// See what waits for workers, and pause it
    #[command(subcommand, arg_required_else_help = true)]
    Queue(QueueCommand),
    /// See and decide what waits for a person's word
    #[command(subcommand, arg_required_else_help = true)]
    Approval(ApprovalCommand),
    /// The kinds of steps there are
    #[command(subcommand, arg_required_else_help = true)]
    Plugins(PluginsCommand),
    /// Print the schema of workflows, or install it for editors
    Schema(Schema),
    /// Check the installation, and say of every open run what it waits for
    #[command(after_help = "\
Example:
  orchestrator doctor

Exit codes: 0 nothing is broken, 1 something is. A run that waits is not broken.")]
    Doctor,
    /// Look at the store itself, or move it
    #[command(subcommand, arg_required_else_help = true)]
    Store(StoreCommand),
    /// Bring the tables of the store up to date
    #[command(after_help = "\
Example:
  orchestrator migrate

Every command does this when it opens a store; `migrate` does only this, and says what it did. All or nothing.

Exit codes: 0 up to date, 4 there is no store yet, 7 a newer version has changed the store, or it is unavailable.")]
    Migrate,
    /// Copy the store into a file, while it is in use
    Backup(Backup),
    /// Put a backup in the place of the store
    Restore(Restore),
    /// Remove runs that ended long ago
    Prune(Prune),
    /// The configuration in force
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Show versions, and whether commits survive a power loss
    #[command(after_help = "\
Example:
  orchestrator version --json")]
    Version,
    /// Print what a shell needs to complete commands
    Completions(Completions),
    /// Print or write manual pages
    Man(Man),
}

/// What can be asked of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting, its value and where the value comes from
    #[command(after_help = "\
Settings are taken from, the later winning: defaults, `.orchestrator/config.toml` in this folder or
the nearest one above it, the environment, flags.

Example:
  orchestrator config show --json

Exit codes: 0, 2 if a setting is wrong, 3 if others can write to a file that names what is started.")]
    Show,
}
