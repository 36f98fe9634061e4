//! What a script has made: files by pattern, each with its digest.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Stop;
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

/// How long their paths may be together, in bytes (1 MiB).
const PATHS_MAX: usize = 1 << 20;

/// How long the files may be together, in bytes (64 GiB): their digests take minutes then.
const BYTES_MAX: u64 = 64 << 30;

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
    match is_below(Path::new(pattern)) {
        true => glob::problem(pattern),
        false => Some("it is not a pattern of paths below the folder of the run"),
    }
}

/// The files below `workdir` that fit the patterns, each once, by path. Links are no files, neither there nor on the way.
///
/// # Errors
/// Class `failed`, if a pattern fits none; `invalid`, if it is none or fits too many or what is too long. What was told to stop
/// ends with any.
pub(super) async fn find(
    workdir: &Path,
    patterns: &[String],
    stop: &Stop,
) -> Result<Vec<Artifact>, StepError> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let (workdir, patterns, stop) = (workdir.to_owned(), patterns.to_vec(), stop.clone());
    let found = tokio::task::spawn_blocking(move || {
        let workdir = workdir.canonicalize().map_err(|error| failed(&error.to_string()))?;
        let paths = paths(&workdir, &patterns)?;
        digests(&workdir, &paths, &stop)
    });
    found.await.unwrap_or_else(|error| Err(failed(&error.to_string())))
}

fn failed(why: &str) -> StepError {
    StepError::new(ErrorClass::Failed, format!("`artifacts`: {why}"))
}

/// The paths of the files that fit, below a folder whose own path has no links.
fn paths(workdir: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, StepError> {
    let mut paths = Vec::new();
    for pattern in patterns {
        if let Some(problem) = problem(pattern) {
            return Err(invalid(format!("`artifacts`: {}: {problem}", beginning(pattern))));
        }
        let before = paths.len();
        let mut take = |path: &Path| {
            let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
            if is_file && has_no_link_on_the_way(path) {
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
            return Err(failed(&format!("{pattern}: {why}")));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    let length: usize = paths.iter().map(|path| path.as_os_str().len()).sum();
    if paths.len() > FILES_MAX || length > PATHS_MAX {
        let why = format!("more than {FILES_MAX} files, or {PATHS_MAX} bytes of paths; pack them into one");
        return Err(invalid(format!("`artifacts`: {why}")));
    }
    Ok(paths)
}

/// The beginning of a text of any length.
fn beginning(pattern: &str) -> String {
    pattern.chars().take(200).collect()
}

/// Whether the folders of a path are what they seem.
fn has_no_link_on_the_way(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.canonicalize().is_ok_and(|found| found == folder))
}

fn digests(workdir: &Path, paths: &[PathBuf], stop: &Stop) -> Result<Vec<Artifact>, StepError> {
    let mut left = BYTES_MAX;
    let mut artifacts = Vec::with_capacity(paths.len());
    for path in paths {
        let shown = path.strip_prefix(workdir).unwrap_or(path).to_string_lossy().into_owned();
        if shown.chars().any(char::is_control) {
            return Err(invalid(format!("`artifacts`: {shown:?}: its name has a control character")));
        }
        let length = path.symlink_metadata().map(|found| found.len()).unwrap_or_default();
        if length > left {
            return Err(invalid(format!(
                "`artifacts`: {shown}: the files are longer than {BYTES_MAX} bytes"
            )));
        }
        let digest = digest(path, left, stop).map_err(|error| failed(&format!("{shown}: {error}")));
        let (bytes, digest) = digest?;
        left -= bytes;
        artifacts.push(Artifact { path: shown, bytes, digest: digest.to_string() });
    }
    Ok(artifacts)
}

/// The length and the digest of a file, whatever was put in its place since it was found.
fn digest(path: &Path, limit: u64, stop: &Stop) -> io::Result<(u64, Digest)> {
    let mut file = open_file(path)?;
    let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, Digest::from_bytes(hasher.finalize().into())));
        }
        bytes += read as u64;
        if bytes > limit {
            return Err(io::Error::other("it grows while it is read"));
        }
        if stop.reason().is_some() {
            return Err(io::Error::other("stopped while its digest was made"));
        }
        hasher.update(&piece[..read]);
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
            let workdir = folder.path().canonicalize().unwrap();
            let found =
                paths(&workdir, &patterns).and_then(|paths| digests(&workdir, &paths, &Stop::never()));
            found.map_err(|error| error.message.to_string())
        };
        let found = find(&["out/**/*.txt", "c.txt", "**/c.*"]).unwrap();
        let paths: Vec<&str> = found.iter().map(|artifact| artifact.path.as_str()).collect();
        assert_eq!(paths, ["c.txt", "out/a.txt", "out/deep/b.txt"]);
        assert_eq!((found[0].bytes, &found[0].digest), (5, &Digest::of(b"c.txt").to_string()));
        for (pattern, expected) in [
            ("*.md", "*.md: no file is called so"),
            ("out", "out: there is no such file"),
            ("out/passwd.txt", "out/passwd.txt: there is no such file"),
            ("etc/passwd", "etc/passwd: there is no such file"),
            ("*/passwd", "*/passwd: no file is called so"),
            ("../x", "../x: it is not a pattern of paths below the folder of the run"),
            ("/etc/passwd", "it is not a pattern"),
        ] {
            let problem = find(&[pattern]).unwrap_err();
            assert!(problem.contains(expected), "{pattern}: {problem}");
        }
        symlink(at("out"), at("again")).unwrap();
        assert_eq!(find(&["*/a.txt"]).unwrap().len(), 1, "the link to its folder gives it once more");
        let deep = ["a/"].repeat(10_000).concat();
        assert!(find(&[&format!("{deep}x")]).unwrap_err().contains("longer than 4096 bytes"));
        std::fs::write(at("odd\u{1}.txt"), "").unwrap();
        assert!(find(&["odd*"]).unwrap_err().contains("control character"));
        let sparse = std::fs::File::create(at("sparse.bin")).unwrap();
        sparse.set_len(BYTES_MAX + 1).unwrap();
        assert!(find(&["sparse.bin"]).unwrap_err().contains("longer than 68719476736 bytes"));
        for file in 0..=FILES_MAX {
            std::fs::write(at(&format!("out/{file}.many")), "").unwrap();
        }
        assert!(find(&["out/*.many"]).unwrap_err().contains("more than 1000 files"));
    }
}
