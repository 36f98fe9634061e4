//! `graph`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Draws a workflow, or a run of one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator graph publish.yaml
  orchestrator graph --run @last
  orchestrator graph publish.yaml --format svg -o publish.svg

Steps stand in waves: each in the first one after all that it needs. With --run, each step shows how
it stands in that run, how long it took and in how many attempts. Where the picture would not fit,
steps in the same place are drawn as one. Nothing is run, and only the file of -o is written.

Exit codes: 0 drawn, 2 usage, 3 invalid workflow, 4 no such file or run, 5 the file may not be
written, 7 store unavailable or the file cannot be written.")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "run"]))]
pub(crate) struct DrawGraph {
    /// Workflow file; `-` reads stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Run to draw: its id, the beginning of one, or @last
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,

    /// How to draw [default: text, or what the name given with -o ends in]
    #[arg(long, short, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<GraphFormat>,

    /// File to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What a picture is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Boxes and lines for the terminal
    Text,
    /// Mermaid, for Markdown
    Mermaid,
    /// DOT, for Graphviz
    Dot,
    /// A picture that stands alone, for browsers
    Svg,
}
