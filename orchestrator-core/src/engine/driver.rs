//! The driver of one run: an actor with a mailbox. It takes in what happened, decides on a scratch state, commits one
//! member at a time, and does what the state then asks for.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::engine::batch::Batch;
use crate::engine::handle::Progress;
use crate::engine::loaded::Loaded;
use crate::engine::note::{Input, Note};
use crate::engine::places::Rooms;
use crate::engine::prepare::Done;
use crate::engine::progress::progress_of;
use crate::engine::reconcile::Inquiries;
use crate::engine::shared::{Actor, Incarnation, Shared};
use crate::engine::values::{Values, unloadable};
use crate::id::{OwnerId, RunId, StepIx, Unit};
use crate::machine::{Fence, Prepared, RunState, Spot, StepError, next_timer};
use crate::port::plugin::{StopReason, Stopper};
use crate::port::queue::Ticket;
use crate::port::store::{Commit, NewRun, Parent, StoreError};
use crate::time::Timestamp;
use crate::value::{StoredValue, ValueRef};

/// An attempt that this process executes.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) fence: Fence,
    pub(crate) stopper: Stopper,
}

/// The driver of one run.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) origin: Origin,
    /// Where relative paths of its steps start.
    pub(crate) folder: Arc<Path>,
    /// Steps whose child only a person can move.
    pub(crate) blocked: HashSet<Unit>,
    pub(crate) run: RunId,
    pub(crate) state: RunState,
    pub(crate) values: Values,
    /// What is to be decided next.
    pub(crate) inputs: Vec<Input>,
    /// What this process executes.
    pub(crate) local: BTreeMap<Unit, Local>,
    /// Slots in hand: of attempts that have just ended, or waited for.
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
    /// Steps whose preparation waits for values or for the policy.
    pub(crate) preparing: HashSet<Unit>,
    /// What plugins were asked about attempts of unknown outcome.
    pub(crate) inquiries: Inquiries,
    /// Whether the run's outputs wait for values.
    pub(crate) concluding: bool,
    /// Why the run's outputs cannot be rendered, if their values cannot be loaded.
    pub(crate) conclusion: Option<StepError>,
    /// Values that go with the run's creation.
    pub(crate) created_values: Vec<StoredValue>,
    /// Whether a step could begin if there were a slot.
    pub(crate) wants_slot: bool,
    /// When to think again of offering what there is no slot for, if none comes back.
    pub(crate) reconsiders: Option<Timestamp>,
    /// How many places the run may take of keys of which that is known.
    pub(crate) room: Rooms,
    /// When it tries again what waits for its turn under a rate.
    pub(crate) turns: BTreeMap<Spot, Timestamp>,
    /// The keys under which others were told to make room for what waits here.
    pub(crate) makes_room: HashSet<Arc<str>>,
    /// Whether it is told of places that the run is given.
    pub(crate) waits_for_places: bool,
    /// Steps that nobody serves for now.
    pub(crate) unserved: HashSet<StepIx>,
    /// Whether others were looked for since the last batch was opened that counts.
    pub(crate) looks_again: bool,
    /// Whether it is told of what may have been delivered.
    pub(crate) watches: bool,
    /// What it has told of that lies in the run's inbox and cannot be read.
    pub(crate) unreadable: HashSet<String>,
    /// When what still runs is to be stopped, once the engine stops.
    pub(crate) stopping: Option<Timestamp>,
    /// Decide one input at a time: a batch held something that no store can keep.
    pub(crate) cautious: bool,
    inflight: Option<(Batch, oneshot::Receiver<Commit>)>,
    pub(crate) incarnation: Incarnation,
    mailbox: mpsc::UnboundedReceiver<Note>,
    pub(crate) own_mailbox: mpsc::UnboundedSender<Note>,
    pub(crate) progress: watch::Sender<Progress>,
    retry_wait: Duration,
    released: bool,
    over: bool,
}

/// Where a run belongs.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) project: Arc<str>,
    /// With which it waits for places under keys.
    pub(crate) priority: i32,
    /// The step that it carries out, if it does.
    pub(crate) parent: Option<Parent>,
}

impl Origin {
    pub(crate) fn of(new: &NewRun) -> Self {
        Self { project: new.project.clone(), priority: new.priority, parent: new.parent }
    }
}

