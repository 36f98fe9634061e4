//! A place to run an example in: a folder of its own, and the binary.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own, with a store of its own.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The text of a file that an example has written; `None` if it has not.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path().join(path)).ok()
    }

    /// Runs a program here.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Done {
        Done::of(self.prepared(program, args).output().expect("the program starts"))
    }

    /// Begins to run the command line here, for somebody who listens to it.
    pub(crate) fn begin(&self, args: &[String]) -> Child {
        let mut command = self.prepared(binary(), args);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    }

    fn prepared(&self, program: impl AsRef<OsStr>, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(program);
        // What a developer has set for themselves must not change what the example does.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ORCHESTRATOR_") {
                command.env_remove(name);
            }
        }
        command.env("ORCHESTRATOR_STORE", format!("sqlite:{}", self.path().join("state.db").display()));
        command.args(args).current_dir(self.path());
        command
    }

    /// Runs the command line here.
    pub(crate) fn orchestrator(&self, args: &[&str]) -> Done {
        self.command(binary(), args)
    }

    /// Runs an example to its end, with inputs, and gives what it reports.
    pub(crate) fn run(&self, example: &str, inputs: &[&str]) -> Value {
        let done = self.start(example, inputs);
        assert_eq!(done.code, Some(0), "{done:?}");
        done.json()
    }

    /// Runs an example as far as it goes.
    pub(crate) fn start(&self, example: &str, inputs: &[&str]) -> Done {
        let file = example_file(example);
        let mut args = vec!["run", file.to_str().expect("the path is UTF-8"), "--json"];
        args.extend(inputs.iter().flat_map(|input| ["-i", input]));
        self.orchestrator(&args)
    }
}

impl Done {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A file of the examples.
pub(crate) fn example_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The command line, as the workspace has built it: cargo puts it beside the folder of the tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let binary = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("orchestrator");
    assert!(binary.is_file(), "{} is not there: test with `--workspace`, which builds it", binary.display());
    binary
}

/// A step of a report.
pub(crate) fn step<'r>(report: &'r Value, id: &str) -> &'r Value {
    let steps = report["steps"].as_array().expect("a report has steps");
    steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step {id}: {report}"))
}
