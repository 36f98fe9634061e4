//! A folder with repositories in it, and plain git to look at them with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use orchestrator_core::port::plugin::{Outcome, Plugin, Reconciled};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Git;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage;

/// A folder in which a step runs; `site` in it is a repository with one commit on `main`, and `origin.git` its remote.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place.git(".", &["init", "-q", "--bare", "-b", "main", "origin.git"]);
        place.git(".", &["init", "-q", "-b", "main", "site"]);
        place.write("site/a.txt", "one\n");
        place.git("site", &["add", "."]);
        place.git("site", &["commit", "-q", "-m", "Begin"]);
        let origin = place.path("origin.git");
        place.git("site", &["remote", "add", "origin", origin.to_str().unwrap()]);
        place.git("site", &["push", "-q", "origin", "main"]);
        place.git("site", &["fetch", "-q", "origin"]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.folder.path()).unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Whether plain git succeeds, and what it prints.
    pub(crate) fn try_git(&self, at: &str, args: &[&str]) -> (bool, String) {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.path(at)).stdin(Stdio::null());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "Plain").env(format!("GIT_{who}_EMAIL"), "plain@example.org");
        }
        git.env("GIT_TERMINAL_PROMPT", "0");
        let output = git.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim_end().to_owned())
    }

    /// What plain git prints; it has to succeed.
    pub(crate) fn git(&self, at: &str, args: &[&str]) -> String {
        let (success, said) = self.try_git(at, args);
        assert!(success, "git {args:?} in {at}: {said}");
        said
    }

    /// A commit that plain git makes, on the branch that is checked out.
    pub(crate) fn commit(&self, at: &str, name: &str, text: &str) -> String {
        self.write(&format!("{at}/{name}"), text);
        self.git(at, &["add", "-A"]);
        self.git(at, &["commit", "-q", "-m", name]);
        self.sha(at, "HEAD")
    }

    pub(crate) fn sha(&self, at: &str, name: &str) -> String {
        self.git(at, &["rev-parse", name])
    }

    /// Executes a step.
    pub(crate) async fn execute(&self, with: Value) -> Outcome {
        let (context, _) = stage::context(&self.path("."));
        Git.execute(context, stage::request(with)).await
    }

    /// What a step gives that has to succeed.
    pub(crate) async fn gives(&self, with: Value) -> Value {
        stage::output(self.execute(with).await)
    }

    /// How a step fails that has to.
    pub(crate) async fn fails(&self, with: Value) -> (ErrorClass, String) {
        stage::failure(self.execute(with).await)
    }

    pub(crate) async fn reconcile(&self, with: Value) -> Reconciled {
        let (context, _) = stage::context(&self.path("."));
        Git.reconcile(context, stage::request(with)).await
    }
}

/// An author, so that nothing depends on whoever runs the tests.
pub(crate) fn author() -> Value {
    json!({ "name": "Ada", "email": "ada@example.org" })
}
