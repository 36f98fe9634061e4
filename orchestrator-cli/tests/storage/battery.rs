//! How much is tried, with which chance, and the line that says what came of it.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::json;

/// What is counted beside the trials; all of it has to be 0.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Losses {
    /// What was acknowledged and is not there.
    pub(crate) lost: u64,
    /// What has ended and has gone back.
    pub(crate) regressions: u64,
    /// Effects that happened twice.
    pub(crate) duplicates: u64,
    /// Effects that nobody has recorded.
    pub(crate) unrecorded: u64,
    /// Runs that no longer move.
    pub(crate) stuck: u64,
    /// What should have ended and has not.
    pub(crate) survivors: u64,
}

/// One of three sizes, by `ORCHESTRATOR_BATTERY`.
pub(crate) fn size(smoke: usize, change: usize, release: usize) -> usize {
    match std::env::var("ORCHESTRATOR_BATTERY").as_deref() {
        Err(_) | Ok("change" | "") => change,
        Ok("smoke") => smoke,
        Ok("release") => release,
        Ok(other) => panic!("ORCHESTRATOR_BATTERY is smoke, change or release, not `{other}`"),
    }
}

/// A number that somebody has set, or another.
pub(crate) fn number(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// The seed of every part here.
pub(crate) fn seed() -> u64 {
    number("ORCHESTRATOR_STORAGE_SEED", 1) as u64
}

/// Prints what came of a part, and appends it to the file that `ORCHESTRATOR_BATTERY_REPORT` names.
pub(crate) fn tell(part: &str, trials: usize, losses: Losses, notes: &str) {
    println!("{part}: {trials} trials, {losses:?}; {notes}");
    let Some(path) = std::env::var_os("ORCHESTRATOR_BATTERY_REPORT") else { return };
    let row = json!({
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
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{row}").unwrap();
}
