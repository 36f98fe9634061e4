//! What users ask of runs, and taking runs up: from outside a driver, and into one.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::driver::{Driver, Origin};
use crate::engine::error::{CommandError, DriveError};
use crate::engine::handle::Receipt;
use crate::engine::loaded::Loaded;
use crate::engine::member::outsiders_member;
use crate::engine::note::{Input, Note};
use crate::engine::shared::{Actor, Shared};
use crate::id::{OwnerId, RunId, TransitionId};
use crate::machine::{Command, Event, Rejection, RunState, StepState, fold, wake_at};
use crate::port::store::{Commit, EventsAfter, RunLog, StoreError};
use crate::value::{StoredValue, Unstorable, ValueRef};

/// How often a user's command is decided again because others have changed the run in between.
const PATIENCE: usize = 64;

/// A run as loaded from the store.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) state: RunState,
    pub(crate) origin: Origin,
}

impl Shared {
    /// Loads a run: its log, folded.
    pub(crate) async fn open(&self, run: RunId) -> Result<Option<Opened>, StoreError> {
        let Some(RunLog { row, text, events }) = self.store.load(run).await? else { return Ok(None) };
        let pins = match events.first().map(|recorded| &recorded.event) {
            Some(Event::RunCreated(created)) => created.pins.as_deref(),
            _ => None,
        };
        let loaded = match pins {
            Some(pins) => self.read_pinned(&row, &text, pins).await?,
            None => self.library.read(row.new.revision, &row.new.workflow, &text)?,
        };
        let mut state = RunState::new(run, loaded.workflow.clone(), loaded.plan.clone());
        fold(&mut state, &events).map_err(|illegal| StoreError::Corrupt(format!("{run}: {illegal}")))?;
        state.take_touched();
        let origin = Origin::of(&row.new);
        Ok(Some(Opened { loaded, state, origin }))
    }

    /// Carries a user's command to a run, whoever drives it.
    pub(crate) async fn command(&self, run: RunId, command: Command) -> Result<Receipt, CommandError> {
        if !may_come_from_outside(&command) {
            return Err(CommandError::NotForOutsiders);
        }
        if matches!(command, Command::Retry { .. } | Command::Rerun { .. })
            && let Some(row) = self.store.run(run).await?
            && let Some(parent) = row.new.parent
        {
            return Err(CommandError::OfParent { run, parent: parent.run });
        }
        self.say(run, command).await
    }

    /// Carries a command to a run, whoever drives it and whoever says it.
    pub(crate) async fn say(&self, run: RunId, command: Command) -> Result<Receipt, CommandError> {
        let (command, values) = with_values_beside(command)?;
        // A signal that is said twice is two signals: it goes the way on which it is always known whether it was written.
        let once = !matches!(command, Command::Signal { .. });
        if let Some(actor) = self.actor(run).filter(|_| once && values.is_empty()) {
            let (reply, answer) = oneshot::channel();
            if actor.mailbox.send(Note::Command(command.clone(), reply)).is_ok()
                && let Ok(answer) = answer.await
            {
                return answer;
            }
            // The driver has ended in between: the run is told directly.
        }
        self.command_directly(run, &command, &values).await
    }

    /// Commits a user's command under the sequence fence, beside whoever drives the run.
    pub(crate) async fn command_directly(
        &self,
        run: RunId,
        command: &Command,
        values: &[StoredValue],
    ) -> Result<Receipt, CommandError> {
        // What may be written yet, though it could not be seen when it was looked for: the number before it, and its own.
        let mut unsettled: Option<(u64, TransitionId)> = None;
        for _ in 0..PATIENCE {
            let Some(mut opened) = self.open(run).await? else { return Err(CommandError::NotFound(run)) };
            if let Some((before, transition)) = unsettled
                && self.is_written(run, before, transition).await?
            {
                let driven = self.is_alive(opened.state.head().driver).await?;
                return Ok(Receipt { changed: true, seq: opened.state.head().seq, driven });
            }
            let driver = opened.state.head().driver;
            let before = opened.state.head().seq;
            let state = &mut opened.state;
            let transition = self.transition();
            let Some(mut member) =
                outsiders_member(state, command, transition, self.clock.now(), &opened.origin)?
            else {
                let driven = self.is_alive(driver).await?;
                return Ok(Receipt { changed: false, seq: before, driven });
            };
            member.values.extend_from_slice(values);
            crate::failpoint!("command.decided");
            let mut answer = self.committer.submit(member).await.unwrap_or(Commit::Ambiguous);
            if answer == Commit::Ambiguous {
                unsettled = Some((before, transition));
                if self.is_written(run, before, transition).await? {
                    answer = Commit::Applied;
                }
            }
            match answer {
                Commit::Applied => {
                    crate::failpoint!("command.applied");
                    if let Some(actor) = self.actor(run) {
                        // One that is gone needs no telling.
                        let _ = actor.mailbox.send(Note::Changed);
                    }
                    let driven = self.is_alive(driver).await?;
                    if wake_at(&opened.state).is_some() && !driven {
                        self.bell.notify_one();
                    }
                    return Ok(Receipt { changed: true, seq: opened.state.head().seq, driven });
                }
                Commit::Unavailable(why) => return Err(StoreError::Unavailable(why).into()),
                Commit::Invalid(why) => return Err(StoreError::Invalid(why).into()),
                Commit::Full(full) => {
                    return Err(CommandError::Full(full.into_iter().map(|(spot, _)| spot).collect()));
                }
                // Somebody has claimed it, or whoever claims it is dead.
                Commit::Claimed(_) | Commit::Fenced if matches!(command, Command::Claim { .. }) => {
                    return Err(Rejection::Fenced.into());
                }
                // Someone else was first, or it was not written: it is decided once more.
                _ => {}
            }
        }
        Err(CommandError::Contended)
    }

