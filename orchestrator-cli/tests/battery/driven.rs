//! Processes of the real binary whose every word is kept, and bringing runs to their end after them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::effects::Seen;
use crate::sandbox::{PATIENCE, Sandbox};

/// A process, and what it has told so far.
pub(crate) struct Driven {
    pub(crate) child: Child,
    lines: Receiver<Value>,
    problems: Option<JoinHandle<String>>,
    pub(crate) told: Vec<Value>,
}

/// How a process has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; below zero: the signal that has ended it.
    pub(crate) code: i32,
    pub(crate) err: String,
    pub(crate) told: Vec<Value>,
}

impl Driven {
    pub(crate) fn begin(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // One that was cut off is none.
                if let Ok(told) = serde_json::from_str(&line) {
                    drop(sender.send(told));
                }
            }
        });
        let mut err = child.stderr.take().unwrap();
        let problems = std::thread::spawn(move || {
            let mut text = String::new();
            drop(err.read_to_string(&mut text));
            text
        });
        Self { child, lines, problems: Some(problems), told: Vec::new() }
    }

    /// Listens until it has told `wanted`, or has nothing more to tell: whether it has.
    pub(crate) fn hear(&mut self, wanted: impl Fn(&Value) -> bool) -> bool {
        while let Ok(told) = self.lines.recv_timeout(PATIENCE) {
            self.told.push(told);
            if self.told.last().is_some_and(&wanted) {
                return true;
            }
        }
        false
    }

    /// Listens until it has closed its mouth, or has said nothing for so long: whether it has closed it.
    pub(crate) fn falls_silent(&mut self, long: Duration) -> bool {
        loop {
            match self.lines.recv_timeout(long) {
                Ok(told) => self.told.push(told),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt;
        let begun = Instant::now();
        let closed = self.falls_silent(PATIENCE);
        if !closed {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        let err = self.problems.take().unwrap().join().unwrap();
        assert!(closed, "it hangs, {:?} after {:?}: {err}", begun.elapsed(), self.told.last());
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(999));
        Ended { code, err, told: self.told }
    }
}

/// The ids of all runs.
pub(crate) fn runs(place: &Sandbox) -> Vec<String> {
    let listed = place.run("runs list --limit 1000 --json");
    // There is no store yet.
    if listed.code == 4 {
        return Vec::new();
    }
    let listed = listed.exits(0).json();
    listed["items"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
}

/// Brings a run to its end, with somebody who says of each doubt what the ledger says.
pub(crate) fn finish(place: &Sandbox, run: &str) -> Value {
    for _ in 0..20 {
        let shown = place.run_args(&["runs", "show", run, "--json"]).exits(0).json();
        if !shown["finished_at"].is_null() {
            return shown;
        }
        for waiting in shown["waiting_for"].as_array().unwrap() {
            let step = waiting["step"].as_str().unwrap();
            let has = ledger(place).contains(&format!("{run} {step}"));
            let words: &[&str] = match waiting["kind"].as_str().unwrap() {
                "outcome_unknown" if has => &["--applied", "--output", "{\"stdout\":\"\"}"],
                "outcome_unknown" | "quarantine" => &["--not-applied"],
                _ => continue,
            };
            place.run_args(&[&["runs", "resolve", run, step, "--json"], words].concat()).exits(0);
        }
        let resumed = place.run_args(&["runs", "resume", run, "--json"]);
        assert!([0, 9].contains(&resumed.code), "{resumed:?}");
    }
    panic!("{run} does not end: {:?}", place.run_args(&["runs", "show", run]));
}

/// The effects that have happened.
pub(crate) fn ledger(place: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(place.path("ledger")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Brings every run to its end, and gives what can be seen then.
pub(crate) fn settle(place: &Sandbox, told: Vec<Value>) -> Seen {
    let shown = runs(place).iter().map(|run| finish(place, run)).collect();
    place.run("store check --json").exits(0);
    Seen { shown, lines: ledger(place), told }
}
