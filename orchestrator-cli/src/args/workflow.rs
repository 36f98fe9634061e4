//! `workflow …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::run::Start;

/// What can be asked of registered workflows.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowCommand {
    /// Keep workflows under their names; each changed text is a new revision
    Register(Register),
    /// List registered workflows
    List(ListWorkflows),
    /// Show a registered workflow: its revisions and its text
    Show(ShowWorkflow),
    /// Show what differs between two revisions
    Diff(DiffWorkflow),
    /// Run a registered workflow here, to its end
    Execute(Execute),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator workflow register flows/*.yaml
  orchestrator workflow register build.yaml --name nightly --expect 3

A text that is the latest revision already changes nothing. All files are checked before any is registered. The \
schedules of a text (`on: schedule:`) hold from here on, in place of those of the revision before.

Exit codes: 0 registered (also if nothing is new), 3 invalid workflow, 4 no such file, 6 the latest revision is \
not the expected one, 7 store unavailable.")]
pub(crate) struct Register {
    /// Workflow files; `-` reads stdin
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Name to keep it under [default: its own]; for one file
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Only if this is the number of the latest revision, 0 if the name must be new; for one file
    #[arg(long, value_name = "N")]
    pub(crate) expect: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator workflow list

Exit codes: 0 listed (also if there are none), 4 there is no store yet, 7 store unavailable.")]
pub(crate) struct ListWorkflows {
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,

    /// Go on after this name: `next` of the answer before
    #[arg(long, value_name = "NAME")]
    pub(crate) after: Option<String>,
}

/// A registered workflow.
#[derive(Debug, Args)]
pub(crate) struct WorkflowRef {
    /// Name, or NAME@REV: a revision by its number or the beginning of its digest (sha256:…)
    #[arg(value_name = "NAME[@REV]")]
    pub(crate) workflow: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator workflow show nightly
  orchestrator workflow show nightly@2 --text > nightly.yaml

Exit codes: 0 shown, 2 usage, 4 no such workflow or revision, 7 store unavailable.")]
pub(crate) struct ShowWorkflow {
    #[command(flatten)]
    pub(crate) workflow: WorkflowRef,

    /// Only the text, as it was registered
    #[arg(long, conflicts_with = "json")]
    pub(crate) text: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator workflow diff nightly
  orchestrator workflow diff nightly 1 3

Without revisions: what the latest one has changed. With one: from that one to the latest.

Exit codes: 0 shown (also if nothing differs), 2 usage, 4 no such workflow or revision, 7 store unavailable.")]
pub(crate) struct DiffWorkflow {
    /// Name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Revision to begin with: its number, or the beginning of its digest [default: the one before the latest]
    #[arg(value_name = "REV")]
    pub(crate) from: Option<String>,

    /// Revision to end with [default: the latest]
    #[arg(value_name = "REV")]
    pub(crate) to: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator workflow execute nightly
  orchestrator workflow execute nightly@2 -i count=10

As `orchestrator run`, with the text that is registered: the run stays on its revision, whatever is registered \
later. Scripts start in the current folder.

Exit codes: 0 completed, 1 failed, 2 usage, 3 invalid input, 4 no such workflow or revision, 6 idempotency key \
used for something else, 7 store unavailable, 8 cancelled, 9 waits for someone, 130 and 143 stopped by a signal.")]
pub(crate) struct Execute {
    #[command(flatten)]
    pub(crate) workflow: WorkflowRef,

    #[command(flatten)]
    pub(crate) start: Start,
}
