//! A PostgreSQL store, and workers that share it.

use std::fs;
use std::path::Path;
use std::process::Child;

use orchestrator_postgres::testkit::{Database, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::sandbox::until;
use crate::{ASK, HELLO, Said, Sandbox};

/// A folder whose store is a database of its own.
pub(crate) struct Fleet {
    pub(crate) sandbox: Sandbox,
    database: Database,
}

impl Fleet {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(async { Server::shared().await.database().await });
        let sandbox = Sandbox::with(files);
        // Both are named as a configuration file would.
        sandbox.write(".orchestrator/config.toml", format!("store = \"{}\"\nttl = \"2s\"\n", database.url()));
        Self { sandbox, database }
    }

    pub(crate) fn run(&self, words: &str) -> Said {
        self.sandbox.run(words)
    }

    pub(crate) fn show(&self, run: &str) -> Value {
        self.run(&format!("runs show {run} --json")).json()
    }

    /// Starts a run that is left to workers.
    pub(crate) fn leave(&self, words: &str) -> String {
        self.run(&format!("run {words} --detach --json")).exits(0).json()["run_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn ended(&self, run: &str) -> Value {
        until(|| matches!(self.show(run)["status"].as_str(), Some("completed" | "failed" | "cancelled")));
        self.show(run)
    }
}

/// Returns when the first attempt of the long step has told how far it is.
fn has_begun(ledger: &Path) {
    until(|| fs::read_to_string(ledger).is_ok_and(|told| told == "1\n"));
}

pub(crate) fn tell(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_commands_work_with_a_url_in_the_place_of_a_file() {
    let fleet = Fleet::with(&[("hello.yaml", HELLO), ("ask.yaml", ASK)]);
    let none = fleet.run("runs list").exits(4);
    assert!(none.err.contains("there is no store in postgres://"), "{}", none.err);
    let fine = fleet.run("doctor").out;
    assert!(fine.contains("the first run makes it"), "{fine}");
    let ran = fleet.run("run hello.yaml -i name=you --json").exits(0).json();
    assert_eq!(ran["outputs"]["greeting"], "Hello, you!");
    let listed = fleet.run("runs list --json").exits(0).json();
    assert_eq!(listed["items"][0]["run_id"], ran["run_id"]);
    let asked = fleet.run("run ask.yaml").exits(9);
    fleet.sandbox.follow(&asked.from("orchestrator approval approve")).exits(0);
    fleet.run("runs resume @last").exits(0);
    let version = fleet.run("version --json").exits(0).json();
    assert_eq!(version["store"]["kind"], "postgres", "{version}");
    let told = fleet.run("backup copy.db").exits(2);
    assert!(told.err.contains("pg_dump"), "{}", told.err);
}

#[test]
fn a_worker_takes_up_what_others_have_started_and_is_drained() {
    let fleet = Fleet::with(&[("hello.yaml", HELLO)]);
    let said = fleet.run("run hello.yaml --detach").exits(0);
    assert!(said.err.contains("nobody works for this store now: orchestrator worker"), "{}", said.err);
    let first = said.out.trim().to_owned();
    let worker = fleet.sandbox.spawn("worker");
    assert_eq!(fleet.ended(&first)["status"], "completed", "one from before it came");
    let second = fleet.leave("hello.yaml -i name=again");
    assert_eq!(fleet.ended(&second)["outputs"]["greeting"], "Hello, again!");
    assert!(fleet.sandbox.path(format!(".orchestrator-workspaces/{second}")).is_dir());
    let listed = fleet.run("worker list --json").exits(0).json();
    let workers: Vec<&Value> = listed["items"].as_array().unwrap().iter().collect();
    assert_eq!(workers.len(), 1, "{listed}");
    assert!(workers[0]["label"].as_str().unwrap().ends_with("a worker with 64 slots"), "{listed}");
    tell(&worker, Signal::TERM);
    let told = Said::by(worker).exits(143);
    assert!(told.err.contains(&format!("completed {second} hello")), "{}", told.err);
    assert_eq!(fleet.run("worker list --json").exits(0).json()["items"], json!([]));
}

/// Tells how far it is, and ends only when it is the second to try.
const LONG: &str = "\
name: long
steps:
  first:
    run: echo one
    effect: pure
  long:
    run: |
      echo \"$ORCHESTRATOR_ATTEMPT\" >> \"$LEDGER\"
      if [ \"$ORCHESTRATOR_ATTEMPT\" = 1 ]; then sleep 1000; fi
    effect: pure
    needs: first
    sandbox: none
    env: { LEDGER: \"${{ inputs.ledger }}\" }
inputs:
  ledger: { type: string }
";

#[test]
fn another_worker_goes_on_with_what_a_killed_one_has_left() {
    let fleet = Fleet::with(&[("long.yaml", LONG)]);
    let ledger = fleet.sandbox.path("ledger");
    let run = fleet.leave(&format!("long.yaml -i ledger={}", ledger.display()));
    let mut worker = fleet.sandbox.spawn("worker");
    has_begun(&ledger);
    worker.kill().unwrap();
    worker.wait().unwrap();
    let other = fleet.sandbox.spawn("worker");
    let ended = fleet.ended(&run);
    assert_eq!(
        (&ended["status"], &ended["steps"][1]["attempts"]),
        (&json!("completed"), &json!(2)),
        "{ended}"
    );
    assert_eq!(fleet.sandbox.read("ledger"), "1\n2\n");
    tell(&other, Signal::TERM);
    Said::by(other).exits(143);
}

#[test]
fn a_drained_worker_hands_its_runs_on_at_once() {
    let fleet = Fleet::with(&[("long.yaml", LONG)]);
    let ledger = fleet.sandbox.path("ledger");
    let run = fleet.leave(&format!("long.yaml -i ledger={}", ledger.display()));
    let worker = fleet.sandbox.spawn("worker --ttl 1h --grace 0s");
    has_begun(&ledger);
    let other = fleet.sandbox.spawn("worker");
    tell(&worker, Signal::TERM);
    Said::by(worker).exits(143);
    // Nobody has to wait for the hour to pass.
    let ended = fleet.ended(&run);
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(fleet.sandbox.read("ledger"), "1\n2\n");
    tell(&other, Signal::TERM);
    Said::by(other).exits(143);
}

#[test]
fn people_steer_what_a_worker_drives() {
    let fleet = Fleet::with(&[("ask.yaml", ASK), ("long.yaml", LONG)]);
    let worker = fleet.sandbox.spawn("worker");
    let asks = fleet.leave("ask.yaml");
    until(|| fleet.show(&asks)["status"] == "blocked");
    fleet.run(&format!("approval approve {asks}")).exits(0);
    assert_eq!(fleet.ended(&asks)["status"], "completed");
    let ledger = fleet.sandbox.path("ledger");
    let long = fleet.leave(&format!("long.yaml -i ledger={}", ledger.display()));
    has_begun(&ledger);
    fleet.run(&format!("runs cancel {long}")).exits(0);
    assert_eq!(fleet.ended(&long)["status"], "cancelled");
    tell(&worker, Signal::TERM);
    Said::by(worker).exits(143);
}

#[test]
fn what_cannot_be_reached_says_so_without_its_password() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said = sandbox.run("run hello.yaml --store postgres://me:s3cret@127.0.0.1:1/flows").exits(7);
    assert!(
        said.err.contains("postgres://me@127.0.0.1:1/flows") && !said.err.contains("s3cret"),
        "{}",
        said.err
    );
    let said = sandbox.run("run hello.yaml --store postgres:flows").exits(2);
    assert!(said.err.contains("--store postgres://USER@HOST/DATABASE"), "{}", said.err);
    let said = sandbox.run("worker --store memory").exits(2);
    assert!(said.err.contains("a worker finds nothing there"), "{}", said.err);
}

#[test]
fn a_password_is_in_no_command_that_is_printed() {
    let fleet = Fleet::with(&[("hello.yaml", HELLO), ("ask.yaml", ASK)]);
    let url = fleet.database.url().replacen("postgres@", "postgres:s3cret@", 1);
    for words in [
        "run hello.yaml --detach",
        "run ask.yaml",
        "runs list",
        "doctor",
        "runs show @last",
        "runs list --json",
    ] {
        let said = fleet.run(&format!("{words} --store {url}"));
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains("s3cret"), "{words}: {all}");
        let mut command = fleet.sandbox.command(words.split_whitespace());
        let said = Said::of(&command.env("ORCHESTRATOR_STORE", &url).output().unwrap());
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains("s3cret"), "{words}, by the environment: {all}");
        assert!(!words.starts_with("run ") || all.contains("postgres:***@"), "{words}: {all}");
    }
    let said = fleet.run("run hello.yaml --detach --store memory").exits(2);
    assert!(said.err.contains("nobody could take the run up"), "{}", said.err);
}

#[test]
fn a_worker_leaves_alone_what_belongs_to_a_folder() {
    let fleet = Fleet::with(&[("hello.yaml", HELLO), ("long.yaml", LONG)]);
    let ledger = fleet.sandbox.path("ledger");
    let mut driving = fleet.sandbox.spawn(&format!("run long.yaml -i ledger={}", ledger.display()));
    has_begun(&ledger);
    let run = fleet.run("runs list --json").json()["items"][0]["run_id"].as_str().unwrap().to_owned();
    driving.kill().unwrap();
    driving.wait().unwrap();
    let worker = fleet.sandbox.spawn("worker");
    // Nobody counts as alive any more who has driven it, and the worker has taken up what came later.
    until(|| {
        let listed = fleet.run("worker list --json").json();
        let labels: Vec<&str> =
            listed["items"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap()).collect();
        matches!(labels[..], [label] if label.contains("a worker"))
    });
    let later = fleet.leave("hello.yaml");
    assert_eq!(fleet.ended(&later)["status"], "completed");
    let shown = fleet.show(&run);
    assert_eq!((&shown["finished_at"], &shown["steps"][1]["attempts"]), (&Value::Null, &json!(1)), "{shown}");
    tell(&worker, Signal::TERM);
    Said::by(worker).exits(143);
    fleet.run(&format!("runs resume {run}")).exits(0);
    assert_eq!(fleet.sandbox.read("ledger"), "1\n2\n");
}

#[test]
fn two_workers_share_what_is_to_be_done() {
    let fleet = Fleet::with(&[("hello.yaml", HELLO)]);
    let runs: Vec<String> =
        (0..12).map(|number| fleet.leave(&format!("hello.yaml -i name=n{number}"))).collect();
    let workers = [fleet.sandbox.spawn("worker --slots 2"), fleet.sandbox.spawn("worker --slots 2")];
    for run in &runs {
        assert_eq!(fleet.ended(run)["status"], "completed");
    }
    let mut ended = 0;
    for worker in workers {
        tell(&worker, Signal::TERM);
        let told = Said::by(worker).exits(143);
        ended += told.err.lines().filter(|line| line.starts_with("completed ")).count();
    }
    assert_eq!(ended, runs.len(), "each was driven to its end by one of them");
    assert!(!fleet.database.url().is_empty());
}
