//! I2: in the end every run has ended, or waits for something that it names.

use serde_json::json;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

/// What an open run may wait for.
const DECLARED: [&str; 6] = ["approval", "qa", "signal", "outcome_unknown", "quarantine", "paused"];

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I2 stuck",
    column: Column::Stuck,
    check,
    plant: |facts| {
        let run = facts.listed.keys().next()?.clone();
        let open = json!({ "run_id": run, "kind": "undriven", "text": "could go on, but nobody drives it" });
        facts.doctor["runs"].as_array_mut()?.push(open);
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = facts.hung.clone();
    if facts.doctor["ok"] != true {
        faults.push(format!("doctor: {}", facts.doctor["checks"]));
    }
    let open = facts.doctor["runs"].as_array().into_iter().flatten();
    for run in open.clone().filter(|run| !DECLARED.iter().any(|kind| run["kind"] == *kind)) {
        faults.push(format!("{}: {}", run["run_id"], run["text"]));
    }
    for (run, row) in facts.listed.iter().filter(|(_, row)| row["finished_at"].is_null()) {
        if !open.clone().any(|open| open["run_id"] == **run) {
            faults.push(format!("{run} is {}, and doctor says nothing of it", row["status"]));
        }
    }
    faults
}

#[test]
fn a_run_that_nobody_moves_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
