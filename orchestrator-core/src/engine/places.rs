//! Places, rates and paths under keys: which a member takes and gives back, what a driver does where others hold them, and how it
//! hears that it was given what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::engine::batch::{Batch, Decided};
use crate::engine::driver::{Driver, Origin};
use crate::engine::loaded::Loaded;
use crate::engine::member::Draft;
use crate::engine::note::Note;
use crate::engine::prepare::{Done, Misrender, scope};
use crate::engine::room::BY;
use crate::engine::shared::Shared;
use crate::engine::values::Values;
use crate::id::{RunId, Unit};
use crate::machine::{
    Asked, Command, Effect, Hold, Holds, PATHS, Prepared, RATES, Room, RunState, Slot, Spot, StepError,
    StepKind, StepState,
};
use crate::port::store::{Admission, KeyQuery};
use crate::spec::expr::Template;
use crate::spec::retry::ErrorClass;
use crate::spec::{DEFAULT_WORKSPACE, MAX_KEY, MAX_RATE_KEY, MAX_WORKSPACE, OnFull, Paths};
use crate::value::check_storable;

/// Of how many runs it is asked in one go which places they were given.
const RUNS: usize = 256;

/// How much of what a run waits for it may take, as far as that is known.
pub(crate) type Rooms = BTreeMap<Spot, u32>;

/// What a member does to places and paths, in the making.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Of each step and item: what it held before, and what it holds now.
    moved: BTreeMap<Unit, (Holds, Holds)>,
    /// What begins under rates.
    begun: BTreeSet<(Unit, Arc<Hold>)>,
    /// Where the run waited before, and how many it let be held.
    waited: BTreeMap<Spot, u32>,
    /// Whether somebody takes the run: its place in the lines may be gone with the one who had it.
    is_taken: bool,
}

impl Places {
    pub(crate) fn before(state: &RunState) -> Self {
        let waited = state.wanted_holds().map(|hold| (hold.spot(), hold.limit())).collect();
        Self { waited, ..Self::default() }
    }

    /// Somebody takes the run.
    pub(crate) const fn taken(&mut self) {
        self.is_taken = true;
    }

    /// An event has changed what a step or item holds.
    pub(crate) fn moved(&mut self, unit: Unit, before: Holds, now: Holds) {
        let begun = now.iter().filter(|hold| hold.claim.per().is_some() && !before.contains(hold));
        self.begun.extend(begun.map(|hold| (unit, hold.clone())));
        self.moved.entry(unit).or_insert_with(|| (before, Holds::default())).1 = now;
    }

    /// All of it, against the state after the member.
    pub(crate) fn admission(self, state: &RunState, origin: &Origin) -> Option<Box<Admission>> {
        let mut admission =
            Admission { project: origin.project.clone(), priority: origin.priority, ..Admission::default() };
        for (unit, (before, now)) in self.moved {
            // Whoever begins again at once keeps what it has.
            let moves =
                |hold: &&Arc<Hold>, other: &Holds| hold.claim.per().is_none() && !other.contains(hold);
            let given_back = before.iter().filter(|hold| moves(hold, &now));
            admission.releases.extend(given_back.map(|hold| (unit, hold.key.clone())));
            let taken = now.iter().filter(|hold| moves(hold, &before));
            admission.takes.extend(taken.map(|hold| (unit, hold.clone())));
        }
        admission.takes.extend(self.begun);
        let taken: BTreeSet<Spot> = admission.takes.iter().map(|(_, hold)| hold.spot()).collect();
        let mut given_up = self.waited;
        for hold in state.wanted_holds() {
            let spot = hold.spot();
            let waited = given_up.remove(&spot);
            let has_taken = taken.contains(&spot);
            if waited.is_some_and(|limit| limit > hold.limit()) && !has_taken {
                // It stands in the line as one that lets more be held: that must not be given what this one does not let.
                admission.leaves.push(spot);
            }
            // Whoever takes what it waited for leaves the line, and has to come again.
            if has_taken || self.is_taken || waited.is_none_or(|limit| limit > hold.limit()) {
                admission.waits.push(hold.clone());
            }
        }
        admission.leaves.extend(given_up.into_keys().filter(|spot| !taken.contains(spot)));
        (!admission.is_empty()).then(|| Box::new(admission))
    }
}

