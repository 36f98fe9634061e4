//! The real binary in a folder of its own, and what is left there when it is gone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::survivors;

/// Nothing here takes this long; what does, hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in which the binary finds nothing but what it has put there.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    pub(crate) fn new(prefix: &str) -> Self {
        let folder = Self { dir: tempfile::Builder::new().prefix(prefix).tempdir().unwrap() };
        fs::create_dir(folder.path("tmp")).unwrap();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end: its exit code, and what it has said.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Runs a command that has to succeed: the JSON that it prints, a value a line.
    #[track_caller]
    pub(crate) fn ask(&self, args: &[&str]) -> Vec<Value> {
        let (code, out, err) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns when no process of a run's steps is left, and nothing in their folders; what is left after all patience.
    pub(crate) fn left_of(&self, run: &str) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let processes = survivors::of_run(run).into_iter().map(|process| format!("process {process}"));
            let folders = full_folders(&self.path("tmp"));
            let folders = folders.iter().map(|(folder, within)| format!("{}: {within:?}", folder.display()));
            let left: Vec<String> = processes.chain(folders).collect();
            if left.is_empty() || begun.elapsed() >= PATIENCE {
                return left;
            }
            std::thread::yield_now();
        }
    }
}

/// The folders in `root` with something in them. An empty one is what a kill leaves between making the folder and
/// starting the process that would remove it.
fn full_folders(root: &Path) -> Vec<(PathBuf, Vec<OsString>)> {
    let folders = fs::read_dir(root).unwrap().flatten().map(|entry| entry.path());
    let within = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect::<Vec<_>>()
    };
    folders.map(|folder| (folder.clone(), within(&folder))).filter(|(_, within)| !within.is_empty()).collect()
}
