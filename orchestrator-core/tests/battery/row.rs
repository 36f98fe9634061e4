//! What a part of the battery has found, as a line of JSON in the file that `ORCHESTRATOR_BATTERY_REPORT` names.

use std::fs::File;
use std::io::Write as _;

/// Adds a row, if anybody wants it. Whatever has to be zero is: else the part has failed before.
pub(crate) fn report(part: &str, trials: u64, notes: &str) {
    let Some(path) = std::env::var_os("ORCHESTRATOR_BATTERY_REPORT") else { return };
    let row = serde_json::json!({
        "part": part, "trials": trials, "lost": 0, "regressions": 0, "duplicates": 0, "unrecorded": 0, "stuck": 0,
        "survivors": 0, "notes": notes,
    });
    let mut table = File::options().create(true).append(true).open(path).unwrap();
    table.write_all(format!("{row}\n").as_bytes()).unwrap();
}