/// What the step is to hold under keys: its place, its beginnings under rates, and the paths that it reads and writes. Every attempt
/// of a generation holds the same.
pub(crate) fn holds_of(
    loaded: &Loaded,
    state: &RunState,
    values: &Values,
    step: Unit,
) -> Result<Holds, StepError> {
    let options = loaded.workflow.step(step.step).options();
    if options.concurrency.is_none() && options.rates.is_empty() && options.paths.is_none() {
        return Ok(Holds::default());
    }
    let slot = state.slot(step);
    if slot.request.is_some() {
        return Ok(slot.holds().clone());
    }
    let scope_of = |template: &Template| {
        scope(loaded, state, values, template.references().iter(), Some(step)).map_err(StepError::from)
    };
    let render = |template: &Template, place: &str| {
        let text = template.render_text(&scope_of(template)?);
        text.map_err(|error| StepError::from(Misrender::of(place, &error)))
    };
    let mut holds = Vec::new();
    if let Some(concurrency) = &options.concurrency {
        let key = key_of_places(render(&concurrency.key, "concurrency.key")?)?;
        if state.keys().any(|held| **held == *key) {
            let message = format!(
                "the step would wait for its own run, which is under way under the key `{key}` already: give the two different keys"
            );
            return Err(StepError::new(ErrorClass::Invalid, message));
        }
        holds.push(Arc::new(Hold::place(&key, concurrency.limit)));
    }
    for rate in &options.rates {
        let key = storable("the key of `rate`", render(&rate.key, "rate.key")?, MAX_RATE_KEY)?;
        let hold = Hold::rate(&key, rate.limit, rate.per);
        if holds.iter().any(|other: &Arc<Hold>| other.key == hold.key) {
            let message = format!("two rates of the step have the key `{key}` and are about the same time");
            return Err(StepError::new(ErrorClass::Invalid, message));
        }
        holds.push(Arc::new(hold));
    }
    if let Some(spec) = &options.paths {
        let workspace = spec.workspace.as_ref().map(|template| render(template, "paths.workspace"));
        let workspace = workspace.transpose()?.unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
        let workspace = storable("the name of the workspace", workspace, MAX_WORKSPACE)?;
        let globs = |template: &Option<Template>, place: &str| {
            let Some(template) = template else { return Ok(Vec::new()) };
            let rendered = template.render(&scope_of(template)?);
            let rendered = rendered.map_err(|error| StepError::from(Misrender::of(place, &error)))?;
            texts(rendered).ok_or_else(|| {
                let message = format!("`{place}` is neither a path nor a list of paths");
                StepError::new(ErrorClass::Invalid, message)
            })
        };
        let (read, write) = (globs(&spec.read, "paths.read")?, globs(&spec.write, "paths.write")?);
        let paths = Paths::new(&read, &write).map_err(|why| StepError::new(ErrorClass::Invalid, why))?;
        if !paths.is_empty() {
            holds.push(Arc::new(Hold::paths(&workspace, paths)));
        }
    }
    Ok(holds.into_iter().collect())
}

/// A key under which places are held.
pub(crate) fn key_of_places(key: String) -> Result<String, StepError> {
    let key = storable("the key of `concurrency`", key, MAX_KEY)?;
    for (kept, of) in [(PATHS, "paths"), (RATES, "rate")] {
        if key.starts_with(kept) {
            let message = format!("the key of `concurrency` begins with `{kept}`, which is kept for `{of}`");
            return Err(StepError::new(ErrorClass::Invalid, message));
        }
    }
    Ok(key)
}

/// What becomes of something whose author wants it to fail where others hold all the places: `on_full: refuse`.
pub(crate) fn refusal(hold: &Hold) -> StepError {
    StepError::new(ErrorClass::Transient, too_many(hold, "refuse"))
}

/// What its run is told whose author wants it cancelled then: `on_full: cancel_newest`.
pub(crate) fn gives_way(hold: &Hold) -> Command {
    Command::Cancel(Asked { by: BY.into(), reason: Some(too_many(hold, "cancel_newest").into()) })
}

fn too_many(hold: &Hold, word: &str) -> String {
    format!("no more than {} may hold `{}` at once, and `on_full` is `{word}`", hold.limit(), hold.key)
}

/// The text, or the texts of a list; nothing is none.
fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A name that a store can keep.
fn storable(what: &str, name: String, most: usize) -> Result<String, StepError> {
    if name.is_empty() || name.len() > most {
        let message = format!("{what} has {} bytes, and must have 1 to {most}", name.len());
        return Err(StepError::new(ErrorClass::Invalid, message));
    }
    let checked = check_storable(&Value::from(&*name));
    checked.map_err(|error| StepError::new(ErrorClass::Invalid, format!("{what} {error}")))?;
    Ok(name)
}

