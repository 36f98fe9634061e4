//! One commit of a driver in the making: its inputs decided in turn on the scratch state, then whatever can begin.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::colleagues::Site;
use crate::engine::delegate::Birth;
use crate::engine::driver::Driver;
use crate::engine::error::CommandError;
use crate::engine::handle::Receipt;
use crate::engine::member::Draft;
use crate::engine::note::Input;
use crate::engine::prepare::{self, Done, Preparation};
use crate::engine::start::created;
use crate::id::{TransitionId, Unit};
use crate::machine::{
    Command, Effect, Event, Fence, Prepared, Recorded, Rejection, effect_of, is_to_conclude,
};
use crate::port::plugin::Request;
use crate::port::store::{Commit, Member};
use crate::time::Timestamp;
use crate::value::{StoredValue, ValueRef};

/// A batch that has this many events is handed in, and the rest waits for the next: attempts begin sooner.
pub(crate) const EVENT_LIMIT: usize = 1_024;
/// A batch that writes about this many bytes is handed in.
const BYTE_LIMIT: usize = 512 << 10;

/// What a decided input came to.
#[derive(Debug)]
pub(crate) enum Decided {
    Changed(bool),
    Rejected(Rejection),
}

/// An attempt to be executed once the batch is applied.
#[derive(Debug)]
struct Begun {
    step: Unit,
    permit: OwnedSemaphorePermit,
    /// Its request, where it need not be read back.
    request: Option<Arc<Request>>,
}

