//! I8 as the model says it: what has completed has had its effect, and what never began has had none.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};
use crate::model::{End, logical};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I8 logical",
    column: Column::Lost,
    check,
    plant: |facts| {
        let completed = facts.runs.iter().find(|run| run.shown["status"] == "completed" && !run.cancelled);
        let run = completed.filter(|run| run.effects().next().is_some()).map(|run| run.id.clone())?;
        let before = facts.lines.len();
        facts.lines.retain(|line| line.run != run);
        (facts.lines.len() < before).then_some(())
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
            // What has failed may have been lost each time before it could do anything.
            let fits = if end == End::Failed { keys.len() <= wanted } else { keys.len() == wanted };
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
