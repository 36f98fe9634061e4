//! Steps that another run carries out, while it does: their driver sees to it that the child is driven and does what is
//! wanted of it, and takes in how it ended. All of that follows from the state of the parent and the row of the child,
//! so it is the same after a crash.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::engine::batch::{Batch, Decided};
use crate::engine::driver::Driver;
use crate::engine::error::{CommandError, DriveError};
use crate::engine::member::Draft;
use crate::engine::note::Note;
use crate::engine::shared::Shared;
use crate::engine::values::load_value;
use crate::id::{RunId, Unit};
use crate::machine::{ChildEnd, Command, Effect, Event, Intent, RunEnded, StepError, effect_of, outstanding};
use crate::port::store::{EventsAfter, RunRow, StoreError};
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;
use crate::value::{StoredValue, ValueRef};

/// The wait before a child is looked at again that somebody has let go of, or that the store could not tell of.
const AGAIN: Duration = Duration::from_millis(100);

/// A step and the run that carries it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ward {
    parent: RunId,
    step: Unit,
    child: RunId,
    intent: Intent,
}

/// How a child ended, with what the parent keeps of it.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) step: Unit,
    pub(crate) child: RunId,
    pub(crate) end: ChildEnd,
    pub(crate) value: Option<StoredValue>,
    pub(crate) output: Option<Arc<Value>>,
}

/// Children that another process drives.
pub(crate) type Elsewhere = BTreeMap<RunId, Seen>;

/// A child when it was last looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    ward: Ward,
    seq: u64,
    at: Timestamp,
}

/// How often a child that another process drives is looked at, even if nothing is heard of it: its driver may be dead.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// What became of one look.
enum Look {
    Done,
    Again,
}

impl Driver {
    /// Sees to every child, because what is wanted of them may have changed or nobody here has seen to them yet.
    pub(crate) fn attend_all(&self) {
        for effect in outstanding(&self.state) {
            self.attend(effect, Duration::ZERO);
        }
    }

    /// Sees to the child of a step, if it has one.
    pub(crate) fn attend_step(&self, step: Unit) {
        if let Some(effect) = effect_of(&self.state, step) {
            self.attend(effect, Duration::ZERO);
        }
    }

    /// The driver of a child has left it: it has ended, or others must see to it.
    pub(crate) fn on_left(&self, step: Unit, child: RunId, has_ended: bool) {
        let is_ours = self.state.find(step).is_some();
        match is_ours.then(|| effect_of(&self.state, step)).flatten() {
            Some(effect @ Effect::Attend { child: awaited, .. }) if awaited == child => {
                self.attend(effect, if has_ended { Duration::ZERO } else { AGAIN });
            }
            _ => {}
        }
    }

    fn attend(&self, effect: Effect, after: Duration) {
        let Effect::Attend { step, child, intent } = effect else { return };
        let ward = Ward { parent: self.run, step, child, intent };
        self.shared.tasks.spawn(attend(self.shared.clone(), ward, after));
    }
}

/// Sees to a child. Boxed, because a child may have children.
fn attend(shared: Arc<Shared>, ward: Ward, after: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut wait = after;
        loop {
            if !wait.is_zero() {
                shared.clock.sleep_until(shared.clock.now() + wait).await;
            }
            // Whoever drives the parent next sees to its children.
            if shared.is_stopping() || shared.actor(ward.parent).is_none() {
                return;
            }
            match shared.look_after(ward).await {
                Ok(Look::Done) => return,
                Ok(Look::Again) => wait = Duration::ZERO,
                Err(error) if error.is_retryable() => wait = AGAIN,
                Err(error) => {
                    tracing::error!(run = %ward.parent, child = %ward.child, %error, "a child cannot be seen to");
                    return;
                }
            }
        }
    })
}

impl Shared {
    async fn look_after(self: &Arc<Self>, ward: Ward) -> Result<Look, StoreError> {
        let Some(row) = self.run_row(ward.child).await? else {
            let error = StepError::new(ErrorClass::Lost, format!("{} is gone", ward.child));
            self.give_back(ward, ChildEnd::Failed(error), None, None);
            return Ok(Look::Done);
        };
        if row.finished_at.is_some() {
            self.take_end(ward, &row).await?;
            return Ok(Look::Done);
        }
        self.tell(ward.parent, Note::Blocked(ward.step, ward.child, &*row.status == "blocked"));
        if row.intent != ward.intent {
            let follow = Command::Follow { intent: ward.intent, parent: ward.parent };
            match self.say(ward.child, follow).await {
                Ok(_) | Err(CommandError::Rejected(_) | CommandError::NotFound(_)) => {}
                Err(CommandError::Store(error)) => return Err(error),
                Err(_) => return Err(StoreError::Busy),
            }
        }
        match self.drive(ward.child).await {
            Ok(Some(_)) | Err(DriveError::Stopping) => Ok(Look::Done),
            // It has ended in between.
            Ok(None) | Err(DriveError::NotFound(_)) => Ok(Look::Again),
            Err(DriveError::Driven { .. } | DriveError::UnknownPlugin { .. }) => {
                let seen = Seen { ward, seq: row.seq, at: self.clock.now() };
                self.elsewhere().insert(ward.child, seen);
                Ok(Look::Done)
            }
            Err(DriveError::Store(error)) => Err(error),
        }
    }

