//! What was acknowledged, and whether a store still knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use orchestrator_core::engine::read_report;
use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{RunQuery, Store, StoreError};
use orchestrator_sqlite::{SqliteStore, upkeep};
use serde_json::Value;

use crate::disk::Line;

/// What somebody was told, and when.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) from: usize,
    run: RunId,
    told: Value,
}

/// What is wrong with a store.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What was told and is not there.
    pub(crate) lost: Vec<String>,
    /// What should not be in any store.
    pub(crate) unsound: Vec<String>,
    /// The runs that have not ended.
    pub(crate) open: Vec<RunId>,
}

impl Verdict {
    pub(crate) fn is_fine(&self) -> bool {
        self.lost.is_empty() && self.unsound.is_empty()
    }
}

/// The words in what was printed: events, receipts, runs as they are shown.
pub(crate) fn words(lines: &[Line]) -> Vec<Word> {
    let read = |line: &Line| {
        let told: Value =
            serde_json::from_str(&line.text).unwrap_or_else(|error| panic!("{error}: {}", line.text));
        let run = told["run_id"].as_str()?.parse().unwrap();
        Some(Word { from: line.from, run, told })
    };
    lines.iter().filter_map(read).collect()
}

/// The same as it was told.
pub(crate) fn told(lines: &[Line]) -> Vec<Value> {
    words(lines).into_iter().map(|word| word.told).collect()
}

/// Opens a store as the program does, looks at all of it, and for everything that was told before `moment`.
pub(crate) async fn examine(file: &Path, words: &[Word], moment: usize) -> Verdict {
    let mut verdict = Verdict::default();
    let told: Vec<&Word> = words.iter().filter(|word| word.from < moment).collect();
    if !file.exists() {
        verdict.lost.extend(told.iter().map(|word| format!("there is no store, and {} was told", word.run)));
        return verdict;
    }
    if let Err(error) = look(file, &told, &mut verdict).await {
        verdict.unsound.push(error.to_string());
    }
    verdict
}

async fn look(file: &Path, told: &[&Word], verdict: &mut Verdict) -> Result<(), StoreError> {
    let location = file.to_str().unwrap();
    let store = SqliteStore::connect(location).await?;
    verdict.unsound.extend(upkeep::damage(location).await?);
    verdict.unsound.extend(store.faults().await?);
    let runs = store.list_runs(RunQuery { limit: 1000, ..RunQuery::default() }).await?.items;
    let known: BTreeSet<RunId> = told.iter().map(|word| word.run).collect();
    for row in &runs {
        if row.finished_at.is_none() {
            verdict.open.push(row.run);
        }
        // Those are shown below.
        if known.contains(&row.run) {
            continue;
        }
        match read_report(&store, row.run).await? {
            Some(report) if report.seq == row.seq => {}
            _ => verdict.unsound.push(format!("{} is listed and cannot be shown", row.run)),
        }
    }
    let mut by_run: BTreeMap<RunId, Vec<&Value>> = BTreeMap::new();
    told.iter().for_each(|word| by_run.entry(word.run).or_default().push(&word.told));
    for (run, told) in by_run {
        of_run(&store, run, &told, verdict).await?;
    }
    store.close().await
}

async fn of_run(
    store: &SqliteStore,
    run: RunId,
    told: &[&Value],
    verdict: &mut Verdict,
) -> Result<(), StoreError> {
    let Some(log) = store.load(run).await? else {
        verdict.lost.push(format!("{run} is not there"));
        return Ok(());
    };
    let report = read_report(store, run).await?;
    let shown = serde_json::to_value(report).unwrap();
    for told in told {
        let Some(seq) = told["seq"].as_u64() else { continue };
        if (log.events.len() as u64) < seq {
            verdict.lost.push(format!("{run} has no event {seq}: {told}"));
        } else if told["kind"].is_string() {
            let event = &log.events[usize::try_from(seq).unwrap() - 1];
            if Some(&*event.transition.to_string()) != told["transition_id"].as_str() {
                verdict.lost.push(format!("event {seq} of {run} is another: {told}"));
            }
        } else if !told["finished_at"].is_null() {
            let other = ["status", "outputs", "steps", "seq"].iter().find(|key| shown[**key] != told[**key]);
            verdict.lost.extend(other.map(|key| format!("{run} has ended with another `{key}`")));
        }
    }
    Ok(())
}
