//! One commit of a driver in the making: its inputs decided in turn on the scratch state, then whatever can begin.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::delegate::Birth;
use crate::engine::driver::Driver;
use crate::engine::error::CommandError;
use crate::engine::handle::Receipt;
use crate::engine::member::Draft;
use crate::engine::note::Input;
use crate::engine::offers::tell_dropped;
use crate::engine::places::Rooms;
use crate::engine::places::gives_places;
use crate::engine::prepare;
use crate::id::{TransitionId, Unit};
use crate::machine::{Command, Effect, Event, Fence, Recorded, Rejection, effect_of, is_to_conclude};
use crate::port::plugin::Request;
use crate::port::store::{Commit, Member};
use crate::time::Timestamp;
use crate::value::{StoredValue, ValueRef};

/// A batch that has this many events is handed in, and the rest waits for the next: attempts begin sooner.
pub(crate) const EVENT_LIMIT: usize = 1_024;
/// A batch that writes about this many bytes is handed in.
pub(crate) const BYTE_LIMIT: usize = 512 << 10;

/// What a decided input came to.
#[derive(Debug)]
pub(crate) enum Decided {
    Changed(bool),
    Rejected(Rejection),
}

/// An attempt to be executed once the batch is applied.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) step: Unit,
    pub(crate) permit: OwnedSemaphorePermit,
    /// Its request, where it need not be read back.
    pub(crate) request: Option<Arc<Request>>,
}

/// One commit of a driver.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) transition: TransitionId,
    pub(crate) expected: u64,
    pub(crate) at: Timestamp,
    fence: Option<Fence>,
    draft: Option<Draft>,
    pub(crate) bytes: usize,
    inputs: Vec<(Input, Decided)>,
    /// The attempts it begins.
    pub(crate) begun: Vec<Begun>,
    /// The runs that it creates for steps of this one.
    pub(crate) births: Vec<Birth>,
    /// How many places it takes of each key.
    pub(crate) taken: Rooms,
    /// Whether somebody may be given a place by it.
    gives_places: bool,
    /// Whether every child has to be seen to.
    attends_all: bool,
    /// Whether others were looked for just before: what is offered and they do not take is taken back. Not in any later batch,
    /// when they may have said that they live on and nobody has looked.
    pub(crate) has_looked: bool,
    touched: Vec<Unit>,
    /// Its events, if somebody listens.
    heard: Vec<Event>,
}

impl Batch {
    /// Decides all there is to decide; `None` if nothing follows from it.
    pub(crate) fn open(driver: &mut Driver) -> Option<Self> {
        if driver.inputs.is_empty() && driver.may_release() {
            driver.inputs.push(Input::Release);
        }
        let now = driver.shared.clock.now();
        let draft = Draft::new(&driver.state, driver.shared.transition(), now);
        let mut batch = Self {
            transition: draft.transition,
            expected: draft.expected,
            at: draft.at,
            fence: driver.fence(),
            draft: None,
            bytes: 0,
            inputs: Vec::new(),
            begun: Vec::new(),
            births: Vec::new(),
            taken: Rooms::new(),
            gives_places: false,
            attends_all: false,
            has_looked: std::mem::take(&mut driver.looks_again),
            touched: Vec::new(),
            heard: Vec::new(),
        };
        driver.state.begin_scratch();
        let wanted = |driver: &Driver| {
            let head = driver.state.head();
            (head.intent, head.aborted, head.overdue.is_some())
        };
        let before = wanted(driver);
        let draft = batch.fill(driver, draft);
        batch.attends_all |= wanted(driver) != before;
        if !driver.wants_slot {
            // Nobody here needs them: others may.
            driver.permits.clear();
        }
        if draft.is_empty() {
            driver.state.keep();
            batch.answer_decided(driver);
            return None;
        }
        if driver.shared.live.receiver_count() > 0 {
            batch.heard.clone_from(&draft.events);
        }
        batch.draft = Some(draft);
        Some(batch)
    }

    fn fill(&mut self, driver: &mut Driver, mut draft: Draft) -> Draft {
        let count = if driver.cautious { driver.inputs.len().min(1) } else { driver.inputs.len() };
        let later = driver.inputs.split_off(count);
        let inputs = std::mem::replace(&mut driver.inputs, later);
        // What ends lets about as many begin: room for both at once.
        draft.events.reserve(count + (count + driver.state.actionable_count()).min(EVENT_LIMIT));
        self.inputs.reserve(count);
        let mut inputs = inputs.into_iter();
        for input in inputs.by_ref() {
            self.take(driver, &mut draft, input);
            if self.could_not_take() {
                break;
            }
        }
        // What else has come was prepared for a run that is another's.
        driver.inputs.splice(..0, inputs);
        // A driver that could not take the run must not move it.
        if driver.drives() {
            self.withdraw(driver, &mut draft);
            if !driver.cautious && driver.stopping.is_none() {
                self.begin_more(driver, &mut draft);
            }
            let stage = driver.state.head().stage;
            self.conclude(driver, &mut draft);
            // What comes after the steps proper begins in the commit that ends them.
            if driver.state.head().stage != stage && !driver.cautious && driver.stopping.is_none() {
                crate::failpoint!("stage.begun");
                self.begin_more(driver, &mut draft);
            }
        }
        self.touched = driver.state.take_touched();
        draft
    }

