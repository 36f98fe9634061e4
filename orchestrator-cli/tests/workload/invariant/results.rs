//! I7: a step, and an item, ends exactly once in a generation.

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};
use crate::model::Unit;
use crate::printed::is_result;

/// States that nothing follows.
const FINAL: [&str; 4] = ["completed", "failed", "cancelled", "skipped"];

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I7 results",
    column: Column::Regressions,
    check,
    // In place of what has happened before its end.
    plant: |facts| {
        for run in &mut facts.runs {
            let ended: Vec<Unit> = run.units().into_iter().collect();
            for unit in ended {
                let events: Vec<usize> = run.of(&unit).map(|(at, _)| at).collect();
                if let [begun, .., ended] = events[..]
                    && run.events[ended]["kind"] == "step.succeeded"
                {
                    run.events[begun]["kind"] = run.events[ended]["kind"].clone();
                    return Some(());
                }
            }
        }
        None
    },
    also: &["I3 transitions", "I5 fold", "I6 attempts", "I8 at_most_once", "I8 idempotent", "I10 rights"],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        for generation in run.events.split(|event| event["kind"] == "run.reopened") {
            for unit in run.units() {
                let results = generation
                    .iter()
                    .filter(|event| crate::replay::unit(event).as_ref() == Some(&unit) && is_result(event))
                    .count();
                if results > 1 {
                    faults.push(format!("{}: {unit:?} has ended {results} times", run.id));
                }
            }
        }
        for (unit, row) in run.rows() {
            let has_ended = FINAL.iter().any(|status| row["status"] == *status);
            if has_ended && run.of(&unit).next().is_some() && run.ended_at(&unit).is_none() {
                faults.push(format!("{}: {unit:?} is {} without a result", run.id, row["status"]));
            }
        }
    }
    faults
}

#[test]
fn a_second_result_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
