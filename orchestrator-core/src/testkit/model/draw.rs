//! Operations, drawn from a seed.

use crate::id::mix;

/// Something done to a store, through one of two handles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub(super) handle: usize,
    pub(super) op: Op,
}

/// Something done to a store. Runs and owners go by small numbers, so that they meet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Commit(Vec<Draft>),
    Register {
        owner: usize,
        lives: bool,
    },
    Renew(usize),
    Retire(usize),
    Sweep,
    ClaimDue {
        limit: usize,
    },
    AppendLogs {
        run: usize,
        count: u32,
    },
    EventsAfter {
        run: usize,
        after: u64,
        limit: usize,
    },
    Logs {
        run: usize,
        after: u64,
        tail: bool,
        limit: usize,
    },
    ListRuns {
        open: bool,
        top: bool,
        after: Option<usize>,
        limit: usize,
    },
    RegisterWorkflow {
        name: u32,
        text: u32,
        expected: Option<u64>,
    },
    PutDocument {
        name: u32,
        text: u32,
        due: Option<i64>,
        expected: u64,
    },
    DeleteDocument {
        name: u32,
        expected: u64,
    },
    Prune {
        before: i64,
        limit: usize,
        dry: bool,
    },
    Claim {
        of: Offered,
        owner: usize,
    },
    Deliver {
        of: Offered,
        owner: usize,
        end: u32,
    },
    /// Closes the second handle and opens another in its place, where the place keeps.
    Reopen,
}

/// A member in small numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Draft {
    pub(super) run: usize,
    pub(super) creates: bool,
    pub(super) key: Option<(u8, u8)>,
    /// How far its number is from the right one.
    pub(super) off: i64,
    /// Events beyond the first; `None`: it has no event at all, and cannot be.
    pub(super) more: Option<u32>,
    pub(super) speaks_as: Option<(usize, u64)>,
    pub(super) dead: Option<usize>,
    pub(super) driver: Option<(usize, u64)>,
    pub(super) due: Option<bool>,
    pub(super) ended: bool,
    pub(super) step: u32,
    pub(super) asks: bool,
    pub(super) lines: u32,
    pub(super) child: Option<usize>,
    pub(super) remote: Dealings,
    pub(super) places: Places,
}

/// A right that may have been offered, of one of the runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Offered {
    pub(super) run: usize,
    pub(super) step: u32,
    pub(super) epoch: u64,
}

/// What a member says of offers of its run: each of a step and an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Dealings {
    pub(super) offers: Option<(u32, u64)>,
    pub(super) withdrawn: Option<(u32, u64)>,
    pub(super) stops: Option<(u32, u64)>,
    pub(super) taken: Option<(u32, u64)>,
    /// And for whom.
    pub(super) claims: Option<((u32, u64), usize)>,
    /// Whether what is offered is a task, and how urgent it is.
    pub(super) task: bool,
    pub(super) urgency: i32,
}

/// What a member does to keys: each of a step and a key.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Places {
    pub(super) takes: Option<(u32, u8)>,
    pub(super) releases: bool,
    pub(super) waits: Option<u8>,
    pub(super) leaves: Option<u8>,
    pub(super) urgent: bool,
}

/// How many keys there are that have places.
pub(super) const KEYS: u8 = 2;

/// How many rates.
pub(super) const RATES: u8 = 2;

/// How many different things are wanted: a place under each of these, a beginning under each rate, and some paths.
pub(super) const HOLDS: u32 = 8;

/// How many runs there are in a world.
pub(super) const RUNS: usize = 5;

/// How many owners.
pub(super) const OWNERS: usize = 3;

/// Numbers from a seed.
#[derive(Debug)]
pub(in crate::testkit) struct Dice(u64);