    /// Whether a transition is what follows this event.
    async fn is_written(&self, run: RunId, after: u64, transition: TransitionId) -> Result<bool, StoreError> {
        let events = self.store.events_after(EventsAfter { run, after, limit: 1 }).await?;
        Ok(events.first().is_some_and(|event| event.transition == transition))
    }

    async fn is_alive(&self, owner: Option<OwnerId>) -> Result<bool, StoreError> {
        let Some(owner) = owner else { return Ok(false) };
        if owner == self.owner() {
            return Ok(true);
        }
        Ok(self.store.owner(owner).await?.is_some_and(|row| !row.dead))
    }

    /// Drives a run, or joins its driver here. `None` if it has ended.
    pub(crate) async fn drive(self: &Arc<Self>, run: RunId) -> Result<Option<Actor>, DriveError> {
        for _ in 0..PATIENCE {
            if self.is_stopping() {
                return Err(DriveError::Stopping);
            }
            if let Some(actor) = self.actor(run) {
                return Ok(Some(actor));
            }
            let Some(opened) = self.open(run).await? else { return Err(DriveError::NotFound(run)) };
            if opened.state.head().ended.is_some() {
                return Ok(None);
            }
            self.check_plugins(&opened.loaded)?;
            crate::failpoint!("run.takeover.before");
            let inputs = self.inputs_of_a_takeover(&opened.state).await?;
            let (reply, answer) = oneshot::channel();
            let mut taking = vec![Input::Take { dead: inputs.previous, reply: Some(reply) }];
            taking.extend(inputs.lost.into_iter().map(Input::Lost));
            let Some(actor) =
                Driver::spawn(self, opened.loaded, opened.origin, opened.state, taking, Vec::new())
            else {
                continue;
            };
            match answer.await {
                Ok(Commit::Applied) => {
                    crate::failpoint!("run.takeover.after");
                    return Ok(Some(actor));
                }
                Ok(Commit::Unavailable(why)) => return Err(StoreError::Unavailable(why).into()),
                Ok(Commit::Invalid(why)) => return Err(StoreError::Invalid(why).into()),
                // Someone else was first: look again.
                _ => {}
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Whom a new driver follows, and whose attempts are lost.
    async fn inputs_of_a_takeover(&self, state: &RunState) -> Result<Takeover, DriveError> {
        let own = self.owner();
        let executing = state.slots().filter_map(|(_, slot)| match slot.state {
            // Of what others have claimed, the store says itself how it has ended.
            StepState::Running { fence, remote: false, .. } if fence.owner != own => Some(fence.owner),
            _ => None,
        });
        let mut owners: Vec<OwnerId> = executing.collect();
        let previous = state.head().driver.filter(|driver| *driver != own);
        owners.extend(previous);
        owners.sort_unstable();
        owners.dedup();
        if owners.is_empty() {
            return Ok(Takeover { previous: None, lost: Vec::new() });
        }
        self.store.sweep().await?;
        let mut lost = Vec::new();
        for owner in owners {
            match self.store.owner(owner).await? {
                Some(row) if !row.dead && previous == Some(owner) => {
                    return Err(DriveError::Driven { owner, label: row.label });
                }
                Some(row) if !row.dead => {}
                _ => lost.push(owner),
            }
        }
        Ok(Takeover { previous, lost })
    }

    /// Whether this engine can execute every step.
    pub(crate) fn check_plugins(&self, loaded: &Loaded) -> Result<(), DriveError> {
        let missing = loaded.workflow.steps.iter().find(|step| self.registry.get(&step.uses).is_none());
        match missing {
            Some(step) => {
                Err(DriveError::UnknownPlugin { step: step.name.clone(), plugin: step.uses.clone() })
            }
            None => Ok(()),
        }
    }
}

struct Takeover {
    previous: Option<OwnerId>,
    lost: Vec<OwnerId>,
}

/// Takes the output of a `Resolve`, or the data of a signal, out of the command where it is too long to be inline: what stays refers to it.
fn with_values_beside(mut command: Command) -> Result<(Command, Vec<StoredValue>), StoreError> {
    let mut beside = Vec::new();
    if let Command::Resolve { applied: Some(value), .. }
    | Command::Reconcile { applied: Some(value), .. }
    | Command::Signal { data: value, .. } = &mut command
        && let ValueRef::Inline(body) = value
    {
        let invalid = |error: Unstorable| StoreError::Invalid(error.to_string());
        let (reference, stored) = ValueRef::from_json(body.clone()).map_err(invalid)?;
        *value = reference;
        beside.extend(stored);
    }
    Ok((command, beside))
}

fn may_come_from_outside(command: &Command) -> bool {
    matches!(
        command,
        Command::Decide(_)
            | Command::Judge(_)
            | Command::Signal { .. }
            | Command::BeginNow(_)
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Cancel(_)
            | Command::Resolve { .. }
            | Command::Retry { .. }
            | Command::Rerun { .. }
            | Command::Compensate(_)
    )
}