/// The first wait after a commit that the store could not take now; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// The longest.
const LAST_RETRY: Duration = Duration::from_secs(1);

impl Driver {
    /// Starts the driver of a run with something to decide, and enters it among the engine's actors. `None` if the
    /// run has an actor already.
    pub(crate) fn spawn(
        shared: &Arc<Shared>,
        loaded: Arc<Loaded>,
        origin: Origin,
        state: RunState,
        inputs: Vec<Input>,
        created_values: Vec<StoredValue>,
    ) -> Option<Actor> {
        let run = state.run();
        let (own_mailbox, mailbox) = mpsc::unbounded_channel();
        let (progress, watched) = watch::channel(progress_of(&state, true));
        let actor = Actor { mailbox: own_mailbox.clone(), progress: watched };
        {
            let mut actors = shared.actors();
            if actors.contains_key(&run) {
                return None;
            }
            actors.insert(run, actor.clone());
            shared.committer.expect(actors.len());
        }
        if shared.is_stopping() {
            // Those who stop the engine may have told all actors already.
            let _ = own_mailbox.send(Note::Stop(shared.clock.now()));
        }
        let driver = Self {
            shared: shared.clone(),
            loaded,
            folder: shared.folder_of(origin.parent.map_or(run, |parent| parent.root)),
            origin,
            blocked: HashSet::new(),
            run,
            state,
            values: Values::default(),
            inputs,
            local: BTreeMap::new(),
            permits: Vec::new(),
            preparing: HashSet::new(),
            inquiries: Inquiries::default(),
            concluding: false,
            conclusion: None,
            created_values,
            wants_slot: false,
            reconsiders: None,
            room: Rooms::new(),
            turns: BTreeMap::new(),
            makes_room: HashSet::new(),
            waits_for_places: false,
            unserved: HashSet::new(),
            looks_again: false,
            watches: false,
            unreadable: HashSet::new(),
            stopping: None,
            cautious: false,
            inflight: None,
            incarnation: shared.incarnation(),
            mailbox,
            own_mailbox,
            progress,
            retry_wait: FIRST_RETRY,
            released: false,
            over: false,
        };
        shared.hand_out(Ticket::Run { run }, driver.run());
        Some(actor)
    }

    /// Starts the driver of a run that a commit of its parent's driver has just created.
    pub(crate) fn spawn_child(shared: &Arc<Shared>, loaded: Arc<Loaded>, origin: Origin, state: RunState) {
        let taking = vec![Input::Take { dead: None, reply: None }];
        // If somebody else is driving it already, that is as good.
        let _ = Self::spawn(shared, loaded, origin, state, taking, Vec::new());
    }

    async fn run(mut self) {
        self.begin().await;
        while !self.over {
            if self.inflight.is_none() {
                self.gather().await;
                if !self.over {
                    self.open_batch();
                }
            }
            if self.over || self.is_released() {
                break;
            }
            self.turn().await;
        }
        self.leave();
    }

    /// Waits until the store knows in whose name this driver speaks.
    async fn begin(&mut self) {
        let mut stopping = self.shared.stopping.subscribe();
        tokio::select! {
            biased;
            () = self.incarnation.begun() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return self.fenced(),
        }
        self.know_what_is_paused().await;
    }

