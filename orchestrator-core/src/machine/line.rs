//! The line of a key: what of it is held, and which runs wait for some. Pure: the store reads what is there, asks here what
//! becomes of it, and writes that, in one transaction with what the runs do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{RunId, Unit};
use crate::machine::hold::Claim;
use crate::machine::rate::Spent;
use crate::spec::Paths;
use crate::time::{HEAD_START, Timestamp};

/// Who waits: a run, for a place or for paths. It has one spot in the line for each of these, however many of its steps wait.
pub type Who = (RunId, Option<Arc<Paths>>);

/// What a run wants to take and cannot: paths, or places or beginnings; and how many times it could take that.
pub type Short = (Option<Arc<Paths>>, Room);

/// How much of a key one could take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// So many times.
    pub many: u32,
    /// After how long it can be more, where time alone makes room: under a rate, for one that waits from now on. It may be told too
    /// early, and be asked for again then.
    pub more_in: Option<Duration>,
}

impl From<u32> for Room {
    fn from(many: u32) -> Self {
        Self { many, more_in: None }
    }
}

/// How long a run waits already, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// Who goes first: the smallest. When it came, less a head start for its priority.
    pub rank: i64,
    /// How many places it lets be held at once, or begin within the time of a rate, its own included; 1 for paths.
    pub limit: u32,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it was given what it waits for, and has not taken it up yet. That counts as held. Nobody is given beginnings under a
    /// rate: one is kept for each that waits, as soon as there are so many.
    pub granted_at: Option<Timestamp>,
}

/// What one run wants of a key, all at once or not at all; done in the order of these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Whose places or paths it gives back.
    pub releases: Vec<Unit>,
    /// What it no longer waits for.
    pub leaves: Vec<Option<Arc<Paths>>>,
    /// What it takes, and for which steps or items.
    pub takes: Vec<(Unit, Claim)>,
    /// What it waits for from here on, if it does not wait already.
    pub waits: Vec<Claim>,
    /// With how large a priority.
    pub priority: i32,
}

impl Wish {
    /// How many places, or beginnings, it takes.
    fn places(&self) -> u32 {
        self.takes.iter().filter(|(_, claim)| claim.paths().is_none()).count() as u32
    }

    /// How many places may be held: where several limits are named, the smallest counts.
    fn limit(&self) -> u32 {
        let claims = self.takes.iter().map(|(_, claim)| claim).chain(&self.waits);
        claims.filter(|claim| claim.paths().is_none()).map(Claim::limit).min().unwrap_or_default()
    }

    /// The time of the rate that it is about, if it is about one.
    fn per(&self) -> Option<Duration> {
        self.takes.iter().map(|(_, claim)| claim).chain(&self.waits).find_map(Claim::per)
    }
}

/// What of a key is held, and who waits. A key is one of places, one of paths or one of a rate, never two of these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// How many places.
    held: u32,
    /// Which paths, by whom.
    locks: BTreeMap<(RunId, Unit), Arc<Paths>>,
    /// What has begun, if it is of a rate.
    spent: Option<Spent>,
    waiters: BTreeMap<Who, Waiter>,
    /// Those that were given nothing yet, in their order.
    order: BTreeSet<(i64, Who)>,
    /// Whether more wait than are known here, all of them later than those.
    is_longer: bool,
}

impl Line {
    /// What a store has found of a key that has places, or has nothing. Of those that wait, it suffices to give the runs that want
    /// something now, and of the others as many of the first as may be given something.
    #[must_use]
    pub fn new(held: u32, waiters: impl IntoIterator<Item = (Who, Waiter)>) -> Self {
        let waiters: BTreeMap<Who, Waiter> = waiters.into_iter().collect();
        let order = waiters.iter().filter(|(_, waiter)| waiter.granted_at.is_none());
        let order = order.map(|(who, waiter)| (waiter.rank, who.clone())).collect();
        Self { held, waiters, order, ..Self::default() }
    }

    /// What a store has found of a workspace: all the paths that are held, all who were given some, and of the others the first.
    /// `is_longer`: there are more of those.
    #[must_use]
    pub fn of_paths(
        locks: impl IntoIterator<Item = ((RunId, Unit), Arc<Paths>)>,
        waiters: impl IntoIterator<Item = (Who, Waiter)>,
        is_longer: bool,
    ) -> Self {
        Self { locks: locks.into_iter().collect(), is_longer, ..Self::new(0, waiters) }
    }

    /// What a store has found of a rate: what has begun under it, and those that wait: the runs that want something now, and of the
    /// others the first. `is_longer`: there are more of those.
    #[must_use]
    pub fn of_rate(spent: Spent, waiters: impl IntoIterator<Item = (Who, Waiter)>, is_longer: bool) -> Self {
        Self { spent: Some(spent), is_longer, ..Self::new(0, waiters) }
    }

    /// What has begun, if it is of a rate.
    #[must_use]
    pub const fn spent(&self) -> Option<&Spent> {
        self.spent.as_ref()
    }

