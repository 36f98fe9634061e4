//! I8 of what is done at most once: an effect for each attempt that was allowed, recorded before it.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I8 at_most_once",
    column: Column::Unrecorded,
    check,
    plant: |facts| {
        let line = facts.lines.iter().find(|line| line.appended)?.clone();
        facts.lines.push(line);
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        for (unit, _) in run.effects() {
            let lines: Vec<Option<u64>> = facts
                .lines_of(&run.id, &unit)
                .filter(|line| line.appended)
                .map(|line| line.attempt)
                .collect();
            let allowed = 1
                + run.retries(&unit)
                + run.of_kind(&unit, "step.interrupted").count()
                + run.of_kind(&unit, "step.resolved").filter(|it| it["data"]["output"].is_null()).count();
            if lines.len() > allowed {
                faults.push(format!("{}: {unit:?} has had {} effects of {allowed}", run.id, lines.len()));
            }
            let distinct: BTreeSet<_> = lines.iter().collect();
            if distinct.len() != lines.len() {
                faults.push(format!("{}: {unit:?} was executed twice in an attempt: {lines:?}", run.id));
            }
            let recorded: Vec<_> = run.begins(&unit).map(|event| event["attempt"].as_u64()).collect();
            if lines.iter().any(|attempt| !recorded.contains(attempt)) {
                faults.push(format!("{}: {unit:?} has had effects in {lines:?} of {recorded:?}", run.id));
            }
        }
    }
    let known = |line: &&crate::ledger::Line| !facts.runs.iter().any(|run| run.id == line.run);
    faults.extend(facts.lines.iter().filter(known).map(|line| format!("an effect of no run: {line:?}")));
    faults
}

#[test]
fn a_second_effect_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
