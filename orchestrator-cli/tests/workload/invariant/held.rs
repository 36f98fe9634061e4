//! I14 of places and paths: of those whose end was recorded, no more held a key at once than it allows, and nobody wrote what
//! others read or wrote. Of attempts that were lost it is not known when they ended: they are left out.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::flow::Claim;
use crate::invariant::{Column, Invariant};
use crate::ledger::Told;
use crate::model::Unit;

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I14 places",
    column: Column::Duplicates,
    check,
    plant: |facts| {
        // Whoever was alone is made to begin before another one that holds the same has ended.
        let (span, held) = spans(facts).into_iter().find_map(|(span, claim)| {
            let alone = claim.holds.iter().find(|(_, limit)| *limit == 1)?;
            Some((span, alone.0))
        })?;
        let other = spans(facts).into_iter().find(|(other, claim)| {
            other.begins > span.ends && claim.holds.iter().any(|(key, _)| *key == held)
        })?;
        let told = facts.held.remove(other.0.begins);
        facts.held.insert(span.begins, told);
        Some(())
    },
    also: &[],
};

/// Where in the list somebody says that he begins, and that he ends.
#[derive(Debug, Clone, Copy)]
struct Span {
    begins: usize,
    ends: usize,
}

/// Those who held something, and what.
fn spans(facts: &Facts) -> Vec<(Span, &'static Claim)> {
    let mut spans = Vec::new();
    for run in &facts.runs {
        for step in &run.flow.steps {
            let Some(claim) = step.claim() else { continue };
            let of_step = facts
                .held
                .iter()
                .enumerate()
                .filter(|(_, told)| told.run == run.id && told.step == step.name);
            let mut begun: BTreeMap<(Option<usize>, u64), usize> = BTreeMap::new();
            for (at, told) in of_step {
                let Told { item, attempt, .. } = *told;
                if told.begins {
                    begun.insert((item, attempt), at);
                } else if let Some(begins) = begun.remove(&(item, attempt))
                    && has_end(run, &(step.name.clone(), item), attempt)
                {
                    spans.push((Span { begins, ends: at }, claim));
                }
            }
        }
    }
    spans.sort_unstable_by_key(|(span, _)| span.begins);
    spans
}

/// Whether it is recorded how an attempt has ended, by who executed it.
fn has_end(run: &crate::facts::Run, unit: &Unit, attempt: u64) -> bool {
    let ends = ["step.succeeded", "step.failed"];
    ends.iter().any(|kind| run.of_kind(unit, kind).any(|event| event["attempt"] == attempt))
}

fn check(facts: &Facts) -> Vec<String> {
    let spans = spans(facts);
    let mut faults = Vec::new();
    for (at, (span, claim)) in spans.iter().enumerate() {
        for (key, limit) in claim.holds {
            // Those who hold it at the moment at which this one begins.
            let beside = spans[..at].iter().filter(|(other, _)| other.ends > span.begins);
            let beside: Vec<usize> = beside
                .flat_map(|(_, other)| other.holds.iter().filter(|(other, _)| other == key))
                .map(|(_, limit)| *limit)
                .collect();
            let least = beside.iter().chain([limit]).min().copied().unwrap_or_default();
            if beside.len() + 1 > least {
                let told = &facts.held[span.begins];
                let count = beside.len() + 1;
                faults.push(format!(
                    "{count} hold {key}, of which there are {least}, when this begins: {told:?}"
                ));
            }
        }
    }
    faults
}

#[test]
fn two_who_hold_the_same_are_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
