//! The place of a run: of all the runs that name a key, no more are under way at once than their author allows.

use std::sync::Arc;

use crate::machine::hold::{Hold, Holds, Spot};
use crate::machine::state::{Intent, RunState};
use crate::spec::Stage;

/// The place that a run needs before anything of it begins, and where it is on its way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The place.
    pub hold: Arc<Hold>,
    /// Whether the run has it.
    pub at: At,
}

/// Whether a run has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Nothing of it was to begin yet; or it has ended, and has given it back.
    Outside,
    /// Others have all that there are: it waits.
    InLine,
    /// It has its place.
    Inside,
    /// It needs none until it has ended once: what is above it holds one under the same key, and waits for it.
    Above,
}

impl Entry {
    /// Before anything of a run has happened that is below what holds places under these keys.
    pub(super) fn new(hold: Arc<Hold>, within: &[Arc<str>]) -> Self {
        let at = if within.contains(&hold.key) { At::Above } else { At::Outside };
        Self { hold, at }
    }

    const fn is_open(&self) -> bool {
        matches!(self.at, At::Inside | At::Above)
    }
}

impl RunState {
    /// Whether something of it may begin: it needs no place, or has one.
    #[must_use]
    pub fn has_entered(&self) -> bool {
        self.head.entry.as_ref().is_none_or(Entry::is_open)
    }

    /// The place that it waits for.
    #[must_use]
    pub fn waited_place(&self) -> Option<&Arc<Hold>> {
        self.head.entry.as_ref().filter(|entry| entry.at == At::InLine).map(|entry| &entry.hold)
    }

    /// The place that it is to take before anything else, if something of it could begin then.
    #[must_use]
    pub fn wanted_place(&self) -> Option<&Arc<Hold>> {
        let entry = self.head.entry.as_ref().filter(|entry| !entry.is_open())?;
        let begins = self.proceeds(self.head.stage) && !self.index.actionable.is_empty();
        begins.then_some(&entry.hold)
    }

    /// What the run itself holds: its place, while it is under way.
    #[must_use]
    pub fn held(&self) -> Holds {
        let inside = self.head.entry.iter().filter(|entry| entry.at == At::Inside);
        inside.map(|entry| entry.hold.clone()).collect()
    }

    /// Whether something of the run waits in a spot, or the run itself.
    #[must_use]
    pub fn waits_for(&self, spot: &Spot) -> bool {
        let own = self.waited_place().is_some_and(|hold| hold.spot() == *spot);
        own || self.parked_for(spot).next().is_some()
    }

    /// The keys under which it holds a place while it is under way, and those of the runs above it and of the steps that they
    /// carry out.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.head
            .within
            .iter()
            .flat_map(|within| within.iter())
            .chain(self.head.entry.iter().map(|entry| &entry.hold.key))
    }

    /// Whether new attempts of the stage may begin, once the run has its place.
    pub(crate) fn proceeds(&self, stage: Stage) -> bool {
        self.head.intent != Intent::Pause && self.head.not_before.is_none() && !self.is_stopped(stage)
    }

    /// Goes on to its place, or gives it back.
    pub(super) fn go(&mut self, from: &[At], to: At) -> Result<(), String> {
        match &mut self.head.entry {
            Some(entry) if from.contains(&entry.at) => {
                entry.at = to;
                Ok(())
            }
            entry => Err(format!("the run is to be {to:?}, and its place is {entry:?}")),
        }
    }

    /// It has ended, or begins anew: its place is given back.
    pub(super) fn give_back(&mut self) {
        self.head.entry.iter_mut().for_each(|entry| entry.at = At::Outside);
    }
}
