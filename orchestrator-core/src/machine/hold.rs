//! What an attempt needs to be executed: places under keys, so that of all that name a key no more run at once than the
//! author allows; beginnings under rates, so that no more begin within some time; and locks on paths of a workspace, so that
//! nobody else is in its way. Places and paths are given back with its end.

use std::fmt;
use std::ops::{Bound, Deref};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::Unit;
use crate::machine::slot::Slot;
use crate::machine::state::RunState;
use crate::machine::step_state::StepState;
use crate::spec::{Paths, duration};

/// What the keys of workspaces begin with, before the name of the workspace; no author's key does.
pub const PATHS: &str = "paths:";

/// What the keys of rates begin with, before their time in milliseconds, a colon and what the author calls it; no author's key
/// does.
pub const RATES: &str = "rate:";

/// What is held under a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// The key; of a project.
    pub key: Arc<str>,
    /// What of it.
    #[serde(flatten)]
    pub claim: Claim,
}

/// What somebody wants to have to itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Claim {
    /// A beginning under a rate. It is not given back: time alone makes room for another.
    Rate {
        /// How many may begin within any such time; at least 1.
        limit: u32,
        /// The time, in milliseconds; at least 1.
        per: u64,
    },
    /// One of the key's places. Whoever takes it says how many there are: of several that name the same key, each sees to it
    /// that no more are held than it allows.
    Place {
        /// How many may be held at once; at least 1.
        limit: u32,
    },
    /// Paths of a workspace, to read or to write.
    Paths(Arc<Paths>),
}

/// Where a run stands in the line of a key: once for all the places that it wants, and once for each set of paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The key.
    pub key: Arc<str>,
    /// The paths; `None` for a place, or a beginning.
    pub paths: Option<Arc<Paths>>,
}

impl Spot {
    /// Whether one waits there for a beginning under a rate.
    #[must_use]
    pub fn is_of_rate(&self) -> bool {
        self.key.starts_with(RATES)
    }
}

/// What a key of a rate is about: its time, and what the author calls it.
#[must_use]
pub fn rate_of(key: &str) -> Option<(Duration, &str)> {
    let (per, name) = key.strip_prefix(RATES)?.split_once(':')?;
    Some((Duration::from_millis(per.parse().ok()?), name))
}

/// All that an attempt holds: nothing, mostly.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holds(Option<Arc<Vec<Arc<Hold>>>>);

impl Deref for Holds {
    type Target = [Arc<Hold>];

    fn deref(&self) -> &[Arc<Hold>] {
        self.0.as_ref().map_or(&[], |holds| holds)
    }
}

impl Holds {
    /// Nothing.
    pub const NONE: &'static Self = &Self(None);

    /// The keys of which it is a place.
    pub fn places(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().filter(|hold| hold.claim.is_place()).map(|hold| &hold.key)
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deref().is_empty()
    }
}

impl FromIterator<Arc<Hold>> for Holds {
    fn from_iter<I: IntoIterator<Item = Arc<Hold>>>(holds: I) -> Self {
        let holds: Vec<_> = holds.into_iter().collect();
        Self((!holds.is_empty()).then(|| Arc::new(holds)))
    }
}

impl From<&str> for Spot {
    /// That of who wants a place.
    fn from(key: &str) -> Self {
        Self { key: key.into(), paths: None }
    }
}

impl fmt::Display for Spot {
    /// What who stands there waits for, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.paths, rate_of(&self.key)) {
            (Some(paths), _) => write!(f, "the paths {paths}"),
            (None, Some((per, name))) => {
                write!(f, "its turn under the rate `{name}`, per {}", duration::print(per))
            }
            (None, None) => write!(f, "a place under `{}`", self.key),
        }
    }
}

impl Hold {
    /// One of a key's places, of which so many may be held at once.
    #[must_use]
    pub fn place(key: &str, limit: u32) -> Self {
        Self { key: key.into(), claim: Claim::Place { limit } }
    }

    /// A beginning, of which there may be so many within any such time, at least a millisecond.
    #[must_use]
    pub fn rate(key: &str, limit: u32, per: Duration) -> Self {
        let per = u64::try_from(per.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { key: format!("{RATES}{per}:{key}").into(), claim: Claim::Rate { limit, per } }
    }

    /// Paths of a workspace.
    #[must_use]
    pub fn paths(workspace: &str, paths: Paths) -> Self {
        Self { key: format!("{PATHS}{workspace}").into(), claim: Claim::Paths(Arc::new(paths)) }
    }

    /// Where one waits for it.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot { key: self.key.clone(), paths: self.claim.paths().cloned() }
    }

