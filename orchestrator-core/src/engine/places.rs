//! Places under keys: which a member takes and gives back, what a driver does where none is left, and how it hears that it was
//! given one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::batch::{Batch, Decided};
use crate::engine::driver::{Driver, Origin};
use crate::engine::loaded::Loaded;
use crate::engine::member::Draft;
use crate::engine::note::Note;
use crate::engine::prepare::{Done, Misrender, scope};
use crate::engine::shared::Shared;
use crate::engine::values::Values;
use crate::id::{RunId, Unit};
use crate::machine::{Command, Effect, Hold, Prepared, RunState, Slot, StepError, StepKind, StepState};
use crate::port::store::{Admission, KeyQuery};
use crate::spec::retry::ErrorClass;
use crate::spec::{MAX_KEY, OnFull};
use crate::value::check_storable;

/// Of how many runs it is asked in one go which places they were given.
const RUNS: usize = 256;

/// What a step or item holds, if it holds something.
type Held = Option<Arc<Hold>>;

/// What a member does to places, in the making.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Of each step and item: the place that it held before, and the one that it holds now.
    moved: BTreeMap<Unit, (Held, Held)>,
    /// The keys that the run waited for before, and how many it let be held.
    waited: BTreeMap<Arc<str>, u32>,
    /// Whether somebody takes the run: its place in the lines may be gone with the one who had it.
    is_taken: bool,
}

impl Places {
    pub(crate) fn before(state: &RunState) -> Self {
        let waited = state.wanted_holds().map(|hold| (hold.key.clone(), hold.limit)).collect();
        Self { waited, ..Self::default() }
    }

    /// Somebody takes the run.
    pub(crate) const fn taken(&mut self) {
        self.is_taken = true;
    }

    /// An event has changed what a step or item holds.
    pub(crate) fn moved(&mut self, unit: Unit, before: Held, now: Held) {
        self.moved.entry(unit).or_insert_with(|| (before, None)).1 = now;
    }

    /// All of it, against the state after the member.
    pub(crate) fn admission(self, state: &RunState, origin: &Origin) -> Option<Box<Admission>> {
        let mut admission =
            Admission { project: origin.project.clone(), priority: origin.priority, ..Admission::default() };
        // Whoever begins again at once keeps its place.
        for (unit, (before, now)) in self.moved.into_iter().filter(|(_, (before, now))| before != now) {
            admission.releases.extend(before.map(|hold| (unit, hold.key.clone())));
            admission.takes.extend(now.map(|hold| (unit, hold)));
        }
        let taken: BTreeSet<&Arc<str>> = admission.takes.iter().map(|(_, hold)| &hold.key).collect();
        let mut given_up = self.waited;
        for hold in state.wanted_holds() {
            let waited = given_up.remove(&hold.key);
            let has_taken = taken.contains(&hold.key);
            if waited.is_some_and(|limit| limit > hold.limit) && !has_taken {
                // It stands in the line as one that lets more be held: that must not be given what this one does not let.
                admission.leaves.push(hold.key.clone());
            }
            // Whoever takes a place leaves the line, and has to come again.
            if has_taken || self.is_taken || waited.is_none_or(|limit| limit > hold.limit) {
                admission.waits.push(hold.clone());
            }
        }
        admission.leaves.extend(given_up.into_keys().filter(|key| !taken.contains(key)));
        (!admission.is_empty()).then(|| Box::new(admission))
    }
}

/// The place under a key that the step needs, if it needs one. Every attempt of a generation names the same key.
pub(crate) fn hold_of(
    loaded: &Loaded,
    state: &RunState,
    values: &Values,
    step: Unit,
) -> Result<Option<Arc<Hold>>, StepError> {
    let Some(concurrency) = &loaded.workflow.step(step.step).options().concurrency else { return Ok(None) };
    let slot = state.slot(step);
    if let Some(hold) = slot.hold().filter(|_| slot.request.is_some()) {
        return Ok(Some(hold.clone()));
    }
    let references = concurrency.key.references().iter();
    let scope = scope(loaded, state, values, references, Some(step)).map_err(StepError::from)?;
    let key = concurrency.key.render_text(&scope);
    let key = key.map_err(|error| StepError::from(Misrender::of("concurrency.key", &error)))?;
    if key.is_empty() || key.len() > MAX_KEY {
        let message =
            format!("the key of `concurrency` has {} bytes, and must have 1 to {MAX_KEY}", key.len());
        return Err(StepError::new(ErrorClass::Invalid, message));
    }
    if let Err(error) = check_storable(&serde_json::Value::String(key.clone())) {
        return Err(StepError::new(ErrorClass::Invalid, format!("the key of `concurrency` {error}")));
    }
    Ok(Some(Arc::new(Hold { key: key.into(), limit: concurrency.limit })))
}

impl Batch {
    /// Whether a place may be taken: one that was given, or of which it is not known that there is none.
    pub(crate) fn may_hold(&self, driver: &Driver, hold: &Hold) -> bool {
        match driver.room.get(&hold.key) {
            Some(room) => self.taken.get(&hold.key).copied().unwrap_or_default() < *room,
            // Nothing of this run goes before what waits already.
            None => !driver.state.waits_for(&hold.key),
        }
    }

