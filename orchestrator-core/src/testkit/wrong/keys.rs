//! What a wrong store does to keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::list::Wrong::*;
use super::store::Spoiled;
use crate::id::{StepIx, Unit};
use crate::machine::{Claim, Hold, rate_of};
use crate::port::store::{Admission, Commit, HoldRow, KeyQuery, Member, Store, StoreError, WaiterRow};
use crate::spec::{Glob, Paths};
use crate::testkit::sample::at;

impl Spoiled {
    pub(super) async fn spoil_keys(&self, member: &mut Member) {
        let held = self.right.holds(KeyQuery::default()).await.map_or(0, |held| held.len());
        let Some(admission) = &mut member.admission else { return };
        match self.wrong {
            LetsTooManyHold => raise(&mut admission.takes, u32::MAX),
            LetsOneTooManyWin if held == 3 && !self.world.once.swap(true, Ordering::Relaxed) => {
                raise(&mut admission.takes, 4);
            }
            KeepsWhatIsReleased => admission.releases.clear(),
            TakesRunsForSteps => {
                let units = admission.takes.iter_mut().map(|(unit, _)| unit);
                let units = units.chain(admission.releases.iter_mut().map(|(unit, _)| unit));
                units.filter(|unit| **unit == Unit::RUN).for_each(|unit| *unit = Unit::of(StepIx(0)));
            }
            IgnoresPriority => admission.priority = 0,
            KeepsThoseThatLeave => admission.leaves.clear(),
            TakesOtherPathsForOthers => reword(admission, |paths| {
                Paths::new(&[], &[paths.digest().to_string()]).unwrap_or_else(|_| paths.clone())
            }),
            LetsNobodyReadTogether => reword(admission, |paths| {
                let all: Vec<_> = paths.read().iter().chain(paths.write()).map(Glob::as_str).collect();
                Paths::new(&[], &all).unwrap_or_else(|_| paths.clone())
            }),
            GivesPathsToOneAtATime if !admission.waits.is_empty() => {
                reword(admission, |paths| Paths::new(&[], &["."]).unwrap_or_else(|_| paths.clone()));
            }
            LetsTooManyBegin => quicken(&mut admission.takes, u32::MAX),
            LetsOneTooManyBegin if admission.takes.iter().any(|(_, hold)| hold.limit() == 3) => {
                quicken(&mut admission.takes, 4);
            }
            BelievesAnyClock if member.at > at(1 << 40) => quicken(&mut admission.takes, 2),
            PrunesWhatCounts if self.world.once.load(Ordering::Relaxed) => quicken(&mut admission.takes, 2),
            LetsNobodyWaitUnderARate => admission.waits.retain(|hold| hold.claim.per().is_none()),
            GivesAllToTheFirst if admission.takes.len() > 1 => quicken(&mut admission.takes, 6),
            ForgetsNothingUnderARate => slow(&mut admission.takes),
            LetsRunsWaitOnce => admission.waits.truncate(1),
            MixesKeysUnderOneName => admission.project = "default".into(),
            _ => {}
        }
        if self.is(KeepsTheDeadInLine) && !admission.waits.is_empty() {
            // Nobody is known to drive it, so nobody is missed.
            member.summary.driver = None;
        }
        if self.is(KeepsWhatIsReleased) && admission.is_empty() {
            member.admission = None;
        }
    }

    /// Whoever is in the batch finds the keys as they were before it.
    pub(super) fn spoil_keys_of_batch(&self, batch: &mut [Member]) {
        if self.is(LooksAtKeysBeforeTheBatch) && batch.len() > 1 {
            batch.iter_mut().filter_map(|member| member.admission.as_mut()).for_each(|admission| {
                raise(&mut admission.takes, u32::MAX);
            });
        }
        if self.is(LooksAtRatesBeforeTheBatch) && batch.len() > 1 {
            batch.iter_mut().filter_map(|member| member.admission.as_mut()).for_each(|admission| {
                quicken(&mut admission.takes, u32::MAX);
            });
        }
    }

    /// Writes of what was refused the part for which there is room.
    pub(super) async fn take_places_in_part(&self, members: Vec<Member>, answers: &[Commit]) {
        for (mut member, answer) in members.into_iter().zip(answers) {
            let (Commit::Full(full), Some(admission)) = (answer, &mut member.admission) else { continue };
            if self.is(TakesPlacesInPart) {
                admission.takes.retain(|(_, hold)| !full.iter().any(|(spot, _)| *spot == hold.spot()));
                self.right.commit(vec![member]).await;
            }
        }
    }

    pub(super) async fn spoiled_holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        let mut rows = self.right.holds(query).await?;
        if self.is(ListsHoldsBackwards) {
            rows.reverse();
        }
        Ok(rows)
    }

    pub(super) async fn spoiled_waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        let mut rows = self.right.waiters(query).await?;
        if self.is(HidesThatPlacesAreGiven) {
            rows.iter_mut().for_each(|row| row.granted_at = None);
        }
        Ok(rows)
    }
}

/// Says other paths wherever it says some.
fn reword(admission: &mut Admission, other: impl Fn(&Paths) -> Paths) {
    let reworded = |hold: &mut Arc<Hold>| {
        if let Some(paths) = hold.claim.paths() {
            *hold = Arc::new(Hold { claim: Claim::Paths(Arc::new(other(paths))), ..(**hold).clone() });
        }
    };
    admission.takes.iter_mut().map(|(_, hold)| hold).chain(&mut admission.waits).for_each(reworded);
    for spot in &mut admission.leaves {
        spot.paths = spot.paths.as_ref().map(|paths| Arc::new(other(paths)));
    }
}

fn raise(takes: &mut [(Unit, Arc<Hold>)], limit: u32) {
    for (_, hold) in takes.iter_mut().filter(|(_, hold)| hold.claim.is_place()) {
        *hold = Arc::new(Hold::place(&hold.key, hold.limit().max(limit)));
    }
}

/// As [`raise`], under rates.
fn quicken(takes: &mut [(Unit, Arc<Hold>)], limit: u32) {
    for (_, hold) in takes {
        if let Claim::Rate { limit: own, per } = hold.claim {
            let claim = Claim::Rate { limit: own.max(limit), per };
            *hold = Arc::new(Hold { key: hold.key.clone(), claim });
        }
    }
}

/// What begins counts for a day.
fn slow(takes: &mut [(Unit, Arc<Hold>)]) {
    for (_, hold) in takes.iter_mut().filter(|(_, hold)| hold.claim.per().is_some()) {
        let (_, name) = rate_of(&hold.key).unwrap_or_default();
        *hold = Arc::new(Hold::rate(name, hold.limit(), Duration::from_secs(86_400)));
    }
}
