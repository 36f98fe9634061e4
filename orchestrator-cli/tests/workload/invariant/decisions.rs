//! I16: each attempt that has begun names a decision of the policy, of which exactly one record is kept.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};
use crate::replay::begins;

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I16 decisions",
    column: Column::Unrecorded,
    check,
    plant: |facts| facts.copy.decisions.pop().map(drop),
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &facts.copy.decisions {
        *kept.entry(record).or_default() += 1;
    }
    let bare = |id: &str| id.split_once('_').map_or_else(String::new, |(_, hex)| hex.to_owned());
    let mut faults = Vec::new();
    for run in &facts.runs {
        for event in run.events.iter().filter(|event| begins(event)) {
            let decision = event["data"]["decision"].as_str().unwrap_or_default();
            let records = kept.get(&*format!("{} {}", bare(&run.id), bare(decision))).copied().unwrap_or(0);
            if records != 1 {
                faults.push(format!("{}: {records} records of {decision}", run.id));
            }
        }
    }
    faults
}

#[test]
fn an_attempt_without_a_decision_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
