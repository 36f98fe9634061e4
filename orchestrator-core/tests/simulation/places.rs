//! Places and paths under keys: after every commit the store's rows say what the logs say, and nobody has what others hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::{OwnerId, RunId, Unit};
use orchestrator_core::machine::Spot;
use orchestrator_core::port::store::{HoldRow, KeyQuery, Store, WaiterRow};

use crate::dice::GIVEN;
use crate::truth::{Truth, short};
use crate::workload::{PER_MILLIS, RATE};

/// What the logs say.
#[derive(Default)]
struct Told {
    held: BTreeSet<(RunId, Unit, Spot)>,
    /// Of each key: how many of its places are held, and how many anybody lets be held.
    places: BTreeMap<Arc<str>, (usize, u32)>,
    wanted: BTreeSet<(RunId, Spot, Option<OwnerId>)>,
}

impl Truth {
    /// Looks at all places and paths.
    pub(crate) async fn look_at_places(&self) {
        let everything = || KeyQuery { limit: usize::MAX, ..KeyQuery::default() };
        let told = self.told();
        let holds = self.store.holds(everything()).await.unwrap();
        self.look_at_what_is_held(&told, &holds);
        let rows = self.store.waiters(everything()).await.unwrap();
        if rows.iter().any(|row| row.granted_at.is_some()) {
            self.world.saw(GIVEN);
        }
        self.look_at_who_is_first(&told, &rows);
        let rows: BTreeSet<(RunId, Spot)> = rows.into_iter().map(|row| (row.run, row.spot())).collect();
        for (run, spot, driver) in &told.wanted {
            // Who is dead has left the line.
            let lives = match driver {
                Some(driver) => self.store.owner(*driver).await.unwrap().is_some_and(|owner| !owner.dead),
                None => false,
            };
            if lives && !rows.contains(&(*run, spot.clone())) {
                self.world.broken(format!("{} waits for {spot:?}, and is not in its line", short(*run)));
            }
        }
        let wanted: BTreeSet<(RunId, Spot)> =
            told.wanted.into_iter().map(|(run, spot, _)| (run, spot)).collect();
        if let Some((run, spot)) = rows.difference(&wanted).next() {
            self.world
                .broken(format!("{} is in the line of {spot:?}, and waits for nothing there", short(*run)));
        }
    }

    /// So many more have begun now: within the last of its times no more than the rate allows.
    pub(crate) async fn look_at_the_rate(&self, more: usize) {
        let now = self.store.now().await.unwrap();
        let begun = &mut self.seen().begun;
        begun.extend((0..more).map(|_| now));
        let many = begun.iter().rev().take_while(|at| now < **at + Duration::from_millis(PER_MILLIS)).count();
        if many > RATE {
            self.world.broken(format!("{many} have begun within {PER_MILLIS} ms, of which {RATE} may"));
        }
    }

    fn told(&self) -> Told {
        let mut told = Told::default();
        self.each(|run, seen| {
            let of_run = seen.state.held();
            let of_steps = seen.state.slots().map(|(unit, slot)| (unit, slot.held()));
            for (unit, holds) in of_steps.chain([(Unit::RUN, &of_run)]) {
                for hold in holds.iter().filter(|hold| hold.claim.per().is_none()) {
                    told.held.insert((run, unit, hold.spot()));
                    if hold.claim.paths().is_none() {
                        let of_key = told.places.entry(hold.key.clone()).or_insert((0, hold.limit()));
                        *of_key = (of_key.0 + 1, of_key.1.max(hold.limit()));
                    }
                }
            }
            let driver = seen.state.head().driver;
            told.wanted.extend(seen.state.wanted_holds().map(|hold| (run, hold.spot(), driver)));
        });
        told
    }

    fn look_at_what_is_held(&self, told: &Told, holds: &[HoldRow]) {
        if let Some((key, (count, limit))) =
            told.places.iter().find(|(_, (count, limit))| *count > *limit as usize)
        {
            self.world.broken(format!("{count} hold `{key}`, of which there are {limit}"));
        }
        let of_paths =
            || told.held.iter().filter_map(|(run, unit, spot)| Some((run, unit, spot.paths.as_ref()?)));
        for (run, unit, paths) in of_paths() {
            let other =
                of_paths().find(|(other, at, theirs)| (other, at) > (&run, &unit) && theirs.clashes(paths));
            if let Some((other, _, theirs)) = other {
                let (run, other) = (short(*run), short(*other));
                self.world.broken(format!("{run} and {other} are in each other's way: {paths}, {theirs}"));
            }
        }
        let rows = holds.iter().map(|row| {
            let spot = Spot { key: row.key.clone(), paths: row.paths.clone() };
            (row.run, Unit::new(row.step, row.item), spot)
        });
        let rows: BTreeSet<(RunId, Unit, Spot)> = rows.collect();
        if let Some(odd) = told.held.symmetric_difference(&rows).next() {
            let who = if rows.contains(odd) { "the rows" } else { "the log" };
            let (run, unit, spot) = odd;
            self.world.broken(format!("{}: {who} alone says that {unit:?} holds {spot:?}", short(*run)));
        }
    }

    /// Whoever is first waits for something that is not free.
    fn look_at_who_is_first(&self, told: &Told, rows: &[WaiterRow]) {
        let mut firsts: BTreeMap<&Arc<str>, &WaiterRow> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.granted_at.is_none() && !row.spot().is_of_rate()) {
            let first = firsts.entry(&row.key).or_insert(row);
            if (row.rank, row.run, &row.paths) < (first.rank, first.run, &first.paths) {
                *first = row;
            }
        }
        let given = |key: &Arc<str>| {
            let key = key.clone();
            rows.iter().filter(move |row| row.key == key && row.granted_at.is_some())
        };
        for (key, first) in firsts {
            let is_free = match &first.paths {
                None => {
                    let taken = told.places.get(key).map_or(0, |(count, _)| *count) + given(key).count();
                    taken < first.limit as usize
                }
                Some(paths) => {
                    let held = told.held.iter().filter(|(.., spot)| spot.key == *key);
                    let held = held.filter_map(|(.., spot)| spot.paths.as_ref());
                    !held
                        .chain(given(key).filter_map(|row| row.paths.as_ref()))
                        .any(|other| other.clashes(paths))
                }
            };
            if is_free {
                let spot = first.spot();
                self.world.broken(format!("{} waits for {spot:?}, which is free", short(first.run)));
            }
        }
    }
}