    /// Whether the last input was a wish to take the run, in vain.
    fn could_not_take(&self) -> bool {
        matches!(self.inputs.last(), Some((Input::Take { .. }, Decided::Rejected(_))))
    }

    fn take(&mut self, driver: &mut Driver, draft: &mut Draft, input: Input) {
        let decided = match &input {
            Input::Create(new, created, _) => {
                crate::failpoint!("run.create.before");
                draft.create = Some(new.clone());
                draft.values.extend(driver.created_values.iter().cloned());
                // The first steps refer to the inputs before this very commit has brought them into the store.
                let of_inputs = |value: &&StoredValue| value.digest == new.inputs.digest();
                if let Some(inputs) = driver.created_values.iter().find(of_inputs)
                    && let Ok(read) = serde_json::from_str(&inputs.body)
                {
                    driver.values.keep(&new.inputs, Arc::new(read));
                }
                draft.take(&mut driver.state, Event::RunCreated(created.clone()));
                Decided::Changed(true)
            }
            Input::Take { dead, .. } => {
                self.attends_all = driver.state.children() > 0;
                draft.dead.extend(*dead);
                let command = Command::TakeDriver { owner: driver.owner(), dead: *dead };
                self.say(driver, draft, &command)
            }
            Input::Lost(owner) => {
                draft.dead.push(*owner);
                self.say(driver, draft, &Command::Lost { owner: *owner })
            }
            Input::Command(command, _) => self.say(driver, draft, command),
            Input::Ended(ended) => {
                let command = Command::Finish {
                    step: ended.step,
                    attempt: ended.attempt,
                    fence: ended.fence,
                    outcome: ended.outcome.clone(),
                };
                let decided = self.say(driver, draft, &command);
                crate::failpoint!("step.complete.decided");
                if matches!(decided, Decided::Changed(_)) {
                    self.bytes += ended.values.iter().map(|value| value.body.len()).sum::<usize>();
                    draft.values.extend(ended.values.iter().cloned());
                    draft.logs.extend(ended.lines.iter().cloned());
                    if let (Some(output), crate::machine::Finished::Succeeded(reference)) =
                        (&ended.output, &ended.outcome)
                        && (driver.loaded.is_wanted(ended.step.step)
                            || driver.state.slot(ended.step).to_judge().is_some())
                    {
                        driver.values.keep(reference, Arc::new(output.clone()));
                    }
                }
                decided
            }
            // One that does not drive the run any more leaves it to who does: with the row it would take the news of it.
            Input::Delivered(_) if !driver.drives() => return,
            Input::Delivered(row) => self.take_in(driver, draft, row),
            Input::Ruled(step, generation, done) => {
                driver.preparing.remove(step);
                if *generation != driver.state.head().generation {
                    // The ruling is on a request of the past: the step is prepared again.
                    return;
                }
                let permit = driver.permit();
                self.take_done(driver, draft, *step, (**done).clone(), permit)
            }
            Input::Returned(returned) => self.take_returned(driver, draft, returned),
            Input::Wake => {
                crate::failpoint!("timer.fire.after");
                self.say(driver, draft, &Command::Wake)
            }
            Input::Release => match self.fence {
                Some(fence) => self.say(driver, draft, &Command::ReleaseDriver(fence)),
                None => Decided::Changed(false),
            },
        };
        self.inputs.push((input, decided));
    }

    pub(crate) fn say(&mut self, driver: &mut Driver, draft: &mut Draft, command: &Command) -> Decided {
        match draft.say(&mut driver.state, command) {
            Ok(changed) => Decided::Changed(changed),
            Err(rejection) => Decided::Rejected(rejection),
        }
    }

