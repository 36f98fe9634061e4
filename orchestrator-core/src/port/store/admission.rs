//! Places under keys: what a member does to them, and what can be seen of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{RunId, StepIx, Unit};
use crate::machine::{Hold, Wish};
use crate::spec::MAX_KEY;
use crate::time::Timestamp;

/// What a member does to places under keys of its run's project. All of it, or nothing of the member is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Admission {
    /// The project of the run.
    pub project: Arc<str>,
    /// Places that are free from here on, with their keys.
    pub releases: Vec<(Unit, Arc<str>)>,
    /// Keys for which the run no longer waits.
    pub leaves: Vec<Arc<str>>,
    /// Places that are held from here on.
    pub takes: Vec<(Unit, Arc<Hold>)>,
    /// Places for which the run waits; one that waits already keeps its place in the line.
    pub waits: Vec<Arc<Hold>>,
    /// The priority with which it waits.
    pub priority: i32,
}

impl Admission {
    /// Whether it does nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.leaves.is_empty() && self.takes.is_empty() && self.waits.is_empty()
    }

    /// What it wants of each key.
    #[must_use]
    pub fn wishes(&self) -> BTreeMap<&Arc<str>, Wish> {
        let mut wishes: BTreeMap<&Arc<str>, Wish> = BTreeMap::new();
        for (_, key) in &self.releases {
            wishes.entry(key).or_default().releases += 1;
        }
        for key in &self.leaves {
            wishes.entry(key).or_default().leaves = true;
        }
        for (_, hold) in &self.takes {
            let wish = wishes.entry(&hold.key).or_default();
            // Where several limits are named, the smallest holds.
            wish.limit = if wish.takes == 0 { hold.limit } else { wish.limit.min(hold.limit) };
            wish.takes += 1;
        }
        for hold in &self.waits {
            let wish = wishes.entry(&hold.key).or_default();
            wish.waits = Some(self.priority);
            wish.limit = if wish.takes == 0 { hold.limit } else { wish.limit.min(hold.limit) };
        }
        wishes
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let wishes = self.wishes();
        if wishes.keys().any(|key| key.is_empty() || key.len() > MAX_KEY) {
            Some("a key has 1 to 255 bytes")
        } else if wishes.values().any(|wish| (wish.takes > 0 || wish.waits.is_some()) && wish.limit == 0) {
            Some("a key lets at least one be held")
        } else {
            None
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.releases.len() + self.leaves.len() + self.takes.len() + self.waits.len()
    }
}

/// A place that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// The project of the key.
    pub project: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// The run that holds it.
    pub run: RunId,
    /// The step of it.
    pub step: StepIx,
    /// The item of that, if it is one.
    pub item: Option<u32>,
    /// Since when.
    pub since: Timestamp,
}

/// A run that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiterRow {
    /// The project of the key.
    pub project: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// The run.
    pub run: RunId,
    /// Who goes first: see [`crate::machine::Waiter::rank`].
    pub rank: i64,
    /// How many places it lets be held at once, its own included.
    pub limit: u32,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it was given a place that it has not taken up yet.
    pub granted_at: Option<Timestamp>,
}

/// Which places to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyQuery {
    /// Only of this project.
    pub project: Option<Arc<str>>,
    /// Only under this key.
    pub key: Option<Arc<str>>,
    /// Only of these runs; of any, if none is named.
    pub runs: Vec<RunId>,
    /// Of those that wait, only those that were given a place.
    pub granted: bool,
    /// At most so many; 0 means [`super::DEFAULT_PAGE`].
    pub limit: usize,
}

impl KeyQuery {
    /// Whether it asks for this run too.
    #[must_use]
    pub fn is_of(&self, run: RunId) -> bool {
        self.runs.is_empty() || self.runs.contains(&run)
    }

    /// How many rows are given at most.
    #[must_use]
    pub const fn page(&self) -> usize {
        if self.limit == 0 { super::DEFAULT_PAGE } else { self.limit }
    }
}