impl Dice {
    pub(in crate::testkit) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(in crate::testkit) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // The bias is one in 2^60.
        mix(self.0) % end
    }

    fn index(&mut self, end: usize) -> usize {
        // Smaller than `end`.
        self.below(end as u64) as usize
    }

    fn small(&mut self, end: u32) -> u32 {
        self.below(end.into()) as u32
    }

    /// True in `of` cases of ten.
    fn often(&mut self, of: u64) -> bool {
        self.below(10) < of
    }

    fn maybe<T>(&mut self, of: u64, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.often(of).then(|| draw(self))
    }

    pub(super) fn turns(&mut self, count: usize) -> Vec<Turn> {
        (0..count).map(|_| Turn { handle: self.index(2), op: self.op() }).collect()
    }

    fn op(&mut self) -> Op {
        match self.below(38) {
            0..10 => Op::Commit((0..=self.below(3)).map(|_| self.draft()).collect()),
            10..12 => Op::Register { owner: self.index(OWNERS), lives: self.often(5) },
            12 => Op::Renew(self.index(OWNERS)),
            13 => Op::Retire(self.index(OWNERS)),
            14 => Op::Sweep,
            15 => Op::ClaimDue { limit: self.index(5) },
            16 => Op::AppendLogs { run: self.index(RUNS), count: self.small(3) },
            17 => Op::EventsAfter { run: self.index(RUNS), after: self.below(6), limit: self.index(5) },
            18 => Op::Logs {
                run: self.index(RUNS),
                after: self.below(4),
                tail: self.often(5),
                limit: self.index(4),
            },
            19 => Op::ListRuns {
                open: self.often(4),
                top: self.often(4),
                after: self.maybe(4, |dice| dice.index(RUNS)),
                limit: self.index(4),
            },
            20 => Op::RegisterWorkflow {
                name: self.small(2),
                text: self.small(3),
                expected: self.maybe(4, |dice| dice.below(3)),
            },
            21 | 22 => Op::Prune {
                before: self.below(4) as i64,
                limit: if self.often(5) { 1 } else { 99 },
                dry: self.often(3),
            },
            23..28 => Op::Claim { of: self.offered(), owner: self.index(OWNERS) },
            28..33 => Op::Deliver { of: self.offered(), owner: self.index(OWNERS), end: self.small(2) },
            33..36 => Op::PutDocument {
                name: self.small(2),
                text: self.small(3),
                due: self.maybe(5, |dice| dice.below(3) as i64),
                expected: self.below(3),
            },
            36 => Op::DeleteDocument { name: self.small(2), expected: self.below(3) },
            _ => Op::Reopen,
        }
    }

    /// A step and an epoch: few, so that what is claimed has been offered.
    fn right(&mut self) -> (u32, u64) {
        (self.small(2), 1 + u64::from(self.often(2)))
    }

    fn offered(&mut self) -> Offered {
        let (step, epoch) = self.right();
        Offered { run: self.index(RUNS), step, epoch }
    }

    fn draft(&mut self) -> Draft {
        let who = |dice: &mut Self| (dice.index(OWNERS), dice.below(2));
        Draft {
            run: self.index(RUNS),
            creates: self.often(3),
            key: self.maybe(3, |dice| (dice.small(HOLDS) as u8, dice.small(HOLDS) as u8)),
            off: match self.below(12) {
                0 => -1,
                1 => 1,
                _ => 0,
            },
            // Seldom none: such a member is refused before anything is looked at.
            more: self.maybe(9, |dice| dice.small(3)),
            speaks_as: self.maybe(3, who),
            dead: self.maybe(2, |dice| dice.index(OWNERS)),
            driver: self.maybe(5, who),
            due: self.maybe(5, |dice| dice.often(5)),
            ended: self.often(4),
            step: self.small(3),
            asks: self.often(3),
            lines: self.small(3),
            child: self.maybe(2, |dice| dice.index(RUNS)),
            remote: Dealings {
                offers: self.maybe(5, Self::right),
                withdrawn: self.maybe(2, Self::right),
                stops: self.maybe(2, Self::right),
                taken: self.maybe(2, Self::right),
                claims: self.maybe(2, |dice| (dice.right(), dice.index(OWNERS))),
                task: self.often(5),
                urgency: self.small(3) as i32 - 1,
            },
            places: Places {
                takes: self.maybe(4, |dice| (dice.small(3), dice.small(HOLDS) as u8)),
                releases: self.often(5),
                waits: self.maybe(3, |dice| dice.small(HOLDS) as u8),
                leaves: self.maybe(2, |dice| dice.small(HOLDS) as u8),
                urgent: self.often(2),
            },
        }
    }
}