    /// How many places or paths are held; those count that were given and not taken up yet.
    #[must_use]
    pub fn held(&self) -> u32 {
        let given =
            self.waiters.iter().filter(|((_, paths), waiter)| paths.is_some() && waiter.granted_at.is_some());
        self.held + (self.locks.len() + given.count()) as u32
    }

    /// Those that wait.
    #[must_use]
    pub const fn waiters(&self) -> &BTreeMap<Who, Waiter> {
        &self.waiters
    }

    /// What the run wants to take and cannot, once it has given back what it wants to: for which paths, or for places; and how
    /// many it could take.
    #[must_use]
    pub fn short(&self, run: RunId, wish: &Wish, now: Timestamp) -> Vec<Short> {
        let mut short = Vec::new();
        if wish.takes.is_empty() {
            return short;
        }
        let places = wish.places();
        let room = match wish.per() {
            _ if places == 0 => Room::default(),
            Some(per) => self.leeway(run, wish, per, now),
            None => self.room(run, wish).into(),
        };
        if places > room.many {
            short.push((None, room));
        }
        let mut held = self.locks_beside(run, &wish.releases);
        for (nth, (unit, claim)) in wish.takes.iter().enumerate() {
            let Some(paths) = claim.paths() else { continue };
            if self.is_open(run, paths, &held, wish) {
                held.insert((run, *unit), paths.clone());
            } else if !short.iter().any(|(known, _)| known.as_ref() == Some(paths)) {
                // All before it that take the same can.
                let before =
                    wish.takes[..nth].iter().filter(|(_, claim)| claim.paths() == Some(paths)).count();
                short.push((Some(paths.clone()), (before as u32).into()));
            }
        }
        short
    }

    /// How many places the run can take once it has given back what it wants to.
    fn room(&self, run: RunId, wish: &Wish) -> u32 {
        let own = (run, None);
        let leaves = wish.leaves.contains(&None);
        let granted = self.waiters.get(&own).is_some_and(|waiter| waiter.granted_at.is_some());
        let given_back = self.places_of(run, &wish.releases) + u32::from(granted && leaves);
        let kept = u32::from(granted && !leaves);
        // Nobody goes before those that came earlier.
        let others_wait = self.order.iter().find(|(_, (_, paths))| paths.is_none());
        let others_wait = others_wait.is_some_and(|(_, first)| *first != own);
        let free =
            if others_wait { 0 } else { wish.limit().saturating_sub(self.held.saturating_sub(given_back)) };
        kept + free
    }

    /// How much can begin of the run, one of those that wait kept for each of the others; and when it can be more.
    fn leeway(&self, run: RunId, wish: &Wish, per: Duration, now: Timestamp) -> Room {
        let (own, none) = ((run, None), Spent::default());
        let spent = self.spent.as_ref().unwrap_or(&none);
        let stands = self.waiters.get(&own).filter(|_| !wish.leaves.contains(&None));
        let others = self.order.iter().filter(|(_, who)| *who != own);
        let (before, behind): (Vec<_>, Vec<_>) =
            others.partition(|(rank, who)| stands.is_none_or(|own| (*rank, &who.0) < (own.rank, &run)));
        // Where limits differ, nobody makes one wait for longer who came earlier and lets fewer begin.
        let of_those = before.iter().filter_map(|(_, who)| Some(self.waiters.get(who)?.limit));
        let limit = of_those.min().unwrap_or(u32::MAX).min(wish.limit());
        let begun = spent.within(per, now);
        let free = limit.saturating_sub(begun);
        let (before, behind) = (before.len() as u32, behind.len() as u32);
        let many = match stands {
            Some(_) if free > before => {
                1 + if self.is_longer { 0 } else { (free - before - 1).saturating_sub(behind) }
            }
            None if !self.is_longer => free.saturating_sub(before),
            _ => 0,
        };
        // Who has its turn now comes last the next time.
        let turns = if many > 0 { before + behind } else { before };
        let missing = (turns + 1).saturating_sub(free - many.min(free)).max(1);
        // Those that go first begin before that, and make all behind them wait for as long again.
        let (rounds, nth) = ((missing - 1) / limit.max(1), (missing - 1) % limit.max(1) + 1);
        // More may have begun for others than one lets.
        let past = spent
            .past(begun.saturating_sub(limit) + nth, per, now)
            .unwrap_or_else(|| spent.past_of_now(per, now));
        Room { many, more_in: Some(past.since(now) + per * rounds) }
    }

    /// How many of these hold a place; the others hold paths.
    fn places_of(&self, run: RunId, units: &[Unit]) -> u32 {
        units.iter().filter(|unit| !self.locks.contains_key(&(run, **unit))).count() as u32
    }

    /// What paths are held once the run has given these back.
    fn locks_beside(&self, run: RunId, releases: &[Unit]) -> BTreeMap<(RunId, Unit), Arc<Paths>> {
        let locks = self.locks.iter().filter(|(at, _)| at.0 != run || !releases.contains(&at.1));
        locks.map(|(at, paths)| (*at, paths.clone())).collect()
    }

