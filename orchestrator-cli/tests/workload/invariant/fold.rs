//! I5: what is shown and listed of a run is what its log says.

use serde_json::{Value, json};

use crate::facts::{Facts, Run};
use crate::invariant::{Column, Invariant};
use crate::replay::Replay;

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I5 fold",
    column: Column::Regressions,
    check,
    plant: |facts| {
        let row = facts.runs.first_mut()?.shown["steps"].as_array_mut()?.first_mut()?;
        row["attempts"] = json!(row["attempts"].as_u64()? + 1);
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    for run in &facts.runs {
        let replay = Replay::of(&run.events);
        if replay.illegal.is_empty() {
            of_run(run, &replay, facts.listed.get(&run.id), &mut faults);
            of_steps(run, &replay, &mut faults);
        }
    }
    faults
}

fn of_run(run: &Run, replay: &Replay, listed: Option<&Value>, faults: &mut Vec<String>) {
    let last = run.events.last().unwrap_or(&Value::Null);
    let ended =
        run.events.iter().rfind(|event| event["kind"] == "run.ended").filter(|_| replay.status.is_some());
    let told = [
        ("seq", last["seq"].clone()),
        ("generation", json!(replay.generation)),
        ("finished_at", ended.map_or(Value::Null, |event| event["at"].clone())),
    ];
    let status = replay.status.as_ref().map(|status| ("status", json!(status)));
    for (key, told) in told.into_iter().chain(status) {
        if run.shown[key] != told {
            faults.push(format!("{}: {key} is shown as {}, the log says {told}", run.id, run.shown[key]));
        }
        if listed.is_some_and(|listed| listed[key] != told) {
            faults.push(format!("{}: {key} is listed otherwise, the log says {told}", run.id));
        }
    }
}

fn of_steps(run: &Run, replay: &Replay, faults: &mut Vec<String>) {
    for (unit, row) in run.rows() {
        let attempts = replay.attempts.get(&unit).copied().unwrap_or_default();
        if row["attempts"] != attempts {
            faults.push(format!(
                "{}: {unit:?} is shown with {} attempts of {attempts}",
                run.id, row["attempts"]
            ));
        }
        // What the log does not name was not needed.
        let told = match replay.units().any(|known| *known == unit) {
            // Nothing runs any more: nobody knows of one of its items.
            true if replay.status.is_some() && replay.shown(&unit) == Some("running") => {
                Some("outcome_unknown")
            }
            true => replay.shown(&unit),
            false => Some(if replay.status.is_some() { "skipped" } else { "pending" }),
        };
        if told.is_some_and(|told| row["status"] != told) {
            faults.push(format!("{}: {unit:?} is shown as {}, the log says {told:?}", run.id, row["status"]));
        }
    }
    let shown: Vec<_> = run.rows().map(|(unit, _)| unit).collect();
    for unit in replay.units().filter(|unit| !shown.contains(unit)) {
        faults.push(format!("{}: {unit:?} is not shown", run.id));
    }
}

#[test]
fn a_row_that_is_not_what_the_log_says_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
