//! What a battery has found, as a line of JSON in the file that `ORCHESTRATOR_BATTERY_REPORT` names.
//!
//! Included by each battery with `#[path]`. Only a battery that has seen its own planted fault writes a row.

use std::io::Write as _;

/// The figures of one part; all but `trials` must be zero.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) trials: u64,
    /// Acknowledged runs that are not there.
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
    pub(crate) notes: String,
}

impl Row {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "part": self.part,
            "trials": self.trials,
            "lost": self.lost,
            "regressions": self.regressions,
            "duplicates": self.duplicates,
            "unrecorded": self.unrecorded,
            "stuck": self.stuck,
            "survivors": self.survivors,
            "notes": self.notes,
        })
    }

    /// Appends the row, if anybody wants it; one write, so that rows of several processes do not mix.
    pub(crate) fn report(&self) {
        let Some(path) = std::env::var_os("ORCHESTRATOR_BATTERY_REPORT") else { return };
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{}\n", self.json()).as_bytes()).unwrap();
    }
}