/// One commit of a driver.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) transition: TransitionId,
    pub(crate) expected: u64,
    at: Timestamp,
    fence: Option<Fence>,
    draft: Option<Draft>,
    pub(crate) bytes: usize,
    inputs: Vec<(Input, Decided)>,
    /// The attempts it begins.
    begun: Vec<Begun>,
    /// The runs that it creates for steps of this one.
    pub(crate) births: Vec<Birth>,
    /// Whether every child has to be seen to.
    attends_all: bool,
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
            attends_all: false,
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
        if driver.state.head().driver == Some(driver.owner()) {
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
            Input::Create(new, _) => {
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
                draft.take(&mut driver.state, created(new, &driver.loaded).into());
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

    /// Prepares and begins steps while there are slots and room.
    fn begin_more(&mut self, driver: &mut Driver, draft: &mut Draft) {
        driver.wants_slot = false;
        let slots = driver.permits.len() + driver.shared.slots.available_permits();
        let begins = driver.state.actionable_count().min(slots).min(EVENT_LIMIT);
        draft.reserve(begins);
        self.begun.reserve(begins);
        while draft.events.len() < EVENT_LIMIT && self.bytes < BYTE_LIMIT {
            let Some(effect) = driver.next_actionable() else { return };
            let went_on = match effect {
                Effect::Prepare(step) => self.prepare(driver, draft, step),
                Effect::Continue(step) => self.go_on(driver, draft, step),
                _ => false,
            };
            if !went_on {
                return;
            }
        }
    }

    fn prepare(&mut self, driver: &mut Driver, draft: &mut Draft, step: Unit) -> bool {
        if !driver.state.may_begin(step) {
            let skip = Command::Prepared { step, verdict: Prepared::Skip };
            return matches!(self.say(driver, draft, &skip), Decided::Changed(_));
        }
        let is_delegated = driver.state.spec(step).options().child.is_some();
        let permit = match driver.site(step) {
            _ if is_delegated => None,
            Site::Elsewhere(_) => None,
            Site::Nowhere => {
                driver.leave_for_later(step);
                return true;
            }
            Site::Here => {
                let permit = driver.permit();
                if permit.is_none() && driver.surplus(step).is_none() {
                    driver.wants_slot = true;
                    return false;
                }
                permit
            }
        };
        match prepare::prepare(driver, step, self.at) {
            Preparation::Done(done) => {
                matches!(self.take_done(driver, draft, step, done, permit), Decided::Changed(_))
            }
            Preparation::Load(references) => {
                driver.preparing.insert(step);
                driver.load(Some(step), references, permit);
                true
            }
            Preparation::Judge(case) => {
                driver.preparing.insert(step);
                driver.judge(*case, permit);
                true
            }
        }
    }

    fn take_done(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        mut done: Done,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Decided {
        if driver.loaded.workflow.step(step.step).options().child.is_some() {
            // Another run takes the slots that it needs.
            driver.permits.extend(permit);
            return self.delegate(driver, draft, step, done);
        }
        if !matches!(done.verdict, Prepared::Begin(_)) {
            return self.say_done(driver, draft, step, done);
        }
        let permit = match (driver.site(step), permit) {
            (Site::Here, Some(permit)) => permit,
            (Site::Here, None) => match driver.surplus(step) {
                Some(placement) => return self.offer(driver, draft, step, done, placement),
                None => {
                    // Without a slot nothing begins; the step is prepared again when there is one.
                    driver.wants_slot = true;
                    return Decided::Changed(false);
                }
            },
            (Site::Elsewhere(placement), permit) => {
                driver.permits.extend(permit);
                return self.offer(driver, draft, step, done, placement);
            }
            (Site::Nowhere, permit) => {
                driver.permits.extend(permit);
                driver.leave_for_later(step);
                return Decided::Changed(false);
            }
        };
        let request = done.request.take();
        let decided = self.say_done(driver, draft, step, done);
        match decided {
            Decided::Changed(_) => self.begun.push(Begun { step, permit, request }),
            Decided::Rejected(_) => driver.permits.push(permit),
        }
        decided
    }

    pub(crate) fn say_done(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        done: Done,
    ) -> Decided {
        let Done { verdict, decision, value, request: _, list, ground: _ } = done;
        if let (Prepared::Expand { items, .. }, Some(list)) = (&verdict, list) {
            // The items are prepared before this very commit has brought their list into the store.
            driver.values.keep(items, list);
        }
        let decided = self.say(driver, draft, &Command::Prepared { step, verdict });
        if matches!(decided, Decided::Changed(_)) {
            self.bytes += value.as_ref().map_or(0, |value| value.body.len());
            draft.values.extend(value);
            if let Some(decision) = decision {
                draft.decisions.push(decision);
            }
        }
        decided
    }

    fn go_on(&mut self, driver: &mut Driver, draft: &mut Draft, step: Unit) -> bool {
        let site = driver.site(step);
        let permit = match site {
            Site::Here => driver.permit(),
            Site::Elsewhere(_) => None,
            Site::Nowhere => {
                driver.leave_for_later(step);
                return true;
            }
        };
        if matches!(site, Site::Here) && permit.is_none() {
            driver.wants_slot = true;
            return false;
        }
        let slot = driver.state.slot(step);
        let missing = driver.values.missing(slot.request.iter().chain(slot.state.signalled()));
        if !missing.is_empty() {
            driver.preparing.insert(step);
            driver.load(Some(step), missing, permit);
            return true;
        }
        let permit = match (site, permit) {
            (Site::Elsewhere(placement), _) => return self.offer_again(driver, draft, step, placement),
            (_, Some(permit)) => permit,
            (_, None) => return false,
        };
        let command = Command::Continue { step, owner: driver.owner() };
        let accepted = matches!(self.say(driver, draft, &command), Decided::Changed(_));
        if accepted {
            self.begun.push(Begun { step, permit, request: None });
        } else {
            driver.permits.push(permit);
        }
        accepted
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
        Some(draft.into_member(driver.run, &driver.state, &self.touched, self.fence))
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
                (Input::Create(_, reply) | Input::Take { reply, .. }, _) => {
                    reply.take().map(|reply| reply.send(Commit::Applied));
                }
                (Input::Ended(ended), Decided::Rejected(rejection)) => {
                    tracing::warn!(run = %driver.run, step = ?ended.step, %rejection, "a late outcome does not count");
                }
                _ => {}
            }
        }
        self.inputs.clear();
    }

    /// Tells whoever waits for the run itself how the store has answered.
    pub(crate) fn answer_all(mut self, answer: &Commit) {
        for (input, _) in self.inputs.drain(..) {
            if let Input::Create(_, Some(reply)) | Input::Take { reply: Some(reply), .. } = input {
                let _ = reply.send(answer.clone());
            }
        }
    }

    /// Its inputs, to be decided again.
    pub(crate) fn reopen(self, driver: &mut Driver) -> Vec<Input> {
        driver.permits.extend(self.begun.into_iter().map(|begun| begun.permit));
        self.inputs.into_iter().map(|(input, _)| input).collect()
    }
}

impl Driver {
    /// A slot, if one is free.
    fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        self.permits.pop().or_else(|| self.shared.slots.clone().try_acquire_owned().ok())
    }

    /// The first step that can be prepared or continued now.
    fn next_actionable(&self) -> Option<Effect> {
        let mut actionable = self
            .state
            .actionable()
            .filter(|step| !self.preparing.contains(step) && !self.unserved.contains(&step.step));
        effect_of(&self.state, actionable.next()?)
    }
}
