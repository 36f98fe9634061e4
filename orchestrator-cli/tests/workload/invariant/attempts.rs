//! I6: attempts are numbered 1, 2, 3 …, and there are no more than failures, losses and people's words allow.

use serde_json::{Value, json};

use crate::facts::{Facts, Run};
use crate::invariant::{Column, Invariant};
use crate::model::Unit;
use crate::printed::is_result;
use crate::replay::begins;

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I6 attempts",
    column: Column::Unrecorded,
    check,
    plant: |facts| {
        // One that leaves no line in the ledger, whose attempts are looked at elsewhere too.
        let spoils = |run: &mut Run| {
            let leaves: Vec<Unit> = run.effects().map(|(unit, _)| unit).collect();
            let unit = run
                .units()
                .into_iter()
                .find(|unit| !leaves.contains(unit) && run.begins(unit).next().is_some())?;
            let at = run.of(&unit).find(|(_, event)| begins(event))?.0;
            run.events[at]["attempt"] = json!(7);
            Some(())
        };
        facts.runs.iter_mut().find_map(spoils)
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        for unit in run.units() {
            of_unit(run, &unit, &mut faults);
        }
    }
    faults
}

fn of_unit(run: &Run, unit: &Unit, faults: &mut Vec<String>) {
    let begun: Vec<Option<u64>> = run.begins(unit).map(|event| event["attempt"].as_u64()).collect();
    if begun.iter().zip(1..).any(|(attempt, wanted)| *attempt != Some(wanted)) {
        faults.push(format!("{}: {unit:?} has begun {begun:?}", run.id));
    }
    let allowed = 1 + run.repeats(unit);
    if begun.len() > allowed {
        faults.push(format!("{}: {unit:?} has begun {} times of {allowed}", run.id, begun.len()));
    }
    let retried = run.retries(unit);
    let most = run.step(&unit.0).map_or(1, |step| step.max_attempts());
    if retried >= most {
        faults.push(format!("{}: {unit:?} is retried {retried} times, of {most} attempts", run.id));
    }
    let result = run.of(unit).map(|(_, event)| event).find(|event| is_result(event));
    if let Some(attempt) = result.map(|event| &event["attempt"]).filter(|attempt| **attempt != Value::Null)
        && attempt.as_u64() != Some(begun.len() as u64)
    {
        faults.push(format!("{}: {unit:?} ends with attempt {attempt} of {begun:?}", run.id));
    }
}

#[test]
fn a_number_of_an_attempt_that_is_skipped_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