    /// How many places it lets be held, or begin within its time; 1 if it is of paths.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.claim.limit()
    }
}

impl Claim {
    /// The paths, if it is of some.
    #[must_use]
    pub const fn paths(&self) -> Option<&Arc<Paths>> {
        match self {
            Self::Rate { .. } | Self::Place { .. } => None,
            Self::Paths(paths) => Some(paths),
        }
    }

    /// Whether it is of a place, which its end gives back.
    #[must_use]
    pub const fn is_place(&self) -> bool {
        matches!(self, Self::Place { .. })
    }

    /// The time that it is about, if it is a beginning under a rate.
    #[must_use]
    pub const fn per(&self) -> Option<Duration> {
        match self {
            Self::Rate { per, .. } => Some(Duration::from_millis(*per)),
            Self::Place { .. } | Self::Paths(_) => None,
        }
    }

    /// How many places it lets be held, or begin within its time; 1 if it is of paths.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        match self {
            Self::Rate { limit, .. } | Self::Place { limit } => *limit,
            Self::Paths(_) => 1,
        }
    }

    /// The last of those that wait in the same spot.
    fn last(&self) -> Self {
        match self {
            Self::Rate { .. } => Self::Rate { limit: u32::MAX, per: u64::MAX },
            Self::Place { .. } => Self::Place { limit: u32::MAX },
            Self::Paths(_) => self.clone(),
        }
    }
}

impl Slot {
    /// What the latest attempt has taken; it need not be held now.
    #[must_use]
    pub fn holds(&self) -> &Holds {
        self.extra.as_ref().map_or(Holds::NONE, |extra| &extra.holds)
    }

    /// What it holds: while it is executed, here or elsewhere, or carried out by another run. What waits otherwise holds
    /// nothing, and neither does a task that nobody has claimed.
    #[must_use]
    pub fn held(&self) -> &Holds {
        let holds = match &self.state {
            StepState::Running { .. } | StepState::Offered { task: false, .. } => true,
            state => state.child().is_some(),
        };
        if holds { self.holds() } else { Holds::NONE }
    }

    /// What it waits for.
    #[must_use]
    pub const fn parked(&self) -> Option<&Arc<Hold>> {
        match &self.state {
            StepState::Parked { hold, .. } => Some(hold),
            _ => None,
        }
    }

    pub(crate) fn set_holds(&mut self, holds: &Holds) {
        if self.holds() != holds {
            self.extra().holds = holds.clone();
        }
    }
}

impl RunState {
    /// What the run waits for, each spot once, with the smallest limit that something of it names: nothing while nothing of it
    /// may begin, or nobody drives it who would begin it. Costs as much as there are spots.
    pub fn wanted_holds(&self) -> impl Iterator<Item = &Arc<Hold>> {
        let goes_on = self.proceeds(self.head.stage) && self.head.driver.is_some();
        let parked = &self.index.parked;
        let mut next = parked.first().filter(|_| goes_on);
        // Nothing of it waits for anything else before the run has its place.
        let own = self.waited_place().filter(|_| goes_on);
        own.into_iter().chain(std::iter::from_fn(move || {
            let (key, claim, at) = next?;
            let last = (key.clone(), claim.last(), u32::MAX);
            next = parked.range((Bound::Excluded(last), Bound::Unbounded)).next();
            self.slots[*at as usize].parked()
        }))
    }

    /// The paths of the run's own steps and items that are held under a key.
    pub fn locks(&self, key: &Arc<str>) -> impl Iterator<Item = &Arc<Paths>> + use<'_> {
        let all = (key.clone(), 0)..=(key.clone(), u32::MAX);
        self.index.locks.range(all).map(|(_, paths)| paths)
    }

    /// The steps and items that wait for a place or for paths.
    pub fn parked(&self) -> impl Iterator<Item = Unit> {
        self.index.parked.iter().map(|(.., at)| self.unit_at(*at))
    }

    /// The steps and items that wait in a spot: first those that let the fewest be held.
    pub fn parked_for(&self, spot: &Spot) -> impl Iterator<Item = Unit> + use<'_> {
        let first = match &spot.paths {
            Some(paths) => Claim::Paths(paths.clone()),
            None if spot.is_of_rate() => Claim::Rate { limit: 0, per: 0 },
            None => Claim::Place { limit: 0 },
        };
        let last = first.last();
        let all = (spot.key.clone(), first, 0)..=(spot.key.clone(), last, u32::MAX);
        self.index.parked.range(all).map(|(.., at)| self.unit_at(*at))
    }
}
