//! Commands that read workflows or kinds of steps, and `init`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// A workflow to be read.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Workflow file; `-` reads stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Makes a place for state.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator init && orchestrator run hello.yaml

Nothing that exists is overwritten.

Exit codes: 0 done (also if everything was there), 2 usage, 7 cannot write.")]
pub(crate) struct Init {
    /// Folder to set up [default: the current one]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// Checks workflows.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator validate flows/*.yaml

Every problem of every file is told, with line and column. Nothing is run and nothing is written.

Exit codes: 0 all valid, 3 a workflow is invalid (with --strict: or has warnings), 4 no such file.")]
pub(crate) struct Validate {
    /// Workflow files; `-` reads stdin
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Take warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Shows what a run would do.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator plan publish.yaml

Shows the waves in which steps can run, what a repetition of each would do, which approvals a run
would wait for, and what would leave this machine; where a run of the workflow has completed here,
also how long each step took.
Nothing is run and nothing is written.

Exit codes: 0 shown, 3 invalid workflow, 4 no such file.")]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) source: Source,
}

/// The kinds of steps.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// List the kinds of steps
    #[command(after_help = "\
Example:
  orchestrator plugins list")]
    List,
    /// Show what a kind of step takes (`with:`) and what it gives
    #[command(after_help = "\
Example:
  orchestrator plugins schema http

Exit codes: 0 shown, 4 no such kind.")]
    Schema {
        /// Kind, as `uses:` names it
        kind: String,
    },
}
