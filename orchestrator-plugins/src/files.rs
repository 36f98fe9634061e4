//! Looking at files and repositories, for the evidence of steps.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::evidence::Inspector;

use crate::glob::{self, ENTRIES, Search};

/// Looks at the files of this machine, and asks `git` for what has changed in a repository.
///
/// Of files that git does not track, length and time of change are looked at; ignored files do not count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files;

#[async_trait]
impl Inspector for Files {
    async fn missing(&self, folder: &Path, patterns: &[Arc<str>]) -> Result<Vec<String>, String> {
        let (folder, patterns) = (folder.to_owned(), patterns.to_vec());
        aside(move || Ok(patterns.iter().filter_map(|pattern| fault(&folder, pattern)).collect())).await
    }

    async fn repository(&self, folder: &Path) -> Result<String, String> {
        let folder = folder.to_owned();
        aside(move || mark(&folder)).await
    }
}

/// Does what blocks on a thread that may be blocked.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(format!("cannot look: {error}")))
}

/// Why a pattern finds no file that holds something; `None` if it finds one.
fn fault(folder: &Path, pattern: &str) -> Option<String> {
    if let Some(problem) = glob::problem(pattern) {
        let begin: String = pattern.chars().take(60).collect();
        return Some(format!("{begin}…: {problem}"));
    }
    let mut empty = None;
    let mut holds_something = |path: &Path| match path.metadata() {
        Ok(found) if found.is_file() && found.len() > 0 => true,
        Ok(found) => {
            if found.is_file() {
                empty.get_or_insert_with(|| path.to_owned());
            }
            false
        }
        Err(_) => false,
    };
    let mut search = Search::new(&mut holds_something);
    if search.find(folder, &glob::parts(pattern)) {
        return None;
    }
    let is_exhausted = search.is_exhausted();
    let wild = glob::is_wild(pattern);
    Some(match empty {
        _ if is_exhausted => format!("{pattern}: not found among {ENTRIES} entries"),
        Some(_) if !wild => format!("{pattern}: the file is empty"),
        Some(path) => {
            let path = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            format!("{pattern}: there are only empty files: {path}")
        }
        None if wild => format!("{pattern}: no file is called so"),
        None => format!("{pattern}: there is no such file"),
    })
}

/// A mark of the state of the repository: equal marks say that nothing has changed.
fn mark(folder: &Path) -> Result<String, String> {
    let root = git(folder, &["rev-parse", "--show-toplevel"])?;
    let root = PathBuf::from(String::from_utf8_lossy(&root).trim_end());
    let mut hasher = DefaultHasher::new();
    // A repository without a commit has no head.
    git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"]).unwrap_or_default().hash(&mut hasher);
    git(&root, &["diff", "--no-ext-diff", "--binary"])?.hash(&mut hasher);
    git(&root, &["diff", "--no-ext-diff", "--binary", "--cached"])?.hash(&mut hasher);
    let others = git(&root, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    for path in others.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        path.hash(&mut hasher);
        if let Ok(found) = root.join(&*String::from_utf8_lossy(path)).symlink_metadata() {
            (found.len(), found.modified().ok()).hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// What a git command prints. It asks nobody, takes no locks and runs no hooks.
fn git(folder: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("git");
    command.args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]).args(args).current_dir(folder);
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    // Where this process was told to look is not where the step works.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("git cannot be run in {}: {error}", folder.display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("git has failed").trim_start_matches("fatal: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_and_holds_something_or_the_fault_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("out/deep/er")).unwrap();
        for (path, text) in
            [("report.md", "x"), ("empty.md", ""), ("out/deep/er/a.json", "{}"), ("out/b.txt", "")]
        {
            std::fs::write(at(path), text).unwrap();
        }
        for pattern in
            ["report.md", "./report.md", "*.md", "out/**/*.json", "**/a.json", "out/deep/er/?.json"]
        {
            assert_eq!(fault(folder.path(), pattern), None, "{pattern}");
        }
        for (pattern, why) in [
            ("other.md", "other.md: there is no such file"),
            ("out", "out: there is no such file"),
            ("empty.md", "empty.md: the file is empty"),
            ("out/*.txt", "out/*.txt: there are only empty files: out/b.txt"),
            ("out/*.json", "out/*.json: no file is called so"),
        ] {
            assert_eq!(fault(folder.path(), pattern).as_deref(), Some(why));
        }
    }
}
