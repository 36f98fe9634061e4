//! Places under a key: what an attempt holds while it is executed, so that of all that name the key no more run at once than
//! the author allows.

use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::Unit;
use crate::machine::slot::Slot;
use crate::machine::state::RunState;
use crate::machine::step_state::StepState;

/// A place under a key. Whoever takes it says how many there are: of several that name the same key, each sees to it that no
/// more are held than it allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// The key; of a project.
    pub key: Arc<str>,
    /// How many may be held at once; at least 1.
    pub limit: u32,
}

impl Slot {
    /// The place that the latest attempt has taken, or waits for; it need not be held now.
    #[must_use]
    pub fn hold(&self) -> Option<&Arc<Hold>> {
        self.extra.as_ref()?.hold.as_ref()
    }

    /// The place that it holds: while it is executed, here or elsewhere, or carried out by another run. What waits otherwise
    /// holds nothing.
    #[must_use]
    pub fn held(&self) -> Option<&Arc<Hold>> {
        let holds = match &self.state {
            StepState::Running { .. } | StepState::Offered { .. } => true,
            state => state.child().is_some(),
        };
        self.hold().filter(|_| holds)
    }

    /// The place that it waits for.
    #[must_use]
    pub const fn parked(&self) -> Option<&Arc<Hold>> {
        match &self.state {
            StepState::Parked { hold, .. } => Some(hold),
            _ => None,
        }
    }

    pub(crate) fn set_hold(&mut self, hold: Option<&Arc<Hold>>) {
        if hold.is_some() || self.hold().is_some() {
            self.extra().hold = hold.cloned();
        }
    }
}

impl RunState {
    /// The places that the run waits for, each key once, with the smallest limit that something of it names: none while nothing
    /// of it may begin, or nobody drives it who would begin it. Costs as much as there are keys.
    pub fn wanted_holds(&self) -> impl Iterator<Item = &Arc<Hold>> {
        let goes_on = self.goes_on(self.head.stage) && self.head.driver.is_some();
        let parked = &self.index.parked;
        let mut next = parked.first().filter(|_| goes_on);
        std::iter::from_fn(move || {
            let (key, _, at) = next?;
            let last = (key.clone(), u32::MAX, u32::MAX);
            next = parked.range((Bound::Excluded(last), Bound::Unbounded)).next();
            self.slots[*at as usize].parked()
        })
    }

    /// The steps and items that wait for a place.
    pub fn parked(&self) -> impl Iterator<Item = Unit> {
        self.index.parked.iter().map(|(.., at)| self.unit_at(*at))
    }

    /// Whether something of the run waits for a place under a key.
    #[must_use]
    pub fn waits_for(&self, key: &Arc<str>) -> bool {
        self.parked_for(key).next().is_some()
    }

    /// The steps and items that wait for a place under a key: first those that let the fewest be held.
    pub fn parked_for(&self, key: &Arc<str>) -> impl Iterator<Item = Unit> + use<'_> {
        let all = (key.clone(), 0, 0)..=(key.clone(), u32::MAX, u32::MAX);
        self.index.parked.range(all).map(|(.., at)| self.unit_at(*at))
    }
}
