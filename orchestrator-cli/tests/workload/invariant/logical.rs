//! I8 as the model says it: what has completed has had its effect, and what never began has had none.

use std::collections::BTreeSet;

use crate::facts::{Facts, Run};
use crate::invariant::{Column, Invariant};
use crate::model::{End, Unit, logical};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I8 logical",
    column: Column::Lost,
    check,
    plant: |facts| {
        let completed = |unit: &Unit, run: &Run| {
            run.rows().any(|(shown, row)| shown == *unit && row["status"] == "completed")
        };
        let found = facts.runs.iter().find_map(|run| {
            let unit = run.effects().map(|(unit, _)| unit).find(|unit| completed(unit, run))?;
            Some((run.id.clone(), unit))
        });
        let (run, (step, item)) = found?;
        facts.lines.retain(|line| line.run != run || line.step != step || line.item != item);
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        for (unit, step) in run.effects() {
            let row = run.rows().find(|(shown, _)| *shown == unit);
            let end = match row.as_ref().and_then(|(_, row)| row["status"].as_str()) {
                Some("completed") => End::Completed,
                Some("failed") => End::Failed,
                Some("skipped") => End::Skipped,
                // Nobody can say.
                _ => continue,
            };
            let keys: BTreeSet<&str> = facts.lines_of(&run.id, &unit).map(|line| &*line.key).collect();
            let wanted = logical(step, unit.1, end);
            let fits = match end {
                // It was not retried any more.
                End::Failed if run.cancelled => keys.len() <= 1,
                // It may have been lost each time before it could do anything.
                End::Failed => keys.len() <= wanted,
                _ => keys.len() == wanted,
            };
            if !fits {
                faults.push(format!("{}: {unit:?} {} with {keys:?} of {wanted}", run.id, end.shown()));
            }
        }
    }
    faults
}

#[test]
fn an_effect_that_is_lost_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