    /// Ends the run once every step has ended.
    fn conclude(&mut self, driver: &mut Driver, draft: &mut Draft) {
        if !is_to_conclude(&driver.state) || driver.concluding {
            return;
        }
        // Only a run that completes has outputs.
        let completes = driver.state.is_complete();
        let outputs = &driver.loaded.workflow.outputs;
        let rendered = match driver.conclusion.take() {
            Some(error) => Err(error),
            None if !completes || outputs.is_empty() => Ok((ValueRef::Inline(Arc::from("{}")), None)),
            None => {
                let missing = prepare::missing_outputs(&driver.loaded, &driver.state, &driver.values);
                if !missing.is_empty() {
                    driver.concluding = true;
                    driver.load(None, missing, None);
                    return;
                }
                prepare::render_outputs(&driver.loaded, &driver.state, &driver.values)
            }
        };
        let outputs = rendered.map(|(outputs, value)| {
            draft.values.extend(value);
            outputs
        });
        crate::failpoint!("run.conclude.before");
        self.say(driver, draft, &Command::Conclude(outputs));
    }

    /// The member to hand in.
    pub(crate) fn member(&mut self, driver: &Driver) -> Option<Member> {
        let mut draft = self.draft.take()?;
        draft.children.extend(self.births.iter_mut().filter_map(Birth::take_member));
        let admission = std::mem::take(&mut draft.places).admission(&driver.state, &driver.origin);
        self.gives_places = admission.as_deref().is_some_and(gives_places);
        let member = draft.into_member(driver.run, &driver.state, &self.touched, self.fence);
        Some(Member { admission, ..member })
    }

    /// Whether it lets the run go.
    pub(crate) fn releases(&self) -> bool {
        self.inputs.iter().any(|(input, _)| matches!(input, Input::Release))
    }

    /// It is applied: answers whoever waits, and does what is to be done now.
    pub(crate) fn close(mut self, driver: &mut Driver) {
        for (seq, event) in (self.expected + 1..).zip(std::mem::take(&mut self.heard)) {
            driver.announce(&Recorded { seq, at: self.at, transition: self.transition, event });
        }
        driver.took_places(&self.taken);
        if self.gives_places {
            driver.shared.look_for_places_soon();
        }
        self.answer_decided(driver);
        driver.inputs.reserve(self.begun.len());
        for Begun { step, permit, request } in self.begun {
            match effect_of(&driver.state, step) {
                Some(Effect::Execute { attempt, fence, .. }) => {
                    driver.dispatch(step, attempt, fence, Some(permit), request);
                }
                // What has begun and was cancelled in one commit is never dispatched.
                Some(Effect::Stop(step)) => {
                    driver.permits.push(permit);
                    driver.end_undispatched(step);
                }
                _ => driver.permits.push(permit),
            }
        }
        let born: HashSet<Unit> = self.births.iter().map(|birth| birth.step).collect();
        self.births.into_iter().for_each(|birth| birth.drive(driver));
        if self.attends_all {
            driver.attend_all();
        } else if driver.state.children() > 0 {
            self.touched
                .iter()
                .filter(|step| !born.contains(step))
                .for_each(|step| driver.attend_step(*step));
        }
        driver.inquire(&self.touched);
        if driver.state.stops_something() {
            self.touched.iter().for_each(|step| driver.stop_if_asked(*step));
        }
    }

    fn answer_decided(&mut self, driver: &mut Driver) {
        let seq = driver.state.head().seq;
        for (input, decided) in &mut self.inputs {
            match (input, decided) {
                (Input::Command(_, reply), decided) => {
                    let answer = match decided {
                        Decided::Changed(changed) => Ok(Receipt { changed: *changed, seq, driven: true }),
                        Decided::Rejected(rejection) => Err(CommandError::Rejected(rejection.clone())),
                    };
                    reply.take().map(|reply| reply.send(answer));
                }
                (Input::Take { reply, .. }, Decided::Rejected(_)) => {
                    reply.take().map(|reply| reply.send(Commit::Fenced));
                    driver.fenced();
                }
                (Input::Create(_, _, reply) | Input::Take { reply, .. }, _) => {
                    reply.take().map(|reply| reply.send(Commit::Applied));
                }
                (Input::Ended(ended), Decided::Rejected(rejection)) => {
                    tracing::warn!(run = %driver.run, step = ?ended.step, %rejection, "a late outcome does not count");
                }
                (Input::Delivered(row), Decided::Rejected(rejection)) => tell_dropped(&row.claim, rejection),
                _ => {}
            }
        }
        self.inputs.clear();
    }

    /// Tells whoever waits for the run itself how the store has answered.
    pub(crate) fn answer_all(mut self, answer: &Commit) {
        for (input, _) in self.inputs.drain(..) {
            if let Input::Create(_, _, Some(reply)) | Input::Take { reply: Some(reply), .. } = input {
                let _ = reply.send(answer.clone());
            }
        }
    }

    /// Its inputs, to be decided again.
    pub(crate) fn reopen(self, driver: &mut Driver) -> Vec<Input> {
        driver.permits.extend(self.begun.into_iter().map(|begun| begun.permit));
        driver.looks_again |= self.has_looked;
        self.inputs.into_iter().map(|(input, _)| input).collect()
    }
}