    /// Takes in what has happened. While attempts are executed that may be about to end, gives them a turn of the
    /// scheduler: what ends together is committed together.
    async fn gather(&mut self) {
        loop {
            let mut heard = false;
            while let Ok(note) = self.mailbox.try_recv() {
                self.hear(note).await;
                heard = true;
            }
            if !heard || self.local.is_empty() || self.over {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits for one thing and takes it in.
    async fn turn(&mut self) {
        if let Some((_, answer)) = &mut self.inflight {
            // Until it is known whether this batch counts there is nothing else to decide on.
            tokio::select! {
                biased;
                // A committer that is gone has written nothing more that anyone could know of.
                answer = answer => self.settle(answer.unwrap_or(Commit::Ambiguous)).await,
                () = self.incarnation.ended() => self.fenced(),
            }
            return;
        }
        let timer = self.next_timer();
        let clock = self.shared.clock.clone();
        let slots = self.shared.slots.clone();
        let wants_slot = self.wants_slot && self.permits.is_empty();
        let waits = wants_slot.then(|| self.shared.clone());
        let _counted = waits.as_ref().map(|shared| shared.wait_for_slot());
        tokio::select! {
            biased;
            () = self.incarnation.ended() => self.fenced(),
            note = self.mailbox.recv() => match note {
                Some(note) => self.hear(note).await,
                None => self.over = true,
            },
            permit = slots.acquire_owned(), if wants_slot => {
                self.wants_slot = false;
                self.permits.extend(permit.ok());
            }
            () = async { clock.sleep_until(timer.unwrap_or_default()).await }, if timer.is_some() => self.on_timer(),
        }
    }

    fn next_timer(&self) -> Option<Timestamp> {
        let own = if self.inputs.is_empty() { next_timer(&self.state) } else { None };
        let stops = self.stopping.filter(|_| !self.local.is_empty());
        let turn = self.turns.values().min().copied();
        [own, stops, self.reconsiders, turn].into_iter().flatten().min()
    }

    fn on_timer(&mut self) {
        let now = self.shared.clock.now();
        // What follows is another batch.
        self.reconsiders.take_if(|due| *due <= now);
        if self.stopping.is_some_and(|until| until <= now) {
            self.local.values().for_each(|local| local.stopper.stop(StopReason::Shutdown));
            // They are told once; what follows are their ends.
            self.stopping = Some(Timestamp::from_millis(i64::MAX));
        }
        if next_timer(&self.state).is_some_and(|due| due <= now) {
            crate::failpoint!("timer.fire.before");
            self.inputs.push(Input::Wake);
        }
    }

    async fn hear(&mut self, note: Note) {
        match note {
            Note::Command(command, reply) => self.inputs.push(Input::Command(command, Some(reply))),
            Note::Ended(mut ended) => {
                self.permits.extend(ended.slot.take());
                if self.local.get(&ended.step).is_some_and(|local| local.fence == ended.fence) {
                    self.local.remove(&ended.step);
                }
                self.inputs.push(Input::Ended(*ended));
            }
            Note::Ruled(step, generation, done, permit) => {
                self.permits.extend(permit);
                self.inputs.push(Input::Ruled(step, generation, done));
            }
            Note::Loaded(step, loaded, permit) => self.on_loaded(step, loaded, permit),
            Note::Left(step, child, has_ended) => self.on_left(step, child, has_ended),
            Note::Returned(returned) => self.inputs.push(Input::Returned(returned)),
            Note::Blocked(step, child, is_blocked) => self.on_blocked(step, child, is_blocked),
            Note::Inquired(step, attempt) => self.on_inquired(step, attempt),
            Note::Changed => self.catch_up().await,
            Note::Delivered => self.look_into_the_inbox().await,
            Note::Given(spot) => self.was_given(spot),
            Note::Served => {
                self.unserved.clear();
                self.looks_again = true;
            }
            Note::Stop(until) => self.stopping = Some(until),
        }
    }

    fn on_loaded(
        &mut self,
        step: Option<Unit>,
        loaded: Result<Vec<(ValueRef, Arc<Value>)>, StoreError>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        self.permits.extend(permit);
        match step {
            Some(step) => drop(self.preparing.remove(&step)),
            None => self.concluding = false,
        }
        match loaded {
            Ok(values) => values.iter().for_each(|(at, value)| self.values.keep(at, value.clone())),
            Err(error) => {
                tracing::error!(run = %self.run, %error, "a value cannot be loaded");
                match step {
                    Some(step) => {
                        let verdict = Prepared::Fault(unloadable(&error));
                        let done = Done::of(verdict);
                        let generation = self.state.head().generation;
                        self.inputs.push(Input::Ruled(step, generation, Box::new(done)));
                    }
                    None => self.conclusion = Some(unloadable(&error)),
                }
            }
        }
    }

    /// Decides what there is to decide, and hands it in.
    fn open_batch(&mut self) {
        self.try_what_is_due();
        let (unserved, has_looked) = (self.unserved.len(), self.looks_again);
        let Some(mut batch) = Batch::open(self) else {
            // That there was no room is of the past by now.
            self.room.retain(|_, room| *room > 0);
            if self.unserved.len() != unserved || has_looked {
                self.publish(true);
            }
            return;
        };
        let Some(member) = batch.member(self) else { return };
        crate::failpoint!("driver.decided");
        let answer = self.shared.committer.submit(member);
        self.inflight = Some((batch, answer));
    }

    /// What became of the member in flight.
    async fn settle(&mut self, answer: Commit) {
        let Some((batch, _)) = self.inflight.take() else { return };
        match answer {
            Commit::Applied => self.applied(batch),
            Commit::Conflict => {
                self.take_back(batch);
                self.catch_up().await;
            }
            Commit::Ambiguous => match self.was_applied(&batch).await {
                true => self.applied(batch),
                false => {
                    self.take_back(batch);
                    self.pause_before_retry().await;
                    self.catch_up().await;
                }
            },
            Commit::Busy | Commit::Unavailable(_) => {
                if let Commit::Unavailable(why) = &answer {
                    tracing::warn!(run = %self.run, why, "the store is unavailable; trying again");
                }
                self.take_back(batch);
                self.pause_before_retry().await;
            }
            Commit::Duplicate { .. } | Commit::Fenced => {
                batch.answer_all(&answer);
                self.fenced();
            }
            Commit::Claimed(claims) => {
                self.take_back(batch);
                self.learn(&claims);
            }
            Commit::Full(full) => {
                self.take_back(batch);
                self.learn_of_room(full);
            }
            Commit::Invalid(why) => self.invalid(batch, &why),
        }
    }

    pub(crate) async fn pause_before_retry(&mut self) {
        let until = self.shared.clock.now() + self.retry_wait;
        self.retry_wait = (self.retry_wait * 2).min(LAST_RETRY);
        self.shared.clock.sleep_until(until).await;
    }

    fn applied(&mut self, batch: Batch) {
        crate::failpoint!("driver.applied");
        self.state.keep();
        self.retry_wait = FIRST_RETRY;
        self.cautious = false;
        self.values.trim();
        let released = batch.releases();
        batch.close(self);
        self.released |= released;
        self.publish(!self.over && !self.released);
        if self.state.head().ended.is_some() {
            self.over = true;
        }
    }

    /// Back to the state before the batch, with its inputs to be decided again.
    pub(crate) fn take_back(&mut self, batch: Batch) {
        self.state.take_back();
        let mut inputs = batch.reopen(self);
        inputs.append(&mut self.inputs);
        self.inputs = inputs;
    }

    /// The run is no longer ours: whatever runs here is stopped, and its outcome does not count.
    pub(crate) fn fenced(&mut self) {
        self.local.values().for_each(|local| local.stopper.stop(StopReason::Fenced));
        self.over = true;
    }

    fn is_released(&self) -> bool {
        self.released && self.inflight.is_none()
    }

    /// Whether an orderly stop has nothing left to wait for but to let the run go.
    pub(crate) fn may_release(&self) -> bool {
        self.stopping.is_some() && self.local.is_empty() && self.preparing.is_empty() && !self.released
    }

    /// The incarnation in whose name this driver speaks.
    pub(crate) const fn owner(&self) -> OwnerId {
        self.incarnation.owner()
    }

    /// Whether the run is this driver's to move.
    pub(crate) fn drives(&self) -> bool {
        self.state.head().driver == Some(self.owner())
    }

    /// The fence under which this driver commits.
    pub(crate) fn fence(&self) -> Option<Fence> {
        self.drives().then_some(Fence { epoch: self.state.head().driver_epoch, owner: self.owner() })
    }

    fn leave(self) {
        {
            self.shared.away().remove(&self.run);
            self.shared.parked().remove(&self.run);
            self.shared.forget_paused(self.run);
            let mut actors = self.shared.actors();
            actors.remove(&self.run);
            self.shared.committer.expect(actors.len());
        }
        if let Some(parent) = self.origin.parent {
            let has_ended = self.state.head().ended.is_some();
            self.shared.tell(parent.run, Note::Left(parent.unit, self.run, has_ended));
        }
        for input in self.inputs {
            input.refuse();
        }
        self.progress.send_replace(progress_of(&self.state, false));
    }
}
