//! Flags that every command takes.

use std::path::PathBuf;

use clap::Args;

use crate::output::Json;

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Give JSON: results on stdout, problems on stderr [`run`, `runs resume`: =stream adds live events]
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        value_enum,
        hide_possible_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "object"
    )]
    pub(crate) json: Option<Json>,

    /// Where runs are kept: sqlite:PATH, postgres://USER@HOST/DATABASE or memory [default:
    /// .orchestrator/state.db, here or above; env: ORCHESTRATOR_STORE]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<String>,

    /// Redis server by which processes ring for each other: redis://HOST:PORT/DATABASE or none [default: none; env:
    /// ORCHESTRATOR_BELL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) bell: Option<String>,

    /// Configuration file [default: .orchestrator/config.toml, here or above; env: ORCHESTRATOR_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Executable that brings kinds of steps, besides those of the configuration file (may be repeated)
    #[arg(long = "plugin", global = true, value_name = "PATH")]
    pub(crate) plugins: Vec<String>,

    /// Only results and problems
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}
