//! How much is tried, with which chance, and the line that says what came of it.

use crate::row;
pub(crate) use crate::row::Losses;
pub(crate) use crate::size::number;
use crate::size::{Size, asked};

/// One of three sizes, by `ORCHESTRATOR_BATTERY`.
pub(crate) fn size(smoke: usize, change: usize, release: usize) -> usize {
    asked(Size::Change).of([smoke, change, release])
}

/// The seed of every part here.
pub(crate) fn seed() -> u64 {
    number("ORCHESTRATOR_STORAGE_SEED", 1)
}

/// Prints what came of a part, and appends it to the file that `ORCHESTRATOR_BATTERY_REPORT` names.
pub(crate) fn tell(part: &str, trials: usize, losses: Losses, notes: &str) {
    println!("{part}: {trials} trials, {losses:?}; {notes}");
    row::report(part, trials as u64, losses, notes);
}