    /// The step or item has begun, or goes on: the place that it holds now is taken.
    pub(crate) fn count_place(&mut self, driver: &Driver, step: Unit) {
        if let Some(hold) = driver.state.find(step).and_then(Slot::held) {
            *self.taken.entry(hold.key.clone()).or_default() += 1;
        }
    }

    /// There is no place: the step or item waits for one, or fails where its author wants that.
    pub(crate) fn park(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        hold: Arc<Hold>,
    ) -> Decided {
        let limited = driver.loaded.workflow.step(step.step).options().concurrency.as_ref();
        // One that is not there any more, for its list was made anew, is the machine's to refuse.
        let is_new = driver.state.find(step).is_some_and(|slot| slot.state.kind() == StepKind::Ready);
        if is_new && limited.is_some_and(|limited| limited.on_full == OnFull::Refuse) {
            let message = format!(
                "no more than {} may hold `{}` at once, and `on_full` is `refuse`",
                hold.limit, hold.key
            );
            let error = StepError::new(ErrorClass::Transient, message);
            return self.say_done(driver, draft, step, Done::of(Prepared::Fault(error)));
        }
        let command = Command::Park { step, owner: driver.owner(), hold };
        self.say(driver, draft, &command)
    }
}

impl Driver {
    /// What waits for a place, and may have it now: to be prepared again, or to go on.
    pub(crate) fn given_place(&self, for_others: bool, taken: &BTreeMap<Arc<str>, u32>) -> Option<Effect> {
        let step = self.room.iter().find_map(|(key, room)| {
            // What is being prepared will want one too.
            let prepared = self.preparing.iter().filter_map(|step| self.state.find(*step)?.parked());
            let prepared = prepared.filter(|hold| hold.key == *key).count();
            let used = taken.get(key).copied().unwrap_or_default() as usize + prepared;
            let mut parked = self.state.parked_for(key).filter(|_| used < *room as usize);
            parked.find(|step| {
                let is_open = !self.preparing.contains(step) && !self.unserved.contains(&step.step);
                is_open && (!for_others || self.is_for_others(*step))
            })
        })?;
        Some(match &self.state.slot(step).state {
            StepState::Parked { arrival: Some(_), .. } => Effect::Continue(step),
            _ => Effect::Prepare(step),
        })
    }

    /// The store says how much of each key the run could take.
    pub(crate) fn learn_of_room(&mut self, full: Vec<(Arc<str>, u32)>) {
        self.room.extend(full);
    }

    /// The member that took these is written. What else was known of room has been used, or is of the past.
    pub(crate) fn took_places(&mut self, taken: &BTreeMap<Arc<str>, u32>) {
        let Self { room, state, .. } = self;
        room.retain(|key, room| {
            *room = room.saturating_sub(taken.get(key).copied().unwrap_or_default());
            *room > 0 && state.waits_for(key)
        });
    }

    /// The run was given a place; unless that is told late.
    pub(crate) fn was_given(&mut self, key: Arc<str>) {
        if self.state.waits_for(&key) {
            let room = self.room.entry(key).or_default();
            *room = (*room).max(1);
        }
    }

    /// Asks to be told of places that the run is given, as long as it waits for some.
    pub(crate) fn watch_for_places(&mut self) {
        let waits = self.state.wanted_holds().next().is_some();
        match waits {
            _ if waits == self.waits_for_places => return,
            true => {
                self.shared.parked().insert(self.run);
                // It may have been given one before.
                self.shared.look_for_places_soon();
            }
            false => drop(self.shared.parked().remove(&self.run)),
        }
        self.waits_for_places = waits;
    }
}

impl Shared {
    /// Tells drivers here of the places that their runs were given.
    pub(crate) async fn look_for_places(&self) {
        let parked: Vec<RunId> = self.parked().iter().copied().collect();
        for runs in parked.chunks(RUNS) {
            let query =
                KeyQuery { runs: runs.to_vec(), granted: true, limit: usize::MAX, ..KeyQuery::default() };
            match self.store.waiters(query).await {
                Ok(rows) => rows.into_iter().for_each(|row| self.tell(row.run, Note::Given(row.key))),
                // The next look is a moment later.
                Err(error) => tracing::debug!(%error, "cannot look for places that runs were given"),
            }
        }
    }

    /// As [`Shared::look_for_places`], after a member that may have given some away. What is given meanwhile is looked for
    /// together.
    pub(crate) fn look_for_places_soon(self: &Arc<Self>) {
        if self.parked().is_empty() || self.looks_for_places.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = self.clone();
        self.tasks.spawn(async move {
            shared.looks_for_places.store(false, Ordering::Release);
            shared.look_for_places().await;
        });
    }
}

/// Whether somebody may have been given a place by a member that does this.
pub(crate) fn gives_places(admission: &Admission) -> bool {
    !(admission.releases.is_empty() && admission.leaves.is_empty() && admission.waits.is_empty())
}

/// The runs that wait for places.
pub(crate) type Parked = BTreeSet<RunId>;
