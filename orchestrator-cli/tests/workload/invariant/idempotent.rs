//! I8 of what is idempotent: one key and the same bytes in every attempt, and no more requests than attempts.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I8 idempotent",
    column: Column::Duplicates,
    check,
    plant: |facts| {
        let line = facts.lines.iter().find(|line| !line.appended)?.clone();
        facts.lines.push(crate::ledger::Line { body: "0".to_owned(), ..line });
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        for (unit, _) in run.effects() {
            let posts = || facts.lines_of(&run.id, &unit).filter(|line| !line.appended);
            let sent: BTreeSet<(&str, &str)> = posts().map(|line| (&*line.key, &*line.body)).collect();
            if sent.len() > 1 || sent.iter().any(|(key, _)| *key == "-") {
                faults.push(format!("{}: {unit:?} has sent {sent:?}", run.id));
            }
            let attempts = run.begins(&unit).count();
            if posts().count() > attempts {
                let requests = posts().count();
                faults.push(format!(
                    "{}: {unit:?} has sent {requests} requests in {attempts} attempts",
                    run.id
                ));
            }
        }
    }
    let mut owners = BTreeMap::new();
    for line in &facts.lines {
        let owner = (&line.run, &line.step, line.item);
        let other = *owners.entry(&line.key).or_insert(owner);
        if other != owner {
            faults.push(format!("{owner:?} and {other:?} share the key {}", line.key));
        }
    }
    faults
}

#[test]
fn other_bytes_under_the_same_key_are_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
