//! `run`.

use clap::Args;

use crate::args::report::Reports;
use crate::args::spec::Source;

/// Starts a run and drives it to its end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator run hello.yaml
  orchestrator run notes.yaml -i count=10 -i prompt=@prompt.txt
  orchestrator run ci.yaml --report junit=report.xml --report github
  generate-workflow | orchestrator run - --json
  orchestrator run nightly.yaml --detach
  orchestrator run nightly.yaml --detach --in 2h

A value is read as the type that the workflow declares for the input. `-i name=@FILE` reads it from a file,
`-i name=@-` from stdin, `-i name=@@text` gives `@text`.

With --detach the run is left to whoever runs `orchestrator worker` for the same store.

With --in or --at the run is there at once and begins later; its deadline counts from then, also if nobody works
for the store at that time. Without --detach this command waits.

The first Ctrl-C begins nothing new and gives running steps time to end; the second stops at once. What was
done is kept: `orchestrator runs resume` goes on from there. Where only a person can move the run, `run` prints
the command; it stays if a terminal is watching, and else exits with 9.

Exit codes: 0 completed, 1 failed, 2 usage, 3 invalid workflow or input, 4 no such file,
6 idempotency key used for something else, 7 store unavailable, 8 cancelled, 9 waits for someone,
130 and 143 stopped by a signal.")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) source: Source,

    #[command(flatten)]
    pub(crate) start: Start,
}

/// What a run is started with.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Value of an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE")]
    pub(crate) inputs: Vec<String>,

    /// Label for finding the run; may be repeated
    #[arg(long = "label", short = 'l', value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,

    /// Name for this run, shown in lists: short for --label name=NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Start at most one run with this key; later calls answer with that run
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,

    /// Begin only after so long: 90s, 10m, 2h30m
    #[arg(long = "in", value_name = "DURATION", conflicts_with = "at")]
    pub(crate) delay: Option<String>,

    /// Begin only at this time: 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,

    /// Start the run and leave it to workers with the same store
    #[arg(long, conflicts_with_all = ["slots", "grace", "logs", "report"])]
    pub(crate) detach: bool,

    #[command(flatten)]
    pub(crate) drive: Drive,

    #[command(flatten)]
    pub(crate) reports: Reports,
}

/// How a run is driven here.
#[derive(Debug, Args)]
pub(crate) struct Drive {
    /// Most steps at once [default: 64; env: ORCHESTRATOR_SLOTS]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) slots: Option<u16>,

    /// How long running steps may take to end after Ctrl-C [default: 10s; env: ORCHESTRATOR_GRACE]
    #[arg(long, value_name = "DURATION")]
    pub(crate) grace: Option<String>,

    /// File of secrets: NAME=VALUE lines, or a folder of files [default: .orchestrator/secrets.env; env:
    /// ORCHESTRATOR_SECRETS_FILE]
    #[arg(long, value_name = "PATH")]
    pub(crate) secrets_file: Option<String>,

    /// Print every line that a step writes, as it comes
    #[arg(long)]
    pub(crate) logs: bool,
}
