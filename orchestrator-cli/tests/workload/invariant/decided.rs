//! I13: an approval is decided once, and as was acknowledged.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I13 decided",
    column: Column::Regressions,
    check,
    plant: |facts| {
        let row = facts.approvals.iter().find(|row| row["status"] == "approved")?.clone();
        facts.approvals.push(row);
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for row in &facts.approvals {
        if !seen.insert(["run_id", "step", "item", "attempt"].map(|key| row[key].to_string())) {
            faults.push(format!("there are two decisions: {row}"));
        }
    }
    for run in &facts.runs {
        for unit in run.units() {
            let decisions: Vec<_> = run
                .of_kind(&unit, "step.arrived")
                .filter(|event| !event["data"]["arrival"]["decision"].is_null())
                .collect();
            let attempts: BTreeSet<_> = decisions.iter().map(|event| event["attempt"].to_string()).collect();
            if attempts.len() != decisions.len() {
                faults.push(format!("{}: {unit:?} is decided {} times", run.id, decisions.len()));
            }
            let said: Vec<bool> = facts
                .decided
                .iter()
                .filter(|(id, decided, _)| *id == run.id && *decided == unit)
                .map(|(_, _, yes)| *yes)
                .collect();
            let recorded: Vec<bool> = decisions
                .iter()
                .map(|event| event["data"]["arrival"]["decision"]["approved"] == true)
                .collect();
            if said.len() > recorded.len() || said.iter().any(|yes| !recorded.contains(yes)) {
                faults.push(format!("{}: {unit:?} was answered {said:?}, and keeps {recorded:?}", run.id));
            }
            let asked =
                facts.approvals.iter().filter(|row| row["run_id"] == run.id && row["status"] != "open");
            let kept = asked.filter(|row| crate::replay::unit(row).as_ref() == Some(&unit));
            let kept = kept.filter(|row| row["via"] == "cli").count();
            if kept != decisions.len() {
                faults.push(format!("{}: {unit:?} has {kept} rows of {} decisions", run.id, decisions.len()));
            }
        }
    }
    faults
}

#[test]
fn a_second_decision_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
