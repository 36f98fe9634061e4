//! All invariants there are.

use crate::facts::Facts;
use crate::invariant::{
    at_most_once, attempts, decided, decisions, end, fold, gone, held, idempotent, integrity, logical, lost,
    numbers, order, results, rights, stuck, transitions,
};
use crate::row::Losses;

/// Under which column of the table a violation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Lost,
    Regressions,
    Duplicates,
    Unrecorded,
    Stuck,
    Survivors,
}

/// Something that must hold.
pub(crate) struct Invariant {
    pub(crate) name: &'static str,
    pub(crate) column: Column,
    /// Everything that does not hold.
    pub(crate) check: fn(&Facts) -> Vec<String>,
    /// Spoils what was seen so that this does not hold; nothing where there is nothing to spoil in this way.
    pub(crate) plant: fn(&mut Facts) -> Option<()>,
    /// The invariants that cannot hold either where this does not.
    pub(crate) also: &'static [&'static str],
}

/// What is looked at where there are workers alone: elsewhere steps name no keys.
pub(crate) const OF_FLEETS: &str = held::INVARIANT.name;

pub(crate) const ALL: [Invariant; 18] = [
    lost::INVARIANT,
    stuck::INVARIANT,
    transitions::INVARIANT,
    numbers::INVARIANT,
    fold::INVARIANT,
    attempts::INVARIANT,
    results::INVARIANT,
    idempotent::INVARIANT,
    at_most_once::INVARIANT,
    logical::INVARIANT,
    order::INVARIANT,
    rights::INVARIANT,
    decided::INVARIANT,
    gone::INVARIANT,
    held::INVARIANT,
    integrity::INVARIANT,
    decisions::INVARIANT,
    end::INVARIANT,
];

impl Column {
    /// Counts one more.
    pub(crate) fn count(self, losses: &mut Losses) {
        *match self {
            Self::Lost => &mut losses.lost,
            Self::Regressions => &mut losses.regressions,
            Self::Duplicates => &mut losses.duplicates,
            Self::Unrecorded => &mut losses.unrecorded,
            Self::Stuck => &mut losses.stuck,
            Self::Survivors => &mut losses.survivors,
        } += 1;
    }
}

/// Everything that does not hold, by the name of the invariant.
pub(crate) fn violations(facts: &Facts) -> Vec<(&'static Invariant, String)> {
    static LIST: [Invariant; 18] = ALL;
    LIST.iter().flat_map(|it| (it.check)(facts).into_iter().map(move |what| (it, what))).collect()
}
