//! What a script has made: files by pattern, each with its digest.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::plain::open_file;
use crate::below::is_below;
use crate::config::invalid;
use crate::glob::{self, ENTRIES, Search};

/// The most files that one step names in its output.
const FILES_MAX: usize = 1_000;

/// How much of a file is in memory while its digest is made.
const PIECE: usize = 64 << 10;

/// A file that a script has made.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Artifact {
    /// Below the folder of the run.
    path: String,
    /// How long it is.
    bytes: u64,
    /// What it holds.
    digest: String,
}

/// What is wrong with a pattern, if anything is.
pub(super) fn problem(pattern: &str) -> Option<&'static str> {
    (!is_below(Path::new(pattern))).then_some("it is not a pattern of paths below the folder of the run")
}

/// The files below `workdir` that fit the patterns, each once, by path. Links are no files, neither here nor on the way.
///
/// # Errors
/// Class `failed`, if a pattern fits none; `invalid`, if it is none or fits too many.
pub(super) async fn find(workdir: &Path, patterns: &[String]) -> Result<Vec<Artifact>, StepError> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let (workdir, patterns) = (workdir.to_owned(), patterns.to_vec());
    let found = tokio::task::spawn_blocking(move || find_now(&workdir, &patterns)).await;
    found.unwrap_or_else(|error| Err(StepError::new(ErrorClass::Failed, format!("`artifacts`: {error}"))))
}

fn find_now(workdir: &Path, patterns: &[String]) -> Result<Vec<Artifact>, StepError> {
    let mut paths = Vec::new();
    for pattern in patterns {
        if let Some(problem) = problem(pattern) {
            return Err(invalid(format!("`artifacts`: {pattern}: {problem}")));
        }
        let before = paths.len();
        let mut take = |path: &Path| {
            if path.symlink_metadata().is_ok_and(|found| found.is_file()) {
                paths.push(path.to_owned());
            }
            paths.len() - before > FILES_MAX
        };
        let mut search = Search::new(&mut take);
        search.find(workdir, &glob::parts(pattern));
        if search.is_exhausted() {
            return Err(invalid(format!(
                "`artifacts`: {pattern}: there are more than {ENTRIES} entries to look at"
            )));
        }
        if paths.len() == before {
            let why = if glob::is_wild(pattern) { "no file is called so" } else { "there is no such file" };
            return Err(StepError::new(ErrorClass::Failed, format!("`artifacts`: {pattern}: {why}")));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    if paths.len() > FILES_MAX {
        return Err(invalid(format!("`artifacts`: more than {FILES_MAX} files; pack them into one")));
    }
    paths.into_iter().map(|path| artifact(workdir, path)).collect()
}

fn artifact(workdir: &Path, path: PathBuf) -> Result<Artifact, StepError> {
    let shown = path.strip_prefix(workdir).unwrap_or(&path).to_string_lossy().into_owned();
    match digest(workdir, &path) {
        Ok((bytes, digest)) => Ok(Artifact { path: shown, bytes, digest: digest.to_string() }),
        Err(error) => Err(StepError::new(ErrorClass::Failed, format!("`artifacts`: {shown}: {error}"))),
    }
}

/// The length and the digest of a file, whatever was put in its place since it was found.
fn digest(workdir: &Path, path: &Path) -> io::Result<(u64, Digest)> {
    let folder = path.parent().unwrap_or(path).canonicalize()?;
    if !folder.starts_with(workdir.canonicalize()?) {
        return Err(io::Error::other("it leads out of the folder of the run"));
    }
    let mut file = open_file(path)?;
    let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, Digest::from_bytes(hasher.finalize().into())));
        }
        hasher.update(&piece[..read]);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_found_once_and_links_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("out/deep")).unwrap();
        for path in ["out/a.txt", "out/deep/b.txt", "c.txt"] {
            std::fs::write(at(path), path).unwrap();
        }
        symlink("/etc/passwd", at("out/passwd.txt")).unwrap();
        symlink("/etc", at("etc")).unwrap();
        let find = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            find_now(folder.path(), &patterns).map_err(|error| error.message.to_string())
        };
        let found = find(&["out/**/*.txt", "c.txt", "**/c.*"]).unwrap();
        let paths: Vec<&str> = found.iter().map(|artifact| artifact.path.as_str()).collect();
        assert_eq!(paths, ["c.txt", "out/a.txt", "out/deep/b.txt"]);
        assert_eq!((found[0].bytes, &found[0].digest), (5, &Digest::of(b"c.txt").to_string()));
        for (pattern, expected) in [
            ("*.md", "*.md: no file is called so"),
            ("out", "out: there is no such file"),
            ("out/passwd.txt", "out/passwd.txt: there is no such file"),
            ("etc/passwd", "etc/passwd: it leads out of the folder of the run"),
            ("../x", "../x: it is not a pattern of paths below the folder of the run"),
            ("/etc/passwd", "it is not a pattern"),
        ] {
            let problem = find(&[pattern]).unwrap_err();
            assert!(problem.contains(expected), "{pattern}: {problem}");
        }
        for file in 0..=FILES_MAX {
            std::fs::write(at(&format!("out/{file}.many")), "").unwrap();
        }
        assert!(find(&["out/*.many"]).unwrap_err().contains("more than 1000 files"));
    }
}
