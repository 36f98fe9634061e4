//! Places under keys: after every commit the store's rows say what the logs say, and no more are held than there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::port::store::{KeyQuery, Store, WaiterRow};

use crate::dice::GIVEN;
use crate::truth::{Truth, short};

type Held = BTreeSet<(RunId, Unit, Arc<str>)>;

impl Truth {
    /// Looks at all places.
    pub(crate) async fn look_at_places(&self) {
        let everything = || KeyQuery { limit: usize::MAX, ..KeyQuery::default() };
        let (mut held, mut wanted) = (Held::new(), BTreeSet::new());
        let mut limits: BTreeMap<Arc<str>, (usize, u32)> = BTreeMap::new();
        self.each(|run, seen| {
            for (unit, slot) in seen.state.slots() {
                if let Some(hold) = slot.held() {
                    held.insert((run, unit, hold.key.clone()));
                    let of_key = limits.entry(hold.key.clone()).or_insert((0, hold.limit));
                    *of_key = (of_key.0 + 1, of_key.1.max(hold.limit));
                }
            }
            let driver = seen.state.head().driver;
            wanted.extend(seen.state.wanted_holds().map(|hold| (run, hold.key.clone(), driver)));
        });
        if let Some((key, (count, limit))) =
            limits.iter().find(|(_, (count, limit))| *count > *limit as usize)
        {
            self.world.broken(format!("{count} hold `{key}`, of which there are {limit}"));
        }
        let rows = self.store.holds(everything()).await.unwrap();
        let rows: Held =
            rows.into_iter().map(|row| (row.run, Unit::new(row.step, row.item), row.key)).collect();
        if let Some((run, unit, key)) = held.symmetric_difference(&rows).next() {
            let who = if rows.contains(&(*run, *unit, key.clone())) { "the rows" } else { "the log" };
            self.world.broken(format!("{}: {who} alone says that {unit:?} holds `{key}`", short(*run)));
        }
        let rows = self.store.waiters(everything()).await.unwrap();
        if rows.iter().any(|row| row.granted_at.is_some()) {
            self.world.saw(GIVEN);
        }
        let mut firsts: BTreeMap<&Arc<str>, &WaiterRow> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.granted_at.is_none()) {
            let first = firsts.entry(&row.key).or_insert(row);
            if (row.rank, row.run) < (first.rank, first.run) {
                *first = row;
            }
        }
        for (key, first) in firsts {
            let given = rows.iter().filter(|row| row.key == *key && row.granted_at.is_some()).count();
            let taken = limits.get(key).map_or(0, |(count, _)| *count) + given;
            if taken < first.limit as usize {
                let of = first.limit;
                self.world
                    .broken(format!("{} waits for `{key}`: {taken} of {of} are held", short(first.run)));
            }
        }
        let rows: BTreeSet<(RunId, Arc<str>)> = rows.into_iter().map(|row| (row.run, row.key)).collect();
        for (run, key, driver) in &wanted {
            // Who is dead has left the line.
            let lives = match driver {
                Some(driver) => self.store.owner(*driver).await.unwrap().is_some_and(|owner| !owner.dead),
                None => false,
            };
            if lives && !rows.contains(&(*run, key.clone())) {
                self.world.broken(format!("{} waits for `{key}`, and is not in its line", short(*run)));
            }
        }
        let wanted: BTreeSet<(RunId, Arc<str>)> =
            wanted.into_iter().map(|(run, key, _)| (run, key)).collect();
        if let Some((run, key)) = rows.difference(&wanted).next() {
            self.world
                .broken(format!("{} is in the line of `{key}`, and waits for nothing there", short(*run)));
        }
    }
}
