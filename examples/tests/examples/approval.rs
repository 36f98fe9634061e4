//! `publish-with-approval.yaml`

use serde_json::Value;

use crate::bench::{Bench, step};

const EXAMPLE: &str = "publish-with-approval.yaml";

/// Runs the example up to its question.
fn asked() -> Bench {
    let bench = Bench::new();
    let done = bench.start(EXAMPLE, &["version=2.0.0"]);
    assert_eq!(done.code, Some(9), "nobody is there to decide: {done:?}");
    assert!(done.stderr.contains("approval approve run_"), "the next command is told: {done:?}");
    let report = done.json();
    assert_eq!(report["status"], "blocked");
    let waiting = &report["waiting_for"][0];
    assert_eq!(waiting["step"], "review");
    assert_eq!(waiting["message"], "Publish the announcement of 2.0.0?");
    assert_eq!(
        waiting["show"],
        step(&report, "draft")["output"]["text"],
        "the decider sees what would be published"
    );
    bench
}

fn decide_and_resume(bench: &Bench, decision: &str) -> Value {
    let decided = bench.orchestrator(&["approval", decision, "@last", "--comment", "looked at it", "--json"]);
    assert_eq!(decided.code, Some(0), "{decided:?}");
    let again = bench.orchestrator(&["approval", "approve", "@last"]);
    assert_eq!(again.code, Some(6), "a decision is made once: {again:?}");
    let resumed = bench.orchestrator(&["runs", "resume", "@last", "--json"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    resumed.json()
}

#[test]
fn a_yes_publishes_exactly_once() {
    let bench = asked();
    let report = decide_and_resume(&bench, "approve");
    assert_eq!(report["outputs"]["approved"], true);
    assert_eq!(report["outputs"]["published"], true);
    let published = bench.file("out/published.md").expect("it is published");
    assert_eq!(published.matches("# Version 2.0.0 is out").count(), 1, "{published}");
    assert_eq!(step(&report, "draft")["attempts"], 1, "what had ended was not repeated");
    assert_eq!(step(&report, "publish")["effect"], "at_most_once");
}

#[test]
fn a_no_publishes_nothing_and_is_no_failure() {
    let bench = asked();
    let report = decide_and_resume(&bench, "reject");
    assert_eq!(report["status"], "completed");
    assert_eq!(report["outputs"]["approved"], false);
    assert_eq!(report["outputs"]["published"], false);
    assert_eq!(step(&report, "publish")["status"], "skipped");
    assert_eq!(step(&report, "review")["output"]["comment"], "looked at it");
    assert_eq!(bench.file("out/published.md"), None);
}
