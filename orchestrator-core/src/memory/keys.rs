//! Places and paths under keys: which are held, and who waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{RunId, Unit};
use crate::machine::{Claim, Line, Room, Spot, Wish, rate_of};
use crate::port::store::{Admission, HoldRow, KeyQuery, WaiterRow};
use crate::time::Timestamp;

/// All keys of which something is held or waited for, by project and key.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<(Arc<str>, Arc<str>), Key>);

#[derive(Debug, Default)]
struct Key {
    line: Line,
    /// What is held, and since when.
    holds: BTreeMap<(RunId, Unit), (Claim, Timestamp)>,
}

impl Key {
    /// Whether nothing of it is held, waited for, or counts still.
    fn is_idle(&self, name: &str, now: Timestamp) -> bool {
        let until = || rate_of(name).and_then(|(per, _)| self.line.spent()?.until(per));
        self.holds.is_empty() && self.line.waiters().is_empty() && until().is_none_or(|until| until <= now)
    }
}

impl Keys {
    /// What a member takes and cannot, and how much of it it could take.
    pub(super) fn full(&self, run: RunId, admission: &Admission, now: Timestamp) -> Vec<(Spot, Room)> {
        let wishes = admission.wishes().into_iter().filter(|(_, wish)| !wish.takes.is_empty());
        let empty = Line::default();
        let full = wishes.flat_map(|(key, wish)| {
            let line = self.0.get(&(admission.project.clone(), key.clone())).map(|key| &key.line);
            let short = line.unwrap_or(&empty).short(run, &wish, now).into_iter();
            short.map(|(paths, room)| (Spot { key: key.clone(), paths }, room))
        });
        full.collect()
    }

    /// Does what a member wants, for which there is room. It is `now` by the store's clock.
    pub(super) fn write(&mut self, run: RunId, admission: &Admission, at: Timestamp, now: Timestamp) {
        let place = |key: &Arc<str>| (admission.project.clone(), key.clone());
        for (unit, key) in &admission.releases {
            self.0.entry(place(key)).or_default().holds.remove(&(run, *unit));
        }
        for (unit, hold) in admission.takes.iter().filter(|(_, hold)| hold.claim.per().is_none()) {
            self.0.entry(place(&hold.key)).or_default().holds.insert((run, *unit), (hold.claim.clone(), at));
        }
        for (name, wish) in admission.wishes() {
            let key = self.0.entry(place(name)).or_default();
            // Looked at before: there is room for it.
            let _ = key.line.admit(run, &wish, at, now);
            if key.is_idle(name, now) {
                self.0.remove(&place(name));
            }
        }
    }

    fn asked<'k>(&'k self, query: &'k KeyQuery) -> impl Iterator<Item = (&'k (Arc<str>, Arc<str>), &'k Key)> {
        self.0.iter().filter(|((project, key), _)| {
            query.project.as_ref().is_none_or(|asked| asked == project)
                && query.key.as_ref().is_none_or(|asked| asked == key)
        })
    }

    pub(super) fn holds(&self, query: &KeyQuery) -> Vec<HoldRow> {
        let mut rows = Vec::new();
        for ((project, name), key) in self.asked(query) {
            let of_key = key.holds.iter().filter(|((run, _), _)| query.is_of(*run));
            let mut of_key: Vec<(Timestamp, RunId, Unit, &Claim)> =
                of_key.map(|((run, unit), (claim, since))| (*since, *run, *unit, claim)).collect();
            of_key.sort_unstable();
            rows.extend(of_key.into_iter().map(|(since, run, unit, claim)| HoldRow {
                project: project.clone(),
                key: name.clone(),
                run,
                step: unit.step,
                item: unit.item(),
                paths: claim.paths().cloned(),
                since,
            }));
        }
        rows.truncate(query.page());
        rows
    }

    pub(super) fn waiters(&self, query: &KeyQuery) -> Vec<WaiterRow> {
        let mut rows = Vec::new();
        for ((project, name), key) in self.asked(query) {
            let waiters = key.line.waiters().iter();
            let waiters = waiters.filter(|((run, _), _)| query.is_of(*run));
            let waiters = waiters.filter(|(_, waiter)| !query.granted || waiter.granted_at.is_some());
            let mut of_key: Vec<WaiterRow> = waiters
                .map(|((run, paths), waiter)| WaiterRow {
                    project: project.clone(),
                    key: name.clone(),
                    run: *run,
                    paths: paths.clone(),
                    rank: waiter.rank,
                    limit: waiter.limit,
                    since: waiter.since,
                    granted_at: waiter.granted_at,
                })
                .collect();
            of_key
                .sort_unstable_by_key(|row| (row.granted_at.is_none(), row.rank, row.run, row.paths.clone()));
            rows.append(&mut of_key);
        }
        rows.truncate(query.page());
        rows
    }

    /// What was over before then is forgotten.
    pub(super) fn forget(&mut self, before: Timestamp) {
        self.0.retain(|(_, name), key| !key.is_idle(name, before));
    }

    /// Those that drive these runs are dead: they leave every line.
    pub(super) fn forsake(&mut self, is_of_the_dead: impl Fn(RunId) -> bool, now: Timestamp) {
        for key in self.0.values_mut() {
            let waiters = key.line.waiters().keys();
            let gone: Vec<_> = waiters.filter(|(run, _)| is_of_the_dead(*run)).cloned().collect();
            for (run, paths) in gone {
                // Whoever takes nothing is not refused.
                let _ = key.line.admit(run, &Wish { leaves: vec![paths], ..Wish::default() }, now, now);
            }
        }
        self.0.retain(|(_, name), key| !key.is_idle(name, now));
    }
}
