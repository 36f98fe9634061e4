//! The search: breadth first, so that the first way found to a state is a shortest one.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Instant;

use indexmap::IndexMap;

use crate::act::{Action, Outcome, perform, was_refused};
use crate::bounds::Scope;
use crate::offer::{fair, moves};
use crate::runs::Runs;
use crate::world::World;
use crate::wrong::Wrong;

/// Within how many actions every run ends once nothing goes wrong any more.
const ENDS_WITHIN: usize = 60;

/// How often an action was taken, and how often it was refused.
pub(crate) type Tally = BTreeMap<&'static str, (u64, u64)>;

/// A broken promise, with the shortest way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) promise: String,
    /// How many actions lead to it.
    pub(crate) actions: usize,
    pub(crate) trace: String,
}

/// What a search has found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) runs: usize,
    pub(crate) transitions: u64,
    pub(crate) depth: usize,
    /// Whether there was nothing left to find.
    pub(crate) closed: bool,
    /// In how many of the states the run has ended.
    pub(crate) ends: usize,
    pub(crate) tally: Tally,
    pub(crate) seconds: f64,
}

/// How a state was reached: from which, and by what.
type Reached = Option<(u32, Action)>;

/// A search under way.
pub(crate) struct Search {
    scope: Scope,
    wrong: Option<Wrong>,
    runs: Runs,
    /// In the order in which they were found; their places are their names.
    worlds: IndexMap<World, Reached>,
    /// Worlds from which the fair schedule ends the run.
    ending: HashSet<World>,
    tally: Tally,
    transitions: u64,
}

/// Searches a scope to a depth, and then sees each run end.
pub(crate) fn search(scope: &Scope, wrong: Option<Wrong>, depth: usize) -> Result<Found, Broken> {
    let (mut search, found) = explore(scope, wrong, depth)?;
    let before = Instant::now();
    search.end_all()?;
    Ok(Found { seconds: found.seconds + before.elapsed().as_secs_f64(), ..found })
}

/// Searches a scope to a depth.
pub(crate) fn explore(scope: &Scope, wrong: Option<Wrong>, depth: usize) -> Result<(Search, Found), Broken> {
    let before = Instant::now();
    let mut search = Search {
        scope: *scope,
        wrong,
        runs: Runs::new(*scope, wrong),
        worlds: IndexMap::new(),
        ending: HashSet::new(),
        tally: Tally::new(),
        transitions: 0,
    };
    search.worlds.insert(World::new(scope.budget), None);
    let (mut from, mut level) = (0, 0);
    while level < depth && from < search.worlds.len() {
        let to = search.worlds.len();
        for at in from..to {
            search.expand(at)?;
        }
        (from, level) = (to, level + 1);
    }
    let closed = from == search.worlds.len();
    let ended = |world: &&World| search.runs.at(world.run).account.ended;
    let found = Found {
        states: search.worlds.len(),
        runs: search.runs.count(),
        transitions: search.transitions,
        depth: level,
        closed,
        ends: search.worlds.keys().filter(ended).count(),
        tally: std::mem::take(&mut search.tally),
        seconds: before.elapsed().as_secs_f64(),
    };
    Ok((search, found))
}

impl Search {
    /// A state, and how it was reached.
    fn at(&self, at: usize) -> (&World, &Reached) {
        self.worlds.get_index(at).expect("a state that was found")
    }

    /// Takes every action that there is in a state.
    fn expand(&mut self, at: usize) -> Result<(), Broken> {
        let world = self.at(at).0.clone();
        let mut actions = Vec::new();
        moves(&self.scope, &self.runs, &world, &mut actions);
        for action in actions {
            self.transitions += 1;
            let outcome = perform(&mut self.runs, self.wrong, &world, action);
            let outcome = outcome.map_err(|promise| self.broken(at, &[action], promise))?;
            let count = self.tally.entry(action.name()).or_default();
            match outcome {
                Outcome::Refused => count.1 += 1,
                Outcome::Moved(after) => {
                    if was_refused(&world, &after, action) {
                        count.1 += 1;
                    } else {
                        count.0 += 1;
                    }
                    if !self.worlds.contains_key(&after) {
                        if let Some(why) = after.stranded(&self.runs) {
                            return Err(self.broken(at, &[action], format!("I2: {why}")));
                        }
                        self.worlds.insert(after, Some((at as u32, action)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Once nothing goes wrong any more, every run ends.
    fn end_all(&mut self) -> Result<(), Broken> {
        for at in 0..self.worlds.len() {
            let mut world = self.at(at).0.clone();
            let mut way = Vec::new();
            let mut passed = Vec::new();
            while !self.ending.contains(&world) {
                let next = fair(&self.scope, &self.runs, &world);
                let Some(action) = next.filter(|_| way.len() < ENDS_WITHIN) else {
                    if next.is_none() && self.runs.at(world.run).account.ended {
                        break;
                    }
                    let what = "I2: nothing goes wrong any more, and the run does not end";
                    return Err(self.broken(at, &way, what.into()));
                };
                way.push(action);
                let outcome = perform(&mut self.runs, self.wrong, &world, action);
                let Outcome::Moved(after) = outcome.map_err(|promise| self.broken(at, &way, promise))? else {
                    return Err(self.broken(at, &way, "I2: what is due is refused".into()));
                };
                passed.push(std::mem::replace(&mut world, after));
            }
            self.ending.extend(passed);
        }
        Ok(())
    }

    /// The way to a state and on from there, one action a line.
    fn broken(&self, mut at: usize, then: &[Action], promise: String) -> Broken {
        let mut way: Vec<Action> = then.iter().rev().copied().collect();
        while let Some((from, action)) = *self.at(at).1 {
            way.push(action);
            at = from as usize;
        }
        let mut trace = String::new();
        for (number, action) in (1..).zip(way.iter().rev()) {
            let _ = writeln!(trace, "{number:>3}  {action}");
        }
        Broken { promise, actions: way.len(), trace }
    }
}
