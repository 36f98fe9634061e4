//! Chance: one generator per world, and the faults that it may cause. Each seed switches each die on or off, so that a world
//! has few faults often rather than all of them seldom.

use std::collections::BTreeMap;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// `true` once in a thousand, times `permille`.
    pub(crate) fn permille(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

macro_rules! dice {
    ($($(#[$doc:meta])* $die:ident = $name:literal,)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Die {
            $($(#[$doc])* $die,)+
        }

        impl Die {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$die),+];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$die => $name,)+ }
            }
        }
    };
}

/// Something waited for a place under a key.
pub(crate) const WAITED: &str = "place.waited";
/// A run waited for one, before anything of it began.
pub(crate) const RUN_WAITED: &str = "place.run_waited";
/// Somebody was given one.
pub(crate) const GIVEN: &str = "place.given";
/// Something waited for its turn under a rate.
pub(crate) const TURN: &str = "rate.waited";
/// Time has started a run.
pub(crate) const TICKED: &str = "schedule.fired";
/// Somebody has claimed a task.
pub(crate) const CLAIMED: &str = "task.claimed";
/// Whoever had claimed a task came too late.
pub(crate) const OVERTAKEN: &str = "task.overtaken";

dice! {
    /// The store cannot be reached: nothing is written.
    Unavailable = "store.unavailable",
    /// Nobody reaches the store for seconds: an outage, or a disk that is full.
    Outage = "store.outage",
    /// Somebody else holds the store.
    Busy = "store.busy",
    /// The answer to a commit is lost; it was written.
    AmbiguousApplied = "store.ambiguous_applied",
    /// The answer to a commit is lost; it was not written.
    AmbiguousLost = "store.ambiguous_lost",
    /// A commit is written after its process has died.
    Posthumous = "store.posthumous",
    /// An answer takes a second and more.
    Slow = "store.slow",
    /// A read fails.
    Unreadable = "store.unreadable",
    /// A renewal fails.
    Unrenewed = "store.unrenewed",
    /// Runs that have ended are pruned while others go on.
    Prune = "store.prune",
    /// A process dies between two polls of its tasks, wherever they are.
    Kill = "node.kill",
    /// A process stands still for a part or a multiple of its time to live.
    Pause = "node.pause",
    /// A process is asked to stop.
    Stop = "node.stop",
    /// A clock runs fast or slow.
    Drift = "clock.drift",
    /// A clock leaps ahead, or stands still.
    Leap = "clock.leap",
    /// An attempt never ends by itself.
    Hang = "plugin.hang",
    /// An attempt does not listen when it is told to stop.
    Stubborn = "plugin.stubborn",
    /// An attempt takes its process down, before or after its effect.
    Poison = "plugin.poison",
    /// A plugin panics.
    Panic = "plugin.panic",
    /// A failure that was not asked for.
    Failure = "plugin.failure",
    /// The plugin cannot tell whether it has had its effect.
    Unknown = "plugin.unknown",
    /// An output of 300 KiB.
    Huge = "plugin.huge",
    /// The policy does not answer, or late.
    Policy = "policy.error",
    /// The policy is another one from now on.
    Reload = "policy.reload",
    /// A start is asked for twice, under one key.
    Twice = "client.twice",
    /// A run is to begin some time later.
    Later = "client.later",
    /// A person decides twice at once, through two processes, and not the same.
    Quarrel = "client.quarrel",
    /// Somebody cancels.
    Cancel = "client.cancel",
    /// Somebody pauses, and resumes later.
    Hold = "client.hold",
    /// Whoever has claimed a task is never heard of again.
    Gone = "claimer.gone",
    /// Whoever has claimed a task does it for longer than the claim lasts.
    Overtaken = "claimer.overtaken",
    /// Processes execute what others offer.
    Fleet = "node.fleet",
    /// A task that could go on is passed over.
    PassedOver = "schedule.passed_over",
    /// The store takes several commits of a process at a time, as PostgreSQL does, and each run keeps to one lane.
    Lanes = "store.lanes",
}

/// The dice of a world.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    on: Vec<Die>,
    hits: BTreeMap<&'static str, u64>,
    healed: bool,
}

impl Dice {
    /// A choice: each die is on in one world of three.
    pub(crate) fn drawn(chance: &mut Chance) -> Self {
        let on = Die::ALL.iter().copied().filter(|_| chance.below(3) == 0).collect();
        Self { on, hits: BTreeMap::new(), healed: false }
    }

    pub(crate) fn without(mut self, off: &[Die]) -> Self {
        self.on.retain(|die| !off.contains(die));
        self
    }

    pub(crate) fn are_on(&self) -> &[Die] {
        &self.on
    }

    pub(crate) fn is_on(&self, die: Die) -> bool {
        !self.healed && self.on.contains(&die)
    }

    pub(crate) fn count(&mut self, die: Die) {
        *self.hits.entry(die.name()).or_default() += 1;
    }

    /// From here on nothing goes wrong any more.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
    }

    /// Something has happened that is no fault, and that every battery must have met.
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.hits.entry(what).or_default() += 1;
    }

    pub(crate) const fn hits(&self) -> &BTreeMap<&'static str, u64> {
        &self.hits
    }
}
