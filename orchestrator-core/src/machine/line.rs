//! The line of a key: how many places under it are held, and which runs wait for one. Pure: the store reads what is there, asks
//! here what becomes of it, and writes that, in one transaction with what the runs do.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::RunId;
use crate::time::Timestamp;

/// How much longer than others a run seems to have waited for each point of priority. Who waits long enough goes before all
/// that come later, however urgent: nobody waits for ever.
const HEAD_START_MS: i64 = 60_000;

/// A run that waits for a place under a key. It has one place in the line, however many of its steps wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// Who goes first: the smallest. When it came, less a head start for its priority.
    pub rank: i64,
    /// How many places it lets be held at once, its own included.
    pub limit: u32,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it was given a place that it has not taken up yet. That counts as held.
    pub granted_at: Option<Timestamp>,
}

/// What one run wants of a key, all at once or not at all; done in the order of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// How many places it gives back.
    pub releases: u32,
    /// Whether it no longer waits.
    pub leaves: bool,
    /// How many places it takes.
    pub takes: u32,
    /// With how large a priority it waits from here on, if it does not wait already; `None`: it does not want to.
    pub waits: Option<i32>,
    /// How many places may be held at once, if it takes some or waits.
    pub limit: u32,
}

/// How many places under a key are held, and who waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    held: u32,
    waiters: BTreeMap<RunId, Waiter>,
    /// Those that were given nothing yet, in their order.
    order: BTreeSet<(i64, RunId)>,
}

impl Line {
    /// What a store has found. Of those that wait, it suffices to give the runs that want something now, and of the others as
    /// many of the first as places may become free.
    #[must_use]
    pub fn new(held: u32, waiters: impl IntoIterator<Item = (RunId, Waiter)>) -> Self {
        let waiters: BTreeMap<RunId, Waiter> = waiters.into_iter().collect();
        let order = waiters.iter().filter(|(_, waiter)| waiter.granted_at.is_none());
        let order = order.map(|(run, waiter)| (waiter.rank, *run)).collect();
        Self { held, waiters, order }
    }

    /// How many places are held; those count that were given and not taken up yet.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Those that wait.
    #[must_use]
    pub const fn waiters(&self) -> &BTreeMap<RunId, Waiter> {
        &self.waiters
    }

    /// How many places the run can take once it has given back what it wants to.
    #[must_use]
    pub fn room(&self, run: RunId, wish: &Wish) -> u32 {
        let granted = self.waiters.get(&run).is_some_and(|waiter| waiter.granted_at.is_some());
        let given_back = wish.releases + u32::from(granted && wish.leaves);
        let own = u32::from(granted && !wish.leaves);
        // Nobody goes before those that came earlier.
        let others_wait = self.order.first().is_some_and(|(_, first)| *first != run);
        let free =
            if others_wait { 0 } else { wish.limit.saturating_sub(self.held.saturating_sub(given_back)) };
        own + free
    }

    /// Does what a run wants, as far as there is room for it.
    ///
    /// # Errors
    /// [`Line::room`], if that is less than what it wants to take; nothing has changed then.
    pub fn admit(&mut self, run: RunId, wish: &Wish, now: Timestamp) -> Result<(), u32> {
        let room = self.room(run, wish);
        if wish.takes > room {
            return Err(room);
        }
        self.held = self.held.saturating_sub(wish.releases);
        if wish.leaves && self.leave(run) {
            self.held = self.held.saturating_sub(1);
        }
        if wish.takes > 0 {
            // What it was given is held already.
            let own = u32::from(self.leave(run));
            self.held += wish.takes - own;
        }
        if let Some(priority) = wish.waits {
            self.join(run, wish.limit, priority, now);
        }
        self.hand_on(now);
        Ok(())
    }

    /// Tells whether the run had been given a place.
    fn leave(&mut self, run: RunId) -> bool {
        let Some(left) = self.waiters.remove(&run) else { return false };
        self.order.remove(&(left.rank, run));
        left.granted_at.is_some()
    }

    fn join(&mut self, run: RunId, limit: u32, priority: i32, now: Timestamp) {
        self.waiters.entry(run).or_insert_with(|| {
            let rank = now.as_millis().saturating_sub(i64::from(priority).saturating_mul(HEAD_START_MS));
            self.order.insert((rank, run));
            Waiter { rank, limit, since: now, granted_at: None }
        });
    }

    /// Gives what is free to those that have waited longest.
    fn hand_on(&mut self, now: Timestamp) {
        while let Some((_, first)) = self.order.first().copied()
            && let Some(waiter) = self.waiters.get_mut(&first)
            && self.held < waiter.limit
        {
            waiter.granted_at = Some(now);
            self.held += 1;
            self.order.pop_first();
        }
    }
}
