//! I1: what was acknowledged is there, once.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I1 lost",
    column: Column::Lost,
    check,
    plant: |facts| {
        facts.told.insert("of nobody".to_owned(), BTreeSet::from(["run_0".to_owned()]));
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, runs) in &facts.told {
        for run in runs.iter().filter(|run| !facts.listed.contains_key(*run)) {
            faults.push(format!("{run} of `{key}` was told and is not listed"));
        }
        let kept = facts.copy.keys.iter().filter(|kept| *kept == key).count();
        if runs.len() != 1 || kept != 1 {
            faults.push(format!("`{key}` has started {runs:?}, and {kept} runs are kept"));
        }
    }
    for run in &facts.cancels {
        let log = facts.runs.iter().find(|it| it.id == *run).map(|run| &run.events);
        let is_cancel = |event: &serde_json::Value| event["data"]["intent"] == "cancel";
        if !log.is_some_and(|log| log.iter().any(is_cancel)) {
            faults.push(format!("{run} was cancelled, and its log does not say so"));
        }
    }
    faults
}

#[test]
fn a_run_that_was_acknowledged_and_is_gone_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
