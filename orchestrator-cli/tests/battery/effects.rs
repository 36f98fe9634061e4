//! What scripts have done, what was told of it, and what the store says: the three must agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::row::Losses;

/// Three steps whose effects must not happen twice, and a large value that is kept as a file.
pub(crate) const PAY: &str = "
name: pay
inputs:
  ledger: { type: string }
env: { LEDGER: \"${{ inputs.ledger }}\" }
steps:
  first: { run: 'echo \"$ORCHESTRATOR_RUN_ID first\" >> \"$LEDGER\"' }
  large:
    needs: first
    effect: pure
    with: { output_limit: 6000000 }
    run: head -c 300000 /dev/zero | tr '\\0' \"$(printf '%s' \"$ORCHESTRATOR_RUN_ID\" | tail -c 1)\"
  second: { needs: first, run: 'echo \"$ORCHESTRATOR_RUN_ID second\" >> \"$LEDGER\"; seq 1 3000' }
  third: { needs: [second, large], run: 'echo \"$ORCHESTRATOR_RUN_ID third\" >> \"$LEDGER\"' }
outputs:
  last: ${{ steps.second.stdout | length }}
";

/// The steps of [`PAY`] that have an effect.
const STEPS: [&str; 3] = ["first", "second", "third"];

/// What can be seen from outside, once everybody has been left alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Each run of [`PAY`] as it is shown.
    pub(crate) shown: Vec<Value>,
    /// A line for each effect: run and step.
    pub(crate) lines: Vec<String>,
    /// What processes have told: events, receipts, and runs as they were shown.
    pub(crate) told: Vec<Value>,
}

/// What does not agree, counted and in words.
pub(crate) fn judge(seen: &Seen) -> (Losses, Vec<String>) {
    let mut losses = Losses::default();
    let mut faults = Vec::new();
    let shown: BTreeMap<&str, &Value> = seen.shown.iter().map(|run| (id(run), run)).collect();
    for told in &seen.told {
        let Some(run) = shown.get(id(told)) else {
            losses.lost += 1;
            faults.push(format!("lost: {told}"));
            continue;
        };
        if told["seq"].as_u64() > run["seq"].as_u64() {
            losses.lost += 1;
            faults.push(format!("lost: {told}"));
        }
        if told["kind"].is_null() && !told["finished_at"].is_null() && run["status"] != told["status"] {
            losses.regressions += 1;
            faults.push(format!("told as {}, shown as {}: {}", told["status"], run["status"], id(run)));
        }
    }
    for run in &seen.shown {
        if run["status"] != "completed" {
            losses.stuck += 1;
            faults.push(format!("does not end: {run}"));
        }
        for step in STEPS {
            let line = format!("{} {step}", id(run));
            match seen.lines.iter().filter(|effect| **effect == line).count() {
                0 => {
                    losses.lost += 1;
                    faults.push(format!("completed without its effect: {line}"));
                }
                1 => {}
                _ => {
                    losses.duplicates += 1;
                    faults.push(format!("happened twice: {line}"));
                }
            }
        }
    }
    let runs: BTreeSet<&str> = seen.lines.iter().filter_map(|line| line.split(' ').next()).collect();
    for run in runs.into_iter().filter(|run| !shown.contains_key(run)) {
        losses.unrecorded += 1;
        faults.push(format!("has had an effect and is not there: {run}"));
    }
    (losses, faults)
}

fn id(value: &Value) -> &str {
    value["run_id"].as_str().unwrap_or_default()
}

/// A way to spoil what was seen, given the first run of it.
type Spoil = fn(&mut Seen, &Value);

/// Way after way to spoil what was seen: each must be found. Gives how many there were.
pub(crate) fn plant(seen: &Seen) -> usize {
    let first = seen.shown.first().expect("a run to spoil").clone();
    let plants: [(&str, Spoil); 5] = [
        ("a run is lost", |seen, first| seen.shown.retain(|run| run != first)),
        ("an effect happens twice", |seen, _| seen.lines.push(seen.lines[0].clone())),
        ("an effect is lost", |seen, _| drop(seen.lines.remove(0))),
        ("a run never ends", |seen, _| seen.shown[0]["status"] = "running".into()),
        ("an event is lost", |seen, first| {
            let mut told = first.clone();
            told["seq"] = 1_000_000.into();
            seen.told.push(told);
        }),
    ];
    for (name, spoil) in plants {
        let mut spoilt = seen.clone();
        spoil(&mut spoilt, &first);
        assert!(!judge(&spoilt).1.is_empty(), "not found: {name}");
    }
    plants.len()
}
