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
Examples:
  orchestrator plugins schema http
  orchestrator plugins schema mcp --server github

With --server, the server is started or reached, and asked for its tools.

Exit codes: 0 shown, 1 the server does not answer, 4 no such kind or server.")]
    Schema {
        /// Kind, as `uses:` names it
        kind: String,

        /// MCP server of the configuration file, whose tools are shown
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Execute one step of a kind, outside of any workflow
    #[command(after_help = "\
Examples:
  orchestrator plugins try script --with 'run: echo \"hello $NAME\"' --env NAME=world
  orchestrator plugins try http --with '{ url: \"https://example.com\" }' --json
  orchestrator plugins try http --with @request.yaml

Nothing of it is kept. Lines that the step writes go to stderr, its output to stdout. `${{ secrets.NAME }}`
is filled in as in a workflow.

Exit codes: 0 it has succeeded, 1 it has failed, 3 its `with` is wrong or a secret is missing, 4 no such kind,
8 cancelled, 9 it waits for someone.")]
    Try(TryOut),
}

/// A step to be tried.
#[derive(Debug, Args)]
pub(crate) struct TryOut {
    /// Kind, as `uses:` names it
    pub(crate) kind: String,

    /// What the step is given, as YAML or JSON, or @FILE
    #[arg(long, value_name = "YAML|@FILE", allow_hyphen_values = true)]
    pub(crate) with: Option<String>,

    /// Environment variable of the step (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,

    /// What it may reach beyond the public internet (may be repeated)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) network: Vec<String>,

    /// How long it may take
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
}
