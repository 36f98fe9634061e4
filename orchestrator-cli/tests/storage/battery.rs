//! How much is tried, with which chance, and the line that says what came of it.

pub(crate) use crate::row::Losses;
use crate::{row, sizes};

/// One of three sizes, by `ORCHESTRATOR_BATTERY`.
pub(crate) fn size(smoke: usize, change: usize, release: usize) -> usize {
    sizes::size("change", [smoke, change, release])
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
    row::report(part, trials as u64, losses, notes);
}
