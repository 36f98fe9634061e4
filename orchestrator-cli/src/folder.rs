//! The folder that a run was started in, and belongs to: its scripts start there, and workers leave it alone.

use crate::exit::Exit;
use crate::output::Problem;
use crate::shell::quoted;

/// The label under which a run keeps its folder.
pub(crate) const LABEL: &str = "orchestrator.folder";

/// The words that say that a folder of a run is needed but gone.
pub(crate) fn gone(folder: &str) -> Problem {
    Problem::new(
        Exit::Conflict,
        "folder_gone",
        format!("the folder in which the run was started is gone: {folder}"),
    )
    .tries(format!("mkdir -p {}", quoted(folder)))
}
