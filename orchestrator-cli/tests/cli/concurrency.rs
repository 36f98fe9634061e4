//! `concurrency` and `paths`: several processes on one store, of whose steps no more are executed at once than a key allows, and
//! none that are in each other's way.

use serde_json::{Value, json};

use crate::sandbox::until;
use crate::{Said, Sandbox};

const DEPLOY: &str = "\
name: deploy
steps:
  build: { run: echo built, effect: pure }
  deploy:
    needs: build
    run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go
    effect: pure
    concurrency: production
";

const QUICK: &str = "\
name: quick
steps:
  deploy: { run: echo quick, effect: pure, concurrency: { key: production, on_full: ON_FULL } }
";

fn sandbox() -> Sandbox {
    let wait = QUICK.replace("ON_FULL", "wait");
    let refuse = QUICK.replace("ON_FULL", "refuse");
    let sandbox = Sandbox::with(&[("deploy.yaml", DEPLOY), ("wait.yaml", &wait), ("refuse.yaml", &refuse)]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    sandbox
}

/// The run of a workflow, and what it waits for.
fn shown(sandbox: &Sandbox, workflow: &str) -> Option<(String, Value)> {
    let list = sandbox.run("runs list --json").exits(0).json();
    let run =
        list["items"].as_array().unwrap().iter().find(|run| run["workflow"] == workflow)?["run_id"].clone();
    let run = run.as_str().unwrap().to_owned();
    let waits = sandbox.run(&format!("runs show {run} --json")).exits(0).json()["waiting_for"].clone();
    Some((run, waits))
}

const EDIT: &str = "\
name: edit
steps:
  edit:
    run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go
    effect: pure
    paths: [src]
";

const OTHERS: &str = "\
name: quick
steps:
  docs: { run: echo docs, effect: pure, paths: [docs] }
  file: { run: echo file, effect: pure, paths: { read: ['src/*.rs'], write: [target] } }
";

fn waits_for_a_place(sandbox: &Sandbox) -> bool {
    shown(sandbox, "quick").is_some_and(|(_, waits)| waits[0]["kind"] == "concurrency")
}

#[test]
fn a_step_waits_for_the_one_that_holds_its_place_and_says_so() {
    let sandbox = sandbox();
    let first = sandbox.spawn("run deploy.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    let holder = sandbox.last_id();
    let second = sandbox.spawn("run wait.yaml");
    until(|| waits_for_a_place(&sandbox));
    let (run, waits) = shown(&sandbox, "quick").unwrap();
    assert_eq!((&waits[0]["key"], &waits[0]["step"]), (&json!("production"), &json!("deploy")));
    let held = &waits[0]["held_by"];
    assert_eq!(
        (&held[0]["run"], &held[0]["step"], held.as_array().unwrap().len()),
        (&json!(holder), &json!("deploy"), 1)
    );
    let told = sandbox.run(&format!("runs show {run}")).exits(0).out;
    assert!(told.contains("waits for a place under `production`, held by deploy of run_"), "{told}");
    let doctor = sandbox.run("doctor").exits(0).out;
    assert!(doctor.contains("waits for a place under `production`, held by deploy of run_"), "{doctor}");
    let refused = sandbox.run("run refuse.yaml").exits(1);
    assert!(refused.err.contains("no more than 1 may hold `production` at once"), "{}", refused.err);
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(first).exits(0);
    let second = Said::by(second).exits(0);
    assert!(second.err.contains("deploy waits for a place under `production`"), "{}", second.err);
}

#[test]
fn what_was_killed_holds_its_place_until_somebody_goes_on_with_it() {
    let sandbox = sandbox();
    let mut first = sandbox.spawn("run deploy.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    let holder = sandbox.last_id();
    let second = sandbox.spawn("run wait.yaml");
    until(|| waits_for_a_place(&sandbox));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(waits_for_a_place(&sandbox), "whether it still deploys nobody can tell yet");
    let resumed = sandbox.spawn(&format!("runs resume {holder}"));
    assert_eq!(sandbox.hear("begun"), "2\n");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(resumed).exits(0);
    Said::by(second).exits(0);
    let checked = sandbox.run("store check").exits(0);
    assert!(!checked.out.contains("place"), "{}", checked.out);
}

#[test]
fn a_step_waits_for_paths_that_another_one_writes_also_when_that_was_killed() {
    let sandbox = Sandbox::with(&[("edit.yaml", EDIT), ("others.yaml", OTHERS)]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    let mut first = sandbox.spawn("run edit.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    let holder = sandbox.last_id();
    let second = sandbox.spawn("run others.yaml");
    let waits = || shown(&sandbox, "quick").filter(|(_, waits)| waits[0]["kind"] == "paths");
    until(|| waits().is_some());
    let (run, waiting) = waits().unwrap();
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["step"]), (1, &json!("file")));
    assert_eq!(waiting[0]["paths"], json!({ "read": ["src/*.rs"], "write": ["target"] }));
    assert_eq!(waiting[0]["held_by"][0]["run"], json!(holder));
    let told = "waits for the paths `target`, `src/*.rs` to read, held by edit of run_";
    for asked in [format!("runs show {run}"), "doctor".to_owned()] {
        let said = sandbox.run(&asked).exits(0).out;
        assert!(said.contains(told), "{said}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(waits().is_some(), "whether it still writes nobody can tell yet");
    let resumed = sandbox.spawn(&format!("runs resume {holder}"));
    assert_eq!(sandbox.hear("begun"), "2\n");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(resumed).exits(0);
    Said::by(second).exits(0);
    sandbox.run("store check").exits(0);
}

#[test]
fn what_is_wrong_with_a_key_is_told_with_its_place() {
    let flow = "name: wrong\nsteps:\n  a: { run: x, concurrency: { group: a } }\n  b: { run: x, concurrency: { key: '', limit: 0 } }\n  \
                c: { run: x, concurrency: { key: k, on_full: stop } }\n  d: { run: x, concurrency: [k] }\n  \
                e: { run: x, concurrency: \"${{ secrets.s }}\" }\n  f: { run: x, concurrency: \"${{ steps.g.stdout }}\" }\n  g: { run: x, paths: \"${{ secrets.s }}\" }\n";
    let sandbox = Sandbox::with(&[("wrong.yaml", flow)]);
    let problem = sandbox.run("validate wrong.yaml --json").exits(3).problem();
    let told = problem.to_string();
    for code in ["unknown_field", "invalid_value", "out_of_range", "invalid_type", "secret_not_allowed"] {
        assert!(told.contains(code), "{code}: {told}");
    }
    assert!(told.contains("/steps/a/concurrency/group"), "{told}");
    assert_eq!(told.matches("secret_not_allowed").count(), 2, "{told}");
    // A key that only shows to be empty when it is rendered.
    let flow = "name: empty\ninputs: { k: { type: string, default: '' } }\nsteps:\n  a: { run: x, concurrency: \"${{ inputs.k }}\" }\n";
    sandbox.write("empty.yaml", flow);
    let failed = sandbox.run("run empty.yaml").exits(1);
    assert!(failed.err.contains("the key of `concurrency` has 0 bytes"), "{}", failed.err);
    let taken = sandbox.run("run empty.yaml -i k=paths:default").exits(1);
    assert!(taken.err.contains("begins with `paths:`, which is kept for `paths`"), "{}", taken.err);
}

const ASK: &str = "\
name: ask
steps:
  ask: { run: echo asked, effect: pure, rate: { key: api, limit: 1, per: PER } }
";

/// The run that waits first for its turn, once there is one; `None` before.
fn waits_for_its_turn(sandbox: &Sandbox, beside: &[String]) -> Option<String> {
    let list = sandbox.run("runs list --json").exits(0).json();
    let runs = list["items"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned());
    let mut others = runs.filter(|run| !beside.contains(run));
    others.find(|run| {
        let shown = sandbox.run(&format!("runs show {run} --json")).exits(0).json();
        shown["waiting_for"][0]["kind"] == "rate"
    })
}

#[test]
fn who_waits_for_its_turn_under_a_rate_says_so_and_the_dead_hold_up_nobody() {
    let sandbox = Sandbox::with(&[("ask.yaml", &ASK.replace("PER", "4s"))]);
    sandbox.run("run ask.yaml").exits(0);
    let mut first = sandbox.spawn("run ask.yaml");
    until(|| waits_for_its_turn(&sandbox, &[]).is_some());
    let in_front = waits_for_its_turn(&sandbox, &[]).unwrap();
    let told = sandbox.run(&format!("runs show {in_front}")).exits(0).out;
    assert!(told.contains("no more than 1 may begin under `api` in 4s"), "{told}");
    let found = sandbox.run("doctor").out;
    assert!(found.contains("waits for its turn"), "{found}");
    let behind = sandbox.spawn("run ask.yaml");
    until(|| waits_for_its_turn(&sandbox, std::slice::from_ref(&in_front)).is_some());
    // Whoever stands in front is gone for good; no worker looks after the store.
    first.kill().expect("it runs");
    first.wait().expect("it was killed");
    Said::by(behind).exits(0);
}
