//! I9: a step begins after everything that it needs has ended.

use crate::facts::{Facts, Run};
use crate::invariant::{Column, Invariant};
use crate::replay::kind;

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I9 order",
    column: Column::Regressions,
    check,
    plant: |facts| {
        for run in &mut facts.runs {
            for step in run.flow.clone().steps.iter().filter(|step| !step.needs.is_empty()) {
                let need = &run.flow.steps[*step.needs.last()?].name;
                if let (Some(begun), Some(ended)) =
                    (begun(run, &step.name), run.ended_at(&(need.clone(), None)))
                {
                    run.swap(begun, ended);
                    return Some(());
                }
            }
        }
        None
    },
    also: &["I3 transitions", "I10 rights"],
};

/// Where the first attempt of a step, or of an item of it, stands in the log.
fn begun(run: &Run, step: &str) -> Option<usize> {
    let begins = ["step.begun", "step.offered", "step.expanded"];
    run.events.iter().position(|event| event["step"] == step && begins.contains(&kind(event)))
}

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        for step in &run.flow.steps {
            let Some(begun) = begun(run, &step.name) else { continue };
            for need in &step.needs {
                let need = &run.flow.steps[*need].name;
                let ended = run.ended_at(&(need.clone(), None));
                if ended.is_none_or(|ended| ended >= begun) {
                    let name = &step.name;
                    faults.push(format!("{}: {name} begins at {begun}, {need} ends at {ended:?}", run.id));
                }
            }
        }
    }
    faults
}

#[test]
fn a_step_that_begins_before_its_need_has_ended_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
