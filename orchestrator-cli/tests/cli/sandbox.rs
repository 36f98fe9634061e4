//! A folder of its own for each test, and the real binary in it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Nothing in these tests takes this long; what does, hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder of its own.
#[derive(Debug)]
pub(crate) struct Sandbox {
    dir: TempDir,
}

/// What a command has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Sandbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("cli-").tempdir().unwrap() }
    }

    /// One with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let sandbox = Self::new();
        files.iter().for_each(|(path, text)| sandbox.write(path, text));
        sandbox
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    /// The binary, called as people call it, with an environment of its own.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command.arg0("orchestrator").args(args).current_dir(self.dir.path()).env_clear();
        for name in ["PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env("COLUMNS", "100");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `orchestrator WORDS`; words are split at spaces.
    pub(crate) fn run(&self, words: &str) -> Said {
        Said::of(&self.command(words.split_whitespace()).output().unwrap())
    }

    /// Runs `orchestrator ARGS`.
    pub(crate) fn run_args(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().unwrap())
    }

    /// Runs `orchestrator WORDS` with `input` on stdin.
    pub(crate) fn run_with_stdin(&self, words: &str, input: &[u8]) -> Said {
        let mut child = self.command(words.split_whitespace()).stdin(Stdio::piped()).spawn().unwrap();
        // The other side may stop reading when it has had enough.
        let _ = child.stdin.take().unwrap().write_all(input);
        Said::of(&child.wait_with_output().unwrap())
    }

    /// Runs a command that was printed.
    pub(crate) fn follow(&self, printed: &str) -> Said {
        let words =
            printed.trim().strip_prefix("orchestrator ").unwrap_or_else(|| panic!("not ours: {printed}"));
        self.run(words)
    }

    /// Begins `orchestrator WORDS` and does not wait for it.
    pub(crate) fn spawn(&self, words: &str) -> Child {
        self.command(words.split_whitespace()).spawn().unwrap()
    }

    /// Every file below the folder, with its size, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                let len = if kind.is_file() { entry.metadata().unwrap().len() } else { 0 };
                found
                    .push(format!("{} {len}", entry.path().strip_prefix(self.dir.path()).unwrap().display()));
                if kind.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }

    /// A named pipe, for steps that tell the test how far they are.
    pub(crate) fn pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    /// What is written into a named pipe until its writer closes it.
    pub(crate) fn hear(&self, name: &str) -> String {
        let (sender, heard) = mpsc::channel();
        let path = self.path(name);
        std::thread::spawn(move || sender.send(fs::read_to_string(path)));
        heard.recv_timeout(PATIENCE).expect("a step tells how far it is").unwrap()
    }

    /// The run that was started last.
    pub(crate) fn last(&self) -> Value {
        self.run("runs show @last --json").json()
    }

    /// The id of the run that was started last.
    pub(crate) fn last_id(&self) -> String {
        self.last()["run_id"].as_str().unwrap().to_owned()
    }
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(999)),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// What a child that was spawned has said.
    pub(crate) fn by(child: Child) -> Self {
        Self::of(&child.wait_with_output().unwrap())
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The JSON on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON lines on stdout.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(read).collect()
    }

    /// The problem object on stderr; stdout must be empty.
    #[track_caller]
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.out, "");
        serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The first line that holds `text`, without what stands before it.
    #[track_caller]
    pub(crate) fn from(&self, text: &str) -> String {
        let all = format!("{}\n{}", self.err, self.out);
        let line =
            all.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text:?}: {self:?}"));
        line[line.find(text).unwrap()..].to_owned()
    }

    /// stdout and stderr with all that differs from run to run replaced.
    pub(crate) fn stable(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, stable(&self.out), stable(&self.err))
    }
}

/// `text` with ids, times and durations replaced.
pub(crate) fn stable(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            let c = rest.chars().next().unwrap();
            words.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            words.push_str(&stable_word(&rest[..end]));
            rest = &rest[end..];
        }
    }
    words
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_:.+-".contains(c)
}

fn stable_word(word: &str) -> String {
    for prefix in ["run_", "own_", "txn_", "pdr_"] {
        if word
            .strip_prefix(prefix)
            .is_some_and(|hex| hex.len() >= 12 && hex.chars().all(|c| c.is_ascii_hexdigit()))
        {
            return format!("{prefix}ID");
        }
    }
    if word.starts_with("sha256:") {
        return "sha256:DIGEST".to_owned();
    }
    if word.len() == 24 && word.ends_with('Z') && word.as_bytes()[10] == b'T' {
        return "TIME".to_owned();
    }
    let number = word.strip_suffix("ms").or_else(|| word.strip_suffix('s'));
    if number.is_some_and(|number| number.parse::<f64>().is_ok()) {
        return "SPAN".to_owned();
    }
    if word.strip_prefix('+').is_some_and(|offset| offset.parse::<f64>().is_ok()) {
        return "+OFFSET".to_owned();
    }
    word.to_owned()
}

/// `value` with all that differs from run to run and from user to user replaced.
pub(crate) fn stable_json(value: &Value) -> String {
    let mut value = value.clone();
    hide_user(&mut value);
    stable(&serde_json::to_string_pretty(&value).unwrap())
}

fn hide_user(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(key, field)| {
            if key == "by" && field.is_string() { *field = Value::from("USER") } else { hide_user(field) }
        }),
        Value::Array(items) => items.iter_mut().for_each(hide_user),
        _ => {}
    }
}

/// Returns when `holds` does; what never does, fails.
#[track_caller]
pub(crate) fn until(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came to be");
        std::thread::yield_now();
    }
}

/// Whether a process has taken a signal into its own hands.
pub(crate) fn catches(child: &Child, signal: rustix::process::Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw() - 1)) != 0
}
