//! I10: each right is larger than every earlier one, only the driver begins anything, and no effect is had under an older
//! right than one before it.

use serde_json::{Value, json};

use crate::facts::{Facts, Run};
use crate::invariant::{Column, Invariant};
use crate::printed::rising;
use crate::replay::kind;

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I10 rights",
    column: Column::Regressions,
    check,
    plant: |facts| {
        let spoils = |run: &mut Run| {
            let at = run.events.iter().rposition(|event| event["kind"] == "driver.taken")?;
            run.events[at]["epoch"] = json!(0);
            Some(())
        };
        facts.runs.iter_mut().find_map(spoils)
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        driven(run, &mut faults);
        for unit in run.units() {
            let fenced = ["step.begun", "step.continued", "step.offered"];
            let rights: Vec<&Value> =
                run.of(&unit).map(|(_, event)| event).filter(|event| fenced.contains(&kind(event))).collect();
            rising(&format!("{}: {unit:?}", run.id), rights.iter().copied(), &mut faults);
            let held: Vec<Option<u64>> =
                facts.lines_of(&run.id, &unit).map(|line| line.fence).filter(Option::is_some).collect();
            let known = |right: &Option<u64>| rights.iter().any(|event| event["epoch"].as_u64() == *right);
            if !held.is_sorted() || !held.iter().all(known) {
                faults.push(format!("{}: {unit:?} has had effects under the rights {held:?}", run.id));
            }
        }
    }
    faults
}

/// Who drives is known, and whoever begins something drives.
fn driven(run: &Run, faults: &mut Vec<String>) {
    rising(&run.id, run.events.iter().filter(|event| event["kind"] == "driver.taken"), faults);
    let mut driver = Value::Null;
    for event in &run.events {
        match kind(event) {
            "driver.taken" => driver = event["owner"].clone(),
            "driver.released" | "run.ended" => driver = Value::Null,
            "step.begun" | "step.continued" if event["owner"] != driver => {
                faults.push(format!("{}: {event} while {driver} drives", run.id));
            }
            _ => {}
        }
    }
}

#[test]
fn a_right_that_falls_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
