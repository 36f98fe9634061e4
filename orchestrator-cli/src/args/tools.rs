//! Commands for editors, shells and readers: `schema`, `completions`, `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// The schema of workflows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator schema > workflow.schema.json
  orchestrator schema --install flows/*.yaml

With --install the schema is written to .orchestrator/workflow.schema.json, here or above, and each FILE
gets a first line that names it, for editors with the YAML language server; the rest of a file stays as
it is. Installing again brings the schema up to this version and changes nothing else.

Exit codes: 0 done, 2 usage, 3 a file is not text, 4 no such file, 5 and 7 cannot write.")]
pub(crate) struct Schema {
    /// Write the schema where editors find it
    #[arg(long)]
    pub(crate) install: bool,

    /// Workflow files that shall name the schema
    #[arg(value_name = "FILE", requires = "install")]
    pub(crate) files: Vec<PathBuf>,
}

/// What a shell needs to complete commands.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator completions bash > ~/.local/share/bash-completion/completions/orchestrator
  orchestrator completions zsh > ~/.zfunc/_orchestrator        # with ~/.zfunc in $fpath
  orchestrator completions fish > ~/.config/fish/completions/orchestrator.fish

Exit codes: 0 printed, 2 no such shell.")]
pub(crate) struct Completions {
    /// Shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// The manual.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator man runs list | man -l -
  orchestrator man --out ~/.local/share/man/man1

Exit codes: 0 printed or written, 4 no such command, 5 and 7 cannot write.")]
pub(crate) struct Man {
    /// Command whose page is wanted; without one, the page of all
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub(crate) command: Vec<String>,

    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
