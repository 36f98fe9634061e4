//! Looking at files and repositories, for the evidence of steps.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::evidence::Inspector;

/// Looks at the files of this machine, and asks `git` for what has changed in a repository.
///
/// Of files that git does not track, length and time of change are looked at; ignored files do not count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files;

/// How many entries of folders are looked at for one pattern.
const ENTRIES: usize = 100_000;

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
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let mut look = Look { left: ENTRIES, empty: None };
    if look.finds(folder, &parts) {
        return None;
    }
    let wild = pattern.contains(['*', '?']);
    Some(match look {
        Look { left: 0, .. } => format!("{pattern}: not found among {ENTRIES} entries"),
        Look { empty: Some(_), .. } if !wild => format!("{pattern}: the file is empty"),
        Look { empty: Some(path), .. } => {
            let path = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            format!("{pattern}: there are only empty files: {path}")
        }
        Look { .. } if wild => format!("{pattern}: no file is called so"),
        Look { .. } => format!("{pattern}: there is no such file"),
    })
}

/// A search for a file that holds something.
struct Look {
    /// How many entries may still be looked at.
    left: usize,
    /// A file that fits, and is empty.
    empty: Option<PathBuf>,
}

impl Look {
    fn finds(&mut self, at: &Path, parts: &[&str]) -> bool {
        let Some((first, rest)) = parts.split_first() else {
            return match at.metadata() {
                Ok(found) if found.is_file() && found.len() > 0 => true,
                Ok(found) => {
                    if found.is_file() {
                        self.empty.get_or_insert_with(|| at.to_owned());
                    }
                    false
                }
                Err(_) => false,
            };
        };
        if *first != "**" && !first.contains(['*', '?']) {
            return self.finds(&at.join(first), rest);
        }
        if *first == "**" && self.finds(at, rest) {
            return true;
        }
        let Ok(entries) = at.read_dir() else { return false };
        for entry in entries.flatten() {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let found = match *first {
                // Links are not followed: they may lead around in a circle.
                "**" => entry.file_type().is_ok_and(|kind| kind.is_dir()) && self.finds(&entry.path(), parts),
                first => fits(first.as_bytes(), name.as_bytes()) && self.finds(&entry.path(), rest),
            };
            if found {
                return true;
            }
        }
        false
    }
}

/// Whether a name fits a pattern with `*` and `?`. Names that begin with a dot are meant only by patterns that do.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
            // The last star takes one character more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
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
    fn patterns_fit_names() {
        for (pattern, name) in
            [("*", "a"), ("*.md", "a.md"), ("a?c", "abc"), ("a*b*c", "axxbxc"), (".*", ".x")]
        {
            assert!(fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*", ".a"), ("*.md", "a.mdx"), ("a?c", "ac"), ("a*b", "axc"), ("", "a")] {
            assert!(!fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

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
