//! Places under keys: what a member does to them, and what can be seen of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{RunId, StepIx, Unit};
use crate::machine::{Claim, Hold, PATHS, RATES, Spot, Wish, rate_of};
use crate::spec::{MAX_KEY, Paths};
use crate::time::Timestamp;

/// What a member does to places, paths and rates under keys of its run's project. All of it, or nothing of the member is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Admission {
    /// The project of the run.
    pub project: Arc<str>,
    /// Places and paths that are free from here on, with their keys.
    pub releases: Vec<(Unit, Arc<str>)>,
    /// Where the run no longer waits.
    pub leaves: Vec<Spot>,
    /// What is held from here on, or begins under a rate: of each key at most one thing by each step or item.
    pub takes: Vec<(Unit, Arc<Hold>)>,
    /// What the run waits for; one that waits already keeps its place in the line.
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
        for (unit, key) in &self.releases {
            wishes.entry(key).or_default().releases.push(*unit);
        }
        for spot in &self.leaves {
            wishes.entry(&spot.key).or_default().leaves.push(spot.paths.clone());
        }
        for (unit, hold) in &self.takes {
            wishes.entry(&hold.key).or_default().takes.push((*unit, hold.claim.clone()));
        }
        for hold in &self.waits {
            wishes.entry(&hold.key).or_default().waits.push(hold.claim.clone());
        }
        wishes.values_mut().for_each(|wish| wish.priority = self.priority);
        wishes
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let wishes = self.wishes();
        let claims =
            || wishes.values().flat_map(|wish| wish.takes.iter().map(|(_, claim)| claim).chain(&wish.waits));
        if wishes.keys().any(|key| key.is_empty() || key.len() > MAX_KEY) {
            Some("a key has 1 to 255 bytes")
        } else if claims().any(|claim| claim.limit() == 0) {
            Some("a key lets at least one be held")
        } else if self.takes.iter().map(|(_, hold)| hold).chain(&self.waits).any(|hold| !fits(hold)) {
            Some(
                "paths are held under the keys of workspaces, what begins under those of rates, and nothing else is",
            )
        } else if self.releases.iter().any(|(_, key)| key.starts_with(RATES)) {
            Some("what has begun under a rate is not given back")
        } else {
            None
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.releases.len() + self.leaves.len() + self.takes.len() + self.waits.len()
    }
}

/// Whether the key is one of what is claimed.
fn fits(hold: &Hold) -> bool {
    match &hold.claim {
        Claim::Paths(_) => hold.key.starts_with(PATHS),
        Claim::Rate { .. } => {
            let per = rate_of(&hold.key).map(|(per, _)| per);
            per == hold.claim.per() && per.is_some_and(|per| !per.is_zero())
        }
        Claim::Place { .. } => !hold.key.starts_with(PATHS) && !hold.key.starts_with(RATES),
    }
}

/// A place or paths that are held.
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
    /// The paths; `None` for a place.
    pub paths: Option<Arc<Paths>>,
    /// Since when.
    pub since: Timestamp,
}

/// A run that waits for a place, for paths, or for its turn under a rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiterRow {
    /// The project of the key.
    pub project: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// The run.
    pub run: RunId,
    /// The paths; `None` for a place.
    pub paths: Option<Arc<Paths>>,
    /// Who goes first: see [`crate::machine::Waiter::rank`].
    pub rank: i64,
    /// How many places it lets be held at once, or begin within the time of a rate, its own included.
    pub limit: u32,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it was given a place that it has not taken up yet.
    pub granted_at: Option<Timestamp>,
}

impl WaiterRow {
    /// Where it waits.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot { key: self.key.clone(), paths: self.paths.clone() }
    }
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