    /// Whether the run may take these paths beside what is held, without going before somebody who came earlier.
    fn is_open(
        &self,
        run: RunId,
        paths: &Arc<Paths>,
        held: &BTreeMap<(RunId, Unit), Arc<Paths>>,
        wish: &Wish,
    ) -> bool {
        if held.values().any(|other| other.clashes(paths)) {
            return false;
        }
        let own = (run, Some(paths.clone()));
        let leaves = |who: &Who| who.0 == run && wish.leaves.contains(&who.1);
        let stands = self.waiters.get(&own).filter(|_| !leaves(&own));
        if stands.is_some_and(|waiter| waiter.granted_at.is_some()) {
            return true;
        }
        if stands.is_none() && self.is_longer {
            return false;
        }
        let mut others = self.waiters.iter().filter(|(who, _)| **who != own && !leaves(who));
        !others.any(|(who, other)| {
            let is_before = other.granted_at.is_some()
                || stands.is_none_or(|own| (other.rank, &who.0) < (own.rank, &run));
            is_before && who.1.as_ref().is_some_and(|others| others.clashes(paths))
        })
    }

    /// Does what a run wants, as far as it can have that. The run says that it is `at`, from which on it waits, and the store that it
    /// is `now`, by which beginnings under a rate are counted.
    ///
    /// # Errors
    /// [`Line::short`], if that is something; nothing has changed then.
    pub fn admit(
        &mut self,
        run: RunId,
        wish: &Wish,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Vec<Short>> {
        let short = self.short(run, wish, now);
        if !short.is_empty() {
            return Err(short);
        }
        if wish.per().is_some() {
            self.spent.get_or_insert_default();
        }
        self.held = self.held.saturating_sub(self.places_of(run, &wish.releases));
        wish.releases.iter().for_each(|unit| drop(self.locks.remove(&(run, *unit))));
        for paths in &wish.leaves {
            if self.leave(&(run, paths.clone())) && paths.is_none() {
                self.held = self.held.saturating_sub(1);
            }
        }
        let places = wish.places();
        if places > 0 {
            // What it was given is held already.
            let own = u32::from(self.leave(&(run, None)));
            match (&mut self.spent, wish.per()) {
                (Some(spent), Some(per)) => spent.spend(places, per, now),
                _ => self.held += places - own,
            }
        }
        for (unit, claim) in &wish.takes {
            if let Some(paths) = claim.paths() {
                self.leave(&(run, Some(paths.clone())));
                self.locks.insert((run, *unit), paths.clone());
            }
        }
        let limit = wish.limit();
        for claim in &wish.waits {
            let limit = if claim.paths().is_some() { claim.limit() } else { limit };
            self.join((run, claim.paths().cloned()), limit, wish.priority, at);
        }
        if self.spent.is_none() {
            self.hand_on(at);
        }
        Ok(())
    }

    /// Tells whether it had been given what it waited for.
    fn leave(&mut self, who: &Who) -> bool {
        let Some(left) = self.waiters.remove(who) else { return false };
        self.order.remove(&(left.rank, who.clone()));
        left.granted_at.is_some()
    }

    fn join(&mut self, who: Who, limit: u32, priority: i32, at: Timestamp) {
        if self.waiters.contains_key(&who) {
            return;
        }
        let mut rank = at.place(priority);
        if self.spent.is_some() {
            // Who comes in the same millisecond stands behind: those that are there know when they have their turn.
            let head_start = HEAD_START.as_millis() as i64;
            let same = self.waiters.values().filter(|other| other.since == at).map(|other| other.rank);
            let last = same.filter(|other| (rank..rank + head_start).contains(other)).max();
            rank = last.map_or(rank, |last| last + 1);
            while self.waiters.values().any(|other| other.rank == rank) {
                rank += 1;
            }
        }
        self.order.insert((rank, who.clone()));
        self.waiters.insert(who, Waiter { rank, limit, since: at, granted_at: None });
    }

    /// Gives what is free to those that have waited longest.
    fn hand_on(&mut self, now: Timestamp) {
        let mut given = Vec::new();
        // Paths that are held, were given, or are waited for by somebody who came earlier.
        let mut busy: Vec<Arc<Paths>> = Vec::new();
        if self.order.first().is_some_and(|(_, (_, paths))| paths.is_some()) {
            let granted = self.waiters.iter().filter(|(_, waiter)| waiter.granted_at.is_some());
            busy.extend(
                granted.filter_map(|((_, paths), _)| paths.clone()).chain(self.locks.values().cloned()),
            );
        }
        for place @ (_, who) in &self.order {
            let Some(waiter) = self.waiters.get_mut(who) else { continue };
            match &who.1 {
                None if self.held >= waiter.limit => break,
                None => self.held += 1,
                Some(paths) => {
                    let is_busy = busy.iter().any(|other| other.clashes(paths));
                    busy.push(paths.clone());
                    if is_busy {
                        continue;
                    }
                }
            }
            waiter.granted_at = Some(now);
            given.push(place.clone());
        }
        given.iter().for_each(|place| _ = self.order.remove(place));
    }
}
