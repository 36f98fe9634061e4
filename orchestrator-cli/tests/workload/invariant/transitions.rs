//! I3: every event leads from a state to one that may follow it, and nothing follows a final one but a new generation.

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};
use crate::replay::{Replay, begins};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I3 transitions",
    column: Column::Regressions,
    check,
    // A step begins after it has succeeded.
    plant: |facts| {
        for run in &mut facts.runs {
            for unit in run.units() {
                let begun = run.of(&unit).find(|(_, event)| begins(event)).map(|(at, _)| at);
                let ended = run.of(&unit).find(|(_, event)| event["kind"] == "step.succeeded");
                if let (Some(begun), Some((ended, _))) = (begun, ended) {
                    run.swap(begun, ended);
                    return Some(());
                }
            }
        }
        None
    },
    also: &["I9 order", "I10 rights"],
};

fn check(facts: &Facts) -> Vec<String> {
    let of = |run: &crate::facts::Run| {
        let illegal = Replay::of(&run.events).illegal;
        illegal.into_iter().map(|what| format!("{}: {what}", run.id)).collect::<Vec<_>>()
    };
    facts.runs.iter().flat_map(of).collect()
}

#[test]
fn a_step_that_goes_back_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
