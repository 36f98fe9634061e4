//! `queue pause`, `queue resume` and `queue list`, with processes that work meanwhile.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fleet::{Fleet, tell};
use crate::sandbox::until;
use crate::{HELLO, Said, Sandbox};

/// The first step says that it has begun, and goes on until there is a file; another follows.
const TWO: &str = "\
name: two
inputs: { out: { type: string } }
steps:
  first:
    run: |
      echo first >>\"$OUT\"
      until test -e \"$OUT.go\"; do sleep 0.02; done
    env: { OUT: \"${{ inputs.out }}\" }
    sandbox: none
    effect: idempotent
  second:
    run: echo second >>\"$OUT\"
    env: { OUT: \"${{ inputs.out }}\" }
    needs: first
    sandbox: none
";

const MARK: &str = "\
name: mark
steps:
  there: { run: echo there, queue: cpu, effect: pure }
";

const GPU: &str = "\
name: gpu
steps:
  there: { run: echo there, queue: gpu, effect: pure }
";

/// The queue of this name, as `queue list` has it.
fn queue(list: &Value, name: &str) -> Value {
    let items = list["items"].as_array().expect("a list");
    items.iter().find(|item| item["queue"] == name).cloned().unwrap_or_default()
}

fn waits_for_a_resume(shown: &Value, step: &str) -> bool {
    let waits = shown["waiting_for"].as_array().expect("a list");
    waits.iter().any(|waiting| waiting["kind"] == "queue" && waiting["step"] == step)
}

#[test]
fn what_runs_ends_and_nothing_new_begins_until_somebody_resumes_the_queue() {
    let fleet = Fleet::with(&[("two.yaml", TWO), ("mark.yaml", MARK)]);
    let (out, go) = (fleet.sandbox.path("out"), fleet.sandbox.path("out.go"));
    let mut worker = fleet.sandbox.spawn("worker --queue default --queue cpu");
    let run = fleet.leave(&format!("two.yaml -i out={}", out.display()));
    let written = || fs::read_to_string(&out).unwrap_or_default();
    until(|| written() == "first\n");

    let said = fleet.run("queue pause default").exits(0);
    assert_eq!(said.out, "default: paused\n");
    assert!(said.err.contains("orchestrator queue resume default"), "{}", said.err);
    // Once the worker knows, it takes up runs, executes what is of its other queue, and begins nothing of this one.
    let drives = || fleet.run("worker list --json").json()["items"][0]["runs"].as_u64();
    until(|| {
        let before = drives();
        let probe = fleet.leave(&format!("two.yaml -i out={}.probe", out.display()));
        until(|| drives() > before);
        let marker = fleet.leave("mark.yaml");
        assert_eq!(fleet.ended(&marker)["status"], "completed");
        let shown = fleet.show(&probe);
        fleet.run(&format!("runs cancel {probe}")).exits(0);
        fleet.ended(&probe);
        shown["steps"][0]["status"] == "pending" && waits_for_a_resume(&shown, "first")
    });
    fs::write(&go, "").unwrap();
    until(|| fleet.show(&run)["steps"][0]["status"] == "completed");
    until(|| waits_for_a_resume(&fleet.show(&run), "second"));

    // Whoever comes next has not paused it, and begins nothing all the same.
    worker.kill().unwrap();
    worker.wait().unwrap();
    let next = fleet.sandbox.spawn("worker --queue default --queue cpu");
    let marker = fleet.leave("mark.yaml");
    assert_eq!(fleet.ended(&marker)["status"], "completed");
    let told = fleet.run("doctor").out;
    let why = "second waits because queue `default` is paused since ";
    assert!(told.contains(why) && told.contains("orchestrator queue resume default"), "{told}");
    assert!(told.contains("queue `default` is paused since "), "{told}");
    assert_eq!(written(), "first\n");
    assert_eq!(fleet.run("queue resume default").exits(0).out.split(';').next(), Some("default: resumed"));
    assert_eq!(fleet.ended(&run)["status"], "completed");
    assert_eq!(written(), "first\nsecond\n");
    tell(&next, Signal::TERM);
    Said::by(next).exits(143);
}

#[test]
fn a_worker_claims_nothing_of_a_paused_queue() {
    let fleet = Fleet::with(&[("gpu.yaml", GPU)]);
    fleet.run("queue pause gpu").exits(4);
    let workers = [fleet.sandbox.spawn("worker"), fleet.sandbox.spawn("worker --queue gpu --slots 3")];
    let first = fleet.leave("gpu.yaml");
    assert_eq!(fleet.ended(&first)["status"], "completed");
    fleet.run("queue pause gpu").exits(0);
    // Whoever drives one may have offered it before it knew of the pause: that waits like the others.
    let waiting = |list: &Value| {
        let gpu = queue(list, "gpu");
        Some(gpu["held"].as_u64()? + gpu["offered"].as_u64()?)
    };
    let mut runs = Vec::new();
    // What is left before both know of it may still be executed.
    until(|| {
        let run = fleet.leave("gpu.yaml");
        until(|| {
            let shown = fleet.show(&run);
            shown["status"] == "completed" || waits_for_a_resume(&shown, "there")
        });
        fleet.show(&run)["status"] != "completed"
    });
    runs.extend((0..2).map(|_| fleet.leave("gpu.yaml")));
    until(|| waiting(&fleet.run("queue list --json").json()).is_some_and(|waiting| waiting >= 3));
    let list = fleet.run("queue list --json").exits(0).json();
    let (gpu, plain) = (queue(&list, "gpu"), queue(&list, "default"));
    assert_eq!((&gpu["status"], &gpu["slots"], &gpu["claimed"]), (&json!("paused"), &json!(3), &json!(0)));
    assert_eq!(gpu["workers"].as_array().unwrap().len(), 1);
    assert_eq!((&plain["status"], &plain["since"]), (&json!("open"), &Value::Null));
    assert_eq!(list["next"], Value::Null);
    let table = fleet.run("queue list").exits(0);
    assert!(table.out.starts_with("QUEUE"), "{}", table.out);
    assert!(table.err.contains("gpu is paused since"), "{}", table.err);
    fleet.run("queue resume gpu").exits(0);
    for run in runs {
        assert_eq!(fleet.ended(&run)["status"], "completed");
    }
    let list = fleet.run("queue list --json").exits(0).json();
    assert_eq!(queue(&list, "gpu")["held"], 0);
    for worker in workers {
        tell(&worker, Signal::TERM);
        Said::by(worker).exits(143);
    }
}

#[test]
fn a_run_says_that_its_queue_is_paused_and_what_ends_that() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml").exits(0);
    sandbox.run("queue pause default").exits(0);
    let said = sandbox.run("run hello.yaml").exits(9);
    assert!(said.err.contains("greet waits because queue `default` is paused since "), "{}", said.err);
    let resume = said.from("orchestrator queue resume");
    assert_eq!(resume, "orchestrator queue resume default");
    let shown = sandbox.run("runs show @last --json").exits(0).json();
    let waiting = &shown["waiting_for"][0];
    assert_eq!((&waiting["kind"], &waiting["paused"]["queue"]), (&json!("queue"), &json!("default")));
    assert!(waiting["paused"]["since"].is_string() && waiting["paused"]["by"].is_string(), "{waiting}");
    let problem = sandbox.run("run hello.yaml --json").exits(9);
    assert!(problem.err.contains("queue resume default"), "{}", problem.err);
    sandbox.follow(&resume).exits(0);
    let resumed = sandbox.run("runs resume @last --json").exits(0).json();
    assert_eq!(resumed["status"], "completed");
}

#[test]
fn pausing_twice_and_resuming_what_is_not_paused_are_told_so() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let none = sandbox.run("queue list").exits(4);
    assert!(none.err.contains("there is no store"), "{}", none.err);
    sandbox.run("run hello.yaml").exits(0);
    let empty = sandbox.run("queue list").exits(0);
    assert!(empty.err.contains("nobody serves a queue"), "{}", empty.err);
    assert_eq!(sandbox.run("queue list --json").exits(0).json(), json!({ "items": [], "next": null }));
    let first = sandbox.run("queue pause gpu --json").exits(0).json();
    assert_eq!((&first["queue"], &first["status"]), (&json!("gpu"), &json!("paused")));
    assert_eq!(sandbox.run("queue pause gpu --json").exits(0).json(), first, "it stays as it is");
    let again = sandbox.run("queue pause gpu").exits(0).out;
    assert!(again.starts_with("gpu: paused already, since "), "{again}");
    let open = json!({ "queue": "gpu", "status": "open", "since": null, "by": null });
    assert_eq!(sandbox.run("queue resume gpu --json").exits(0).json(), open);
    assert_eq!(sandbox.run("queue resume gpu").exits(0).out, "gpu: it was not paused\n");
    for words in ["queue pause two/words", "queue resume two/words"] {
        let said = sandbox.run(words).exits(3);
        assert!(said.err.contains("`two/words` cannot be the name of a queue"), "{}", said.err);
        assert!(said.err.contains("1 to 64 letters"), "{}", said.err);
    }
}
