//! Keeping a store well: `migrate`, `backup`, `restore`, `prune`, `store …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator backup nightly.db

The copy is the store at one moment; whoever uses it goes on meanwhile. It is checked before it gets its name.

Exit codes: 0 done, 2 usage, 4 there is no store, 6 the file exists, 7 store unavailable or file not writable.")]
pub(crate) struct Backup {
    /// File to make
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator restore nightly.db --force

The backup is checked before anything is changed. With --force the present store is replaced and gone; never while \
another process has it open. Runs that were open when the backup was made are open again.

Exit codes: 0 done, 2 usage, 4 no such backup, 6 there is a store already, or someone has it open, 7 the backup is \
damaged or of a newer version.")]
pub(crate) struct Restore {
    /// Backup to put in the place of the store
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Replace the store that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator prune --dry-run
  orchestrator prune --older-than 7d

Removes runs that ended longer ago than this, with their events, output and values. A run that has not ended is \
never touched. What is registered stays.

Exit codes: 0 done (also if there was nothing), 2 usage, 4 there is no store, 7 store unavailable.")]
pub(crate) struct Prune {
    /// How long ago a run must have ended
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub(crate) older_than: String,

    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What can be asked of a store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show what the store is and what it holds
    #[command(after_help = "\
Example:
  orchestrator store show

Exit codes: 0 shown, 4 there is no store yet, 7 store unavailable.")]
    Show,
    /// Look at all of the store, and say whether it is whole
    #[command(after_help = "\
Example:
  orchestrator store check

Reads every page and compares every log with its run; takes seconds for each gigabyte. Changes nothing.

Exit codes: 0 whole, 4 there is no store yet, 7 damaged or unavailable.")]
    Check,
    /// Move everything into another, empty store, of either kind
    Copy(CopyStore),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator store copy sqlite:.orchestrator/state.db postgres://me@db.example/flows
  orchestrator store copy postgres://me@db.example/flows sqlite:flows.db

Runs move with their ids, their events, values, output and approvals, those that are open among them; so do registered \
workflows. Every table is compared before the copy counts. Then the runs go on in TO, and FROM is only looked at: what \
would change it is refused, and told where it has moved. Nobody may be using either store meanwhile. A copy that was cut \
short leaves FROM as it was and TO refused; copying again begins anew.

Exit codes: 0 moved, 2 usage, 4 there is no store at FROM, 6 someone is using a store, TO is not empty, or FROM has moved \
already, 7 a store is unavailable or damaged, or the copy is not what was copied.")]
pub(crate) struct CopyStore {
    /// URL of the store that moves: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(value_name = "FROM")]
    pub(crate) from: String,

    /// URL of the store that it moves into; its tables are made
    #[arg(value_name = "TO")]
    pub(crate) to: String,
}