impl Batch {
    /// The first of these that may not be had: it was not given, and it is known that others hold it, or something of this run
    /// waits for it already.
    pub(crate) fn missing<'h>(&self, driver: &Driver, holds: &'h Holds) -> Option<&'h Arc<Hold>> {
        holds.iter().find(|hold| {
            let spot = hold.spot();
            !self.is_free(driver, &spot) || driver.is_in_its_own_way(&spot)
        })
    }

    /// Whether it may be had, as far as is known: the run was given it, or nothing of the run waits for it.
    pub(crate) fn is_free(&self, driver: &Driver, spot: &Spot) -> bool {
        match driver.room.get(spot) {
            Some(room) => self.taken.get(spot).copied().unwrap_or_default() < *room,
            // Nothing of this run goes before what waits already.
            None => !driver.state.waits_for(spot),
        }
    }

    /// The step or item has begun, or goes on: what it holds now is taken.
    pub(crate) fn count_place(&mut self, driver: &Driver, step: Unit) {
        for hold in driver.state.find(step).map_or(Holds::NONE, Slot::held).iter() {
            *self.taken.entry(hold.spot()).or_default() += 1;
        }
    }

    /// Others hold it: the step or item waits, or fails where its author wants that.
    pub(crate) fn park(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        hold: Arc<Hold>,
    ) -> Decided {
        let limited = driver.loaded.workflow.step(step.step).options().concurrency.as_ref();
        // One that is not there any more, for its list was made anew, is the machine's to refuse. One that has waited for something
        // else comes to this key as one that has not waited.
        let is_new = hold.claim.is_place()
            && driver.state.find(step).is_some_and(|slot| match &slot.state {
                StepState::Parked { hold: other, arrival: None } => other.key != hold.key,
                state => state.kind() == StepKind::Ready,
            });
        let on_full = limited.map(|limited| limited.on_full).filter(|_| is_new).unwrap_or_default();
        match on_full {
            OnFull::Refuse => {
                return self.say_done(driver, draft, step, Done::of(Prepared::Fault(refusal(&hold))));
            }
            OnFull::CancelNewest => return self.say(driver, draft, &gives_way(&hold)),
            // Once it waits, those that came before it are cancelled.
            OnFull::Wait | OnFull::CancelOldest => {}
        }
        let command = Command::Park { step, owner: driver.owner(), hold };
        self.say(driver, draft, &command)
    }
}

impl Driver {
    /// Whether something of this very run has the paths, or takes them with this batch.
    fn is_in_its_own_way(&self, spot: &Spot) -> bool {
        let Some(paths) = &spot.paths else { return false };
        self.state.locks(&spot.key).any(|other| other.clashes(paths))
    }

    /// What waits for a place or for paths, and may have them now: to be prepared again, or to go on.
    pub(crate) fn given_place(&self, for_others: bool, taken: &Rooms) -> Option<Effect> {
        if !self.state.goes_on(self.state.head().stage) {
            return None;
        }
        let step = self.room.iter().find_map(|(spot, room)| {
            // What is being prepared will want one too.
            let prepared = self.preparing.iter().filter_map(|step| self.state.find(*step)?.parked());
            let prepared = prepared.filter(|hold| hold.spot() == *spot).count();
            let used = taken.get(spot).copied().unwrap_or_default() as usize + prepared;
            // That paths were given may be told late, when another step of the run has them already.
            if used >= *room as usize || self.is_in_its_own_way(spot) {
                return None;
            }
            self.state.parked_for(spot).find(|step| {
                let is_open = !self.preparing.contains(step) && !self.unserved.contains(&step.step);
                is_open && (!for_others || self.is_for_others(*step))
            })
        })?;
        Some(match &self.state.slot(step).state {
            StepState::Parked { arrival: Some(_), .. } => Effect::Continue(step),
            _ => Effect::Prepare(step),
        })
    }

    /// The store says how much of what it wants the run could take.
    pub(crate) fn learn_of_room(&mut self, full: Vec<(Spot, Room)>) {
        let now = self.shared.clock.now();
        for (spot, Room { many, more_in }) in full {
            if let Some(wait) = more_in {
                self.turns.insert(spot.clone(), now + wait);
            }
            self.room.insert(spot, many);
        }
    }

    /// What waits for its turn under a rate tries when that has come, or when nobody knows when it comes: with as much as there
    /// could be. What there is the store says.
    pub(crate) fn try_what_is_due(&mut self) {
        let Self { state, room, turns, .. } = self;
        let wanted: BTreeMap<Spot, u32> = state
            .wanted_holds()
            .filter(|hold| hold.claim.per().is_some())
            .map(|hold| (hold.spot(), hold.limit()))
            .collect();
        // What was refused just now waits only once the next batch has parked it.
        turns.retain(|spot, _| wanted.contains_key(spot) || room.contains_key(spot));
        let now = self.shared.clock.now();
        for (spot, limit) in wanted {
            if turns.get(&spot).is_some_and(|at| *at > now) {
                continue;
            }
            turns.remove(&spot);
            // That there was none is of the past too.
            let room = room.entry(spot).or_default();
            if *room == 0 {
                *room = limit;
            }
        }
    }

    /// The member that took these is written. What else was known of room has been used, or is of the past.
    pub(crate) fn took_places(&mut self, taken: &Rooms) {
        let Self { room, state, .. } = self;
        room.retain(|spot, room| {
            *room = room.saturating_sub(taken.get(spot).copied().unwrap_or_default());
            *room > 0 && state.waits_for(spot)
        });
    }

    /// The run was given a place, or paths; unless that is told late.
    pub(crate) fn was_given(&mut self, spot: Spot) {
        if self.state.waits_for(&spot) {
            let room = self.room.entry(spot).or_default();
            *room = (*room).max(1);
        }
    }

    /// Asks to be told of what the run is given, as long as it waits for something.
    pub(crate) fn watch_for_places(&mut self) {
        // Under a rate nothing is given, but those that stand before it may have died.
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
                Ok(rows) => rows.into_iter().for_each(|row| self.tell(row.run, Note::Given(row.spot()))),
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
