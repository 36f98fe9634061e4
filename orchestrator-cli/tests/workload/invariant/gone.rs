//! I14: no process, no file and no right is left of what has ended.

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I14 gone",
    column: Column::Survivors,
    check,
    plant: |facts| {
        facts.left.push("process 1 of nobody".to_owned());
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    facts.left.iter().chain(&facts.copy.held).cloned().collect()
}

#[test]
fn a_process_that_outlives_its_run_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