    async fn run_row(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        self.store.run(run).await
    }

    /// Takes in how a child has ended.
    async fn take_end(&self, ward: Ward, row: &RunRow) -> Result<(), StoreError> {
        crate::failpoint!("child.ended");
        let child = ward.child;
        let end = match &*row.status {
            "completed" => {
                let none = ValueRef::Inline("{}".into());
                let outputs = row.outputs.as_ref().unwrap_or(&none);
                let output = load_value(self, child, outputs).await?;
                // Values belong to the run that refers to them.
                let (reference, value) = ValueRef::encode(&output)
                    .map_err(|error| StoreError::Corrupt(format!("outputs of {child}: {error}")))?;
                self.give_back(ward, ChildEnd::Completed(reference), value, Some(output));
                return Ok(());
            }
            "cancelled" => {
                let error = StepError::new(ErrorClass::Cancelled, format!("{child} was cancelled"));
                ChildEnd::Cancelled(error)
            }
            _ => {
                let told = row.error.as_deref().unwrap_or("failed");
                let class = self.class_of_failure(row).await?;
                ChildEnd::Failed(StepError::new(class, format!("{child} failed: {told}")))
            }
        };
        self.give_back(ward, end, None, None);
        Ok(())
    }

    /// The class of a failed run's error, which the parent's `retry` may name.
    async fn class_of_failure(&self, row: &RunRow) -> Result<ErrorClass, StoreError> {
        let last = EventsAfter { run: row.run, after: row.seq.saturating_sub(1), limit: 1 };
        let last = self.store.events_after(last).await?;
        Ok(match last.first().map(|recorded| &recorded.event) {
            Some(Event::RunEnded(RunEnded { error: Some(error), .. })) => error.class,
            _ => ErrorClass::Failed,
        })
    }

    fn give_back(&self, ward: Ward, end: ChildEnd, value: Option<StoredValue>, output: Option<Arc<Value>>) {
        self.elsewhere().remove(&ward.child);
        let returned = Returned { step: ward.step, child: ward.child, end, value, output };
        self.tell(ward.parent, Note::Returned(Box::new(returned)));
    }

    /// Tells the actor of a run; one that is gone needs no telling.
    pub(crate) fn tell(&self, run: RunId, note: Note) {
        if let Some(actor) = self.actor(run) {
            let _ = actor.mailbox.send(note);
        }
    }

    pub(crate) fn elsewhere(&self) -> MutexGuard<'_, Elsewhere> {
        // Every critical section is one call.
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after those children that others drive and that have moved.
    pub(crate) async fn look_elsewhere(self: &Arc<Self>) -> Result<(), StoreError> {
        let children: Vec<RunId> = {
            let mut elsewhere = self.elsewhere();
            let actors = self.actors();
            elsewhere.retain(|_, seen| actors.contains_key(&seen.ward.parent));
            elsewhere.keys().copied().collect()
        };
        if children.is_empty() {
            return Ok(());
        }
        for (child, seq) in self.store.heads(&children).await? {
            self.look_again(|at, seen| at == child && seen.seq != seq);
        }
        Ok(())
    }

    /// Looks after those children that others drive and that nothing was heard of for long.
    pub(crate) fn look_for_the_lost(self: &Arc<Self>) {
        let now = self.clock.now();
        self.look_again(|_, seen| seen.at + ELSEWHERE <= now);
    }

    fn look_again(self: &Arc<Self>, which: impl Fn(RunId, &Seen) -> bool) {
        for (_, seen) in self.elsewhere().extract_if(.., |child, seen| which(*child, seen)) {
            self.tasks.spawn(attend(self.clone(), seen.ward, Duration::ZERO));
        }
    }
}

impl Batch {
    /// Takes in how a child has ended.
    pub(crate) fn take_returned(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        returned: &Returned,
    ) -> Decided {
        let Returned { step, child, end, value, output } = returned;
        let command = Command::ChildEnded { step: *step, child: *child, end: end.clone() };
        let decided = self.say(driver, draft, &command);
        if matches!(decided, Decided::Changed(_)) {
            self.bytes += value.as_ref().map_or(0, |value| value.body.len());
            draft.values.extend(value.clone());
            if let (ChildEnd::Completed(reference), Some(output)) = (end, output)
                && (driver.loaded.is_wanted(step.step) || driver.state.slot(*step).to_judge().is_some())
            {
                driver.values.keep(reference, output.clone());
            }
        }
        decided
    }
}
