//! Files below the folder of the run: what a path is may come out of data.

use std::path::{Component, Path};

#[cfg(any(feature = "http", feature = "llm"))]
use orchestrator_core::machine::StepError;

/// Whether a path is relative, and stays below where it begins.
pub(crate) fn is_below(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Reads a file below the folder of the run, up to one byte beyond `limit`. Neither `..` nor a link leads out.
///
/// # Errors
/// Class `invalid`, naming `key`: another path, no file, one that cannot be read.
#[cfg(any(feature = "http", feature = "llm"))]
pub(crate) async fn read(workdir: &Path, path: &str, key: &str, limit: u64) -> Result<Vec<u8>, StepError> {
    use std::io::Read as _;

    let wrong = |why: String| crate::config::invalid(format!("`{key}`: {why}"));
    let relative = Path::new(path).to_owned();
    if !is_below(&relative) {
        return Err(wrong("it is not a path below the folder of the run".to_owned()));
    }
    let workdir = workdir.to_owned();
    let read = move || -> Result<Vec<u8>, String> {
        let told = |error: std::io::Error| format!("{}: {error}", relative.display());
        let found = workdir.join(&relative).canonicalize().map_err(told)?;
        if !found.starts_with(workdir.canonicalize().map_err(told)?) {
            return Err(format!("{} leads out of the folder of the run", relative.display()));
        }
        if !found.metadata().map_err(told)?.is_file() {
            return Err(format!("{} is not a file", relative.display()));
        }
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(&found).map_err(told)?;
        opened.take(limit + 1).read_to_end(&mut bytes).map_err(told)?;
        Ok(bytes)
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string());
    read.and_then(|read| read).map_err(wrong)
}
