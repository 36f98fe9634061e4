//! What a battery has found so far; kept in a file where one is named, so that a long battery can be broken off.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::episode::RUNS;
use crate::row::{self, Losses};

/// What has been found in the episodes of a part.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Where it is kept, if anywhere.
    #[serde(skip)]
    file: Option<PathBuf>,
    /// What was asked for; a file of another battery is not gone on with.
    asked: String,
    /// The episode that comes next.
    pub(crate) next: u64,
    pub(crate) kills: u64,
    pub(crate) runs: u64,
    pub(crate) losses: Losses,
    /// What has happened to steps and runs, and how often.
    pub(crate) seen: BTreeMap<String, u64>,
    /// Everything that does not hold, with its seed.
    pub(crate) violations: Vec<String>,
    /// Invariants that have found their planted fault in what was really seen.
    pub(crate) planted: BTreeSet<String>,
    pub(crate) plants: u64,
    /// How often a process was told that the store is busy, after it had waited for it.
    pub(crate) turned_away: u64,
    /// Milliseconds from a kill to the first word of whoever goes on.
    pub(crate) first: Vec<u64>,
    /// Milliseconds from when nobody kills any more until each run of an episode has moved.
    pub(crate) all: Vec<u64>,
    /// Milliseconds from then to the end of a run.
    pub(crate) ended: Vec<u64>,
}

impl Tally {
    /// What the file says, if it is of the same battery; else nothing yet.
    pub(crate) fn resumed(file: Option<PathBuf>, asked: &str, first: u64) -> Self {
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let kept =
            text.map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
        match kept.filter(|kept: &Self| kept.asked == asked) {
            Some(kept) => Self { file, ..kept },
            None => Self { file, asked: asked.to_owned(), next: first, ..Self::default() },
        }
    }

    /// Keeps what was found so far; whole, or as it was before.
    pub(crate) fn keep(&self) {
        let Some(file) = &self.file else { return };
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_string(self).unwrap()).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// Counts an episode that did not come to its end as one that is stuck.
    pub(crate) fn broken(&mut self, seed: u64) {
        self.runs += RUNS;
        self.losses.stuck += 1;
        self.violations.push(format!("seed {seed}: the episode has not come to its end"));
    }

    /// The next battery begins anew.
    fn forget(&self) {
        if let Some(file) = &self.file {
            drop(fs::remove_file(file));
        }
    }

    /// Says what was found, writes its row, and gives the violations.
    pub(crate) fn conclude(mut self, part: &str) -> Vec<String> {
        self.forget();
        let times = [
            ("first progress", &mut self.first),
            ("all moving", &mut self.all),
            ("ended, left alone", &mut self.ended),
        ];
        let times: Vec<String> = times.into_iter().map(|(what, times)| percentiles(what, times)).collect();
        let notes = format!(
            "{} runs, {} planted faults found, {} times the store was busy; {}",
            self.runs,
            self.plants,
            self.turned_away,
            times.join("; ")
        );
        println!("{part}: {} kills, {:?}; {notes}", self.kills, self.losses);
        self.seen.iter().for_each(|(what, times)| println!("  {times:>6}  {what}"));
        row::report(part, self.kills, self.losses, &notes);
        self.violations
    }
}

fn percentiles(what: &str, times: &mut [u64]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    match (at(50), at(99)) {
        (Some(half), Some(most)) => format!("{what} p50 {half} ms, p99 {most} ms"),
        _ => format!("{what}: never measured"),
    }
}

/// Where the progress of a part is kept, if anywhere. A relative name is below the workspace.
pub(crate) fn file(part: &str) -> Option<PathBuf> {
    let name = std::env::var_os("ORCHESTRATOR_WORKLOAD_STATE").filter(|name| !name.is_empty())?;
    let part = part.split(' ').next().unwrap_or_default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name);
    Some(path.with_extension(format!("{part}.json")))
}

#[test]
fn percentiles_are_those_of_the_sorted_times() {
    assert_eq!(percentiles("t", &mut (1..=200).rev().collect::<Vec<_>>()), "t p50 101 ms, p99 199 ms");
    assert_eq!(percentiles("t", &mut [7]), "t p50 7 ms, p99 7 ms");
    assert_eq!(percentiles("t", &mut []), "t: never measured");
}

#[test]
fn a_battery_that_is_broken_off_goes_on_with_the_next_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = Some(folder.path().join("state/part.json"));
    let mut tally = Tally::resumed(file.clone(), "all", 7);
    assert_eq!(tally.next, 7);
    tally.next = 9;
    tally.kills = 3;
    tally.losses += Losses { lost: 1, ..Losses::default() };
    tally.keep();
    assert_eq!(Tally::resumed(file.clone(), "less", 7).next, 7);
    let resumed = Tally::resumed(file.clone(), "all", 7);
    assert_eq!((resumed.next, resumed.kills, resumed.losses.lost), (9, 3, 1));
    resumed.forget();
    assert_eq!(Tally::resumed(file, "all", 7).next, 7, "the next battery begins anew");
}
