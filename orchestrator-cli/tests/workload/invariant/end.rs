//! The end: every run, step and item ends as the model says.

use serde_json::json;

use crate::facts::{Facts, Run};
use crate::invariant::{Column, Invariant};

/// What may become of a step of a run that is cancelled, beside what would have become of it.
const CANCELLED: [&str; 4] = ["cancelled", "skipped", "outcome_unknown", "failed"];

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "end",
    column: Column::Regressions,
    check,
    plant: |facts| {
        let run = facts.runs.iter_mut().find(|run| run.shown["status"] == "completed" && !run.cancelled)?;
        run.shown["outputs"] = json!({ "s99": "twice" });
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let of =
        |run: &Run| of_run(run).into_iter().map(|what| format!("{}: {what}", run.id)).collect::<Vec<_>>();
    facts.runs.iter().flat_map(of).collect()
}

fn of_run(run: &Run) -> Vec<String> {
    let mut faults = Vec::new();
    let fate = run.flow.fate();
    let status = run.shown["status"].as_str().unwrap_or_default();
    // A failure that comes after somebody has cancelled is not retried any more, and may be how the run ends.
    let has_failed = run.rows().any(|(_, row)| row["status"] == "failed");
    let may_be = |status: &str| status == "cancelled" || status == "failed" && has_failed;
    if status != fate.run.shown() && !(run.cancelled && may_be(status)) {
        faults.push(format!("is {status} in place of {}: {}", fate.run.shown(), run.shown["error"]));
    }
    if run.shown["outputs"] != fate.outputs && !(run.cancelled && run.shown["outputs"].is_null()) {
        faults.push(format!("gives {} in place of {}", run.shown["outputs"], fate.outputs));
    }
    for (unit, row) in run.rows() {
        let status = row["status"].as_str().unwrap_or_default();
        let wanted = fate.units.get(&unit).map(|end| end.shown());
        let is_handled = unit.0 == "handler" && run.shown["status"] == "failed";
        let may_be = CANCELLED.contains(&status) || is_handled && status == "completed";
        if wanted != Some(status) && !(run.cancelled && may_be) {
            faults.push(format!("{unit:?} is {status} in place of {wanted:?}: {}", row["error"]));
        }
    }
    let shown: Vec<_> = run.rows().map(|(unit, _)| unit).collect();
    let missing = fate.units.keys().filter(|unit| !shown.contains(unit));
    if !run.cancelled {
        faults.extend(missing.map(|unit| format!("{unit:?} is not shown")));
    }
    faults
}

#[test]
fn an_end_that_nobody_has_predicted_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
