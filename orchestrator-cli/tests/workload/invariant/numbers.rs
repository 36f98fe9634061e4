//! I4: the events of a run are numbered 1, 2, 3 … without gaps.

use serde_json::json;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I4 numbers",
    column: Column::Regressions,
    check,
    plant: |facts| {
        let event = facts.runs.first_mut()?.events.get_mut(1)?;
        event["seq"] = json!(3);
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        let numbers = run.events.iter().map(|event| event["seq"].as_u64());
        if let Some((at, number)) = (1..).zip(numbers).find(|(at, number)| *number != Some(*at)) {
            faults.push(format!("{}: event {number:?} stands where {at} should be", run.id));
        }
        let created = run.events.iter().filter(|event| event["kind"] == "run.created").count();
        if created != 1 || run.events[0]["kind"] != "run.created" {
            faults.push(format!("{}: the log does not begin with `run.created`, once", run.id));
        }
    }
    faults
}

#[test]
fn a_gap_in_a_log_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
