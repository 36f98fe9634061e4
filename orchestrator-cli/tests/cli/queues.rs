//! Steps that go to the workers of their queue.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;

use crate::fleet::{Fleet, tell};
use crate::sandbox::until;
use crate::{Said, Sandbox};

const PLACED: &str = "\
name: placed
inputs: { out: { type: string } }
steps:
  here:
    run: echo one
    effect: pure
  there:
    run: echo \"$PWD\" >\"$OUT\"; echo two
    env: { OUT: \"${{ inputs.out }}\" }
    needs: here
    queue: gpu
    sandbox: none
    labels: { zone: eu }
outputs: { said: \"${{ steps.there.stdout }}\" }
";

/// Tells its process, and does not end by itself.
const ENDLESS: &str = "\
name: endless
inputs: { out: { type: string } }
steps:
  there:
    run: echo $$ >>\"$OUT\"; sleep 600
    env: { OUT: \"${{ inputs.out }}\" }
    queue: gpu
    sandbox: none
    effect: idempotent
";

#[test]
fn a_step_goes_to_the_worker_of_its_queue() {
    let fleet = Fleet::with(&[("placed.yaml", PLACED)]);
    let out = fleet.sandbox.path("out");
    let plain = fleet.sandbox.spawn("worker --workspaces plain");
    let run = fleet.leave(&format!("placed.yaml -i out={}", out.display()));
    until(|| fleet.show(&run)["waiting_for"][0]["kind"] == "worker");
    let told = fleet.run("doctor").out;
    let waits = "waits for a worker that serves queue `gpu` with zone=eu";
    assert!(told.contains(waits), "{told}");
    let wrong = fleet.sandbox.spawn("worker --queue gpu --label zone=us --workspaces wrong");
    let right = fleet.sandbox.spawn("worker --queue gpu --label zone=eu --label x=y --workspaces right");
    let ended = fleet.ended(&run);
    assert_eq!((&ended["status"], &ended["outputs"]), (&json!("completed"), &json!({ "said": "two" })));
    let folder = fs::read_to_string(&out).unwrap();
    assert!(folder.trim().ends_with(&format!("/right/{run}")), "{folder}");
    let listed = fleet.run("worker list --json").exits(0).json();
    let mut serves: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|row| row["queues"].clone()).collect();
    serves.sort_by_key(ToString::to_string);
    assert_eq!(serves, [json!(["default"]), json!(["gpu"]), json!(["gpu"])]);
    let shown = fleet.run("worker list").out;
    assert!(shown.contains("gpu (x=y, zone=eu)"), "{shown}");
    for worker in [plain, wrong, right] {
        tell(&worker, Signal::TERM);
        Said::by(worker).exits(143);
    }
}

#[test]
fn a_run_says_which_worker_it_waits_for() {
    let sandbox = Sandbox::with(&[("placed.yaml", PLACED)]);
    let out = sandbox.path("out");
    let said = sandbox.run(&format!("run placed.yaml -i out={}", out.display())).exits(9);
    let command = said.from("orchestrator worker");
    assert!(
        said.err.contains("there waits for a worker that serves queue `gpu` with zone=eu"),
        "{}",
        said.err
    );
    assert!(command.ends_with("worker --queue gpu --label zone=eu"), "{command}");
    let worker = sandbox.spawn("worker --queue gpu --label zone=eu");
    sandbox.run("runs resume @last").exits(0);
    tell(&worker, Signal::TERM);
    Said::by(worker).exits(143);
}

fn lives(pid: &str) -> bool {
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).unwrap();
    test_kill_process(pid).is_ok()
}

fn told(ledger: &Path, lines: usize) -> Vec<String> {
    until(|| fs::read_to_string(ledger).is_ok_and(|told| told.lines().count() == lines));
    fs::read_to_string(ledger).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_cancel_reaches_what_another_worker_executes() {
    let fleet = Fleet::with(&[("endless.yaml", ENDLESS)]);
    let ledger = fleet.sandbox.path("ledger");
    let workers = [fleet.sandbox.spawn("worker"), fleet.sandbox.spawn("worker --queue gpu")];
    let run = fleet.leave(&format!("endless.yaml -i out={}", ledger.display()));
    let child = told(&ledger, 1).remove(0);
    fleet.run(&format!("runs cancel {run}")).exits(0);
    assert_eq!(fleet.ended(&run)["status"], "cancelled");
    assert!(!lives(&child), "what it executed is over when the run is");
    for worker in workers {
        tell(&worker, Signal::TERM);
        Said::by(worker).exits(143);
    }
}

#[test]
fn what_a_killed_worker_had_claimed_begins_again_elsewhere() {
    let fleet = Fleet::with(&[("endless.yaml", ENDLESS)]);
    let ledger = fleet.sandbox.path("ledger");
    let plain = fleet.sandbox.spawn("worker");
    let mut dying = fleet.sandbox.spawn("worker --queue gpu");
    let run = fleet.leave(&format!("endless.yaml -i out={}", ledger.display()));
    let first = told(&ledger, 1).remove(0);
    dying.kill().unwrap();
    dying.wait().unwrap();
    let staying = fleet.sandbox.spawn("worker --queue gpu");
    let second = told(&ledger, 2).remove(1);
    assert!(!lives(&first) && lives(&second), "{first} {second}");
    // One that is drained gives back what it executes.
    tell(&staying, Signal::TERM);
    let third = fleet.sandbox.spawn("worker --queue gpu");
    Said::by(staying).exits(143);
    told(&ledger, 3);
    assert_eq!(fleet.show(&run)["steps"][0]["attempts"], 3);
    fleet.run(&format!("runs cancel {run}")).exits(0);
    assert_eq!(fleet.ended(&run)["status"], "cancelled");
    for worker in [plain, third] {
        tell(&worker, Signal::TERM);
        Said::by(worker).exits(143);
    }
}

#[test]
fn a_worker_that_serves_nothing_sensible_is_told_so() {
    let sandbox = Sandbox::with(&[]);
    for (words, why) in [
        ("worker --queue two/words", "--queue two/words: the name of a queue is 1 to 64 letters"),
        ("worker --label zone", "--label zone: write KEY=VALUE"),
        ("worker --label =eu", "--label =eu: write KEY=VALUE"),
        ("worker --label zone=eu --label zone=us", "--label zone: given twice"),
    ] {
        let said = sandbox.run(words).exits(2);
        assert!(said.err.contains(why), "{words}: {}", said.err);
    }
}
