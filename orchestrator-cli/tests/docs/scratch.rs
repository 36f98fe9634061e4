//! A folder in which the commands of a page are run, in order.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::page::root;

/// A folder of its own, a repository with one commit in it, the examples, and `orchestrator` in the search path.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let scratch = Self { dir: tempfile::Builder::new().prefix("docs-").tempdir().unwrap() };
        fs::create_dir_all(scratch.dir.path().join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_orchestrator"), scratch.dir.path().join("bin/orchestrator")).unwrap();
        fs::create_dir_all(scratch.folder().join("examples")).unwrap();
        for entry in fs::read_dir(root().join("examples")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "yaml") {
                fs::copy(&path, scratch.folder().join("examples").join(path.file_name().unwrap())).unwrap();
            }
        }
        let who = "-c user.name=a -c user.email=a@example.org -c commit.gpgsign=false";
        let (code, said) =
            scratch.run(&format!("git init -q . && git {who} commit -q --allow-empty -m 'Add nothing'"));
        assert_eq!(code, 0, "{said}");
        scratch
    }

    /// Where commands are run.
    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a file that can be executed.
    pub(crate) fn write_program(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.folder().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a line of shell; its exit code, and what it has said on both streams.
    pub(crate) fn run(&self, line: &str) -> (i32, String) {
        let path = format!("{}:{}", self.dir.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &format!("exec 2>&1\n{line}")]).current_dir(self.folder()).env_clear();
        bash.env("PATH", path).env("HOME", self.dir.path()).env("LC_ALL", "C.UTF-8").env("COLUMNS", "100");
        let output = bash.stdin(Stdio::null()).output().unwrap();
        // A shell tells a death by a signal so.
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        (code, String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
