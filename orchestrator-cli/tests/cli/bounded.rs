//! `concurrency` of a workflow: several processes on one store, of which no more carry out runs at once than the key allows.

use serde_json::{Value, json};

use crate::sandbox::until;
use crate::{Said, Sandbox};

const MIGRATE: &str = "\
name: migrate
inputs: { env: { type: string, default: live } }
concurrency: migrate-${{ inputs.env }}
steps:
  first: { run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go, effect: pure }
  second: { needs: first, run: echo done, effect: pure }
";

const NEXT: &str = "\
name: next
concurrency: { key: migrate-live, on_full: ON_FULL }
steps:
  only: { run: echo next, effect: pure }
";

fn sandbox() -> Sandbox {
    let [wait, refuse, newest] =
        ["wait", "refuse", "cancel_newest"].map(|word| NEXT.replace("ON_FULL", word));
    let sandbox = Sandbox::with(&[
        ("migrate.yaml", MIGRATE),
        ("wait.yaml", &wait),
        ("refuse.yaml", &refuse),
        ("newest.yaml", &newest),
    ]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    sandbox
}

/// The first run that waits for a place, as it is shown.
fn waits(sandbox: &Sandbox) -> Option<Value> {
    let list = sandbox.run("runs list --json").exits(0).json();
    let pending = list["items"].as_array().unwrap().iter().find(|run| run["status"] == "pending")?.clone();
    let run = pending["run_id"].as_str().unwrap();
    let shown = sandbox.run(&format!("runs show {run} --json")).exits(0).json();
    (shown["waiting_for"][0]["kind"] == "concurrency").then_some(shown)
}

#[test]
fn a_run_waits_for_the_one_that_has_its_place_and_says_so() {
    let sandbox = sandbox();
    let first = sandbox.spawn("run migrate.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    let holder = sandbox.last_id();
    let second = sandbox.spawn("run wait.yaml");
    until(|| waits(&sandbox).is_some());
    let shown = waits(&sandbox).unwrap();
    let waiting = &shown["waiting_for"][0];
    assert_eq!((&waiting["key"], &waiting["step"]), (&json!("migrate-live"), &Value::Null));
    assert_eq!(
        (&waiting["held_by"][0]["run"], &waiting["held_by"][0]["step"]),
        (&json!(holder), &Value::Null)
    );
    assert_eq!(
        (&shown["steps"][0]["status"], &shown["steps"][0]["attempts"]),
        (&json!("pending"), &json!(0))
    );
    let told = format!("the run waits for a place under `migrate-live`, held by {holder}");
    for asked in [format!("runs show {}", shown["run_id"].as_str().unwrap()), "doctor".to_owned()] {
        let said = sandbox.run(&asked).exits(0).out;
        assert!(said.contains(&told), "{said}");
    }
    let refused = sandbox.run("run refuse.yaml").exits(1);
    assert!(refused.err.contains("no more than 1 may hold `migrate-live` at once"), "{}", refused.err);
    let cancelled = sandbox.run("run newest.yaml");
    assert!(cancelled.err.contains("cancelled by concurrency"), "{}", cancelled.err);
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(first).exits(0);
    let second = Said::by(second).exits(0);
    assert!(second.err.contains("the run waits for a place under `migrate-live`"), "{}", second.err);
}

#[test]
fn a_run_whose_process_was_killed_has_its_place_until_it_has_ended() {
    let sandbox = sandbox();
    let mut first = sandbox.spawn("run migrate.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    let holder = sandbox.last_id();
    let second = sandbox.spawn("run wait.yaml");
    until(|| waits(&sandbox).is_some());
    first.kill().unwrap();
    first.wait().unwrap();
    let waiting =
        waits(&sandbox).expect("whether it still goes on nobody can tell yet")["waiting_for"][0].clone();
    assert_eq!(waiting["held_by"][0]["run"], json!(holder));
    let resumed = sandbox.spawn(&format!("runs resume {holder}"));
    assert_eq!(sandbox.hear("begun"), "2\n");
    assert!(waits(&sandbox).is_some(), "who goes on with it has its place");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(resumed).exits(0);
    Said::by(second).exits(0);
    let checked = sandbox.run("store check").exits(0);
    assert!(!checked.out.contains("place"), "{}", checked.out);
    let events = sandbox.run(&format!("runs events {holder} --json")).exits(0).out;
    assert_eq!(events.matches("run.entered").count(), 1, "{events}");
}

#[test]
fn who_waits_is_cancelled_at_once() {
    let sandbox = sandbox();
    let first = sandbox.spawn("run migrate.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    let second = sandbox.spawn("run wait.yaml");
    until(|| waits(&sandbox).is_some());
    let run = waits(&sandbox).unwrap()["run_id"].as_str().unwrap().to_owned();
    sandbox.run(&format!("runs cancel {run}")).exits(0);
    let said = Said::by(second);
    let shown = sandbox.run(&format!("runs show {run} --json")).exits(0).json();
    assert_eq!(
        (&shown["status"], &shown["steps"][0]["status"]),
        (&json!("cancelled"), &json!("cancelled")),
        "{}",
        said.err
    );
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(first).exits(0);
    // Another environment is another key.
    let other = sandbox.spawn("run migrate.yaml -i env=test");
    assert_eq!(sandbox.hear("begun"), "1\n");
    sandbox.run("run wait.yaml").exits(0);
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(other).exits(0);
}
