//! What a battery has found, as a line of JSON in the file that `ORCHESTRATOR_BATTERY_REPORT` names.
//!
//! Included by each battery with `#[path]`. Only a battery that has seen its own planted fault writes a row.

use std::fs::File;
use std::io::Write as _;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What is counted beside the trials of a part; all of it has to be 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Losses {
    /// What was acknowledged and is not there.
    pub(crate) lost: u64,
    /// Steps or runs that left a state that is final.
    pub(crate) regressions: u64,
    /// Effects of idempotent steps that happened more than once.
    pub(crate) duplicates: u64,
    /// Executions that no attempt was recorded for.
    pub(crate) unrecorded: u64,
    /// Runs that do not end and wait for nobody.
    pub(crate) stuck: u64,
    /// Processes that outlived their run.
    pub(crate) survivors: u64,
}

impl AddAssign for Losses {
    fn add_assign(&mut self, more: Self) {
        self.lost += more.lost;
        self.regressions += more.regressions;
        self.duplicates += more.duplicates;
        self.unrecorded += more.unrecorded;
        self.stuck += more.stuck;
        self.survivors += more.survivors;
    }
}

/// Appends a row, if anybody wants it; one write, so that rows of several processes do not mix.
pub(crate) fn report(part: &str, trials: u64, losses: Losses, notes: &str) {
    let Some(path) = std::env::var_os("ORCHESTRATOR_BATTERY_REPORT") else { return };
    let row = serde_json::json!({
        "part": part,
        "trials": trials,
        "lost": losses.lost,
        "regressions": losses.regressions,
        "duplicates": losses.duplicates,
        "unrecorded": losses.unrecorded,
        "stuck": losses.stuck,
        "survivors": losses.survivors,
        "notes": notes,
    });
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{row}\n").as_bytes()).unwrap();
}
