//! What a driver does when its commit did not go through: finds out what holds, and follows it.

use std::collections::HashSet;

use crate::engine::attempt::Ended;
use crate::engine::batch::Batch;
use crate::engine::driver::Driver;
use crate::engine::handle::Live;
use crate::engine::note::Input;
use crate::engine::values::load_value;
use crate::id::Unit;
use crate::machine::{Effect, Fence, Finished, Recorded, StepError, StepState, apply};
use crate::port::store::{Commit, EventsAfter, StoreError};
use crate::spec::retry::ErrorClass;
use crate::value::ValueRef;

impl Driver {
    /// Whether a member whose answer was lost has been written.
    pub(crate) async fn was_applied(&mut self, batch: &Batch) -> bool {
        loop {
            let query = EventsAfter { run: self.run, after: batch.expected, limit: 1 };
            match self.shared.store.events_after(query).await {
                Ok(events) => {
                    return events.first().is_some_and(|event| event.transition == batch.transition);
                }
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "cannot tell yet whether a commit was applied");
                    self.pause_before_retry().await;
                }
            }
        }
    }

    /// A member that no store can keep: only what is at fault fails.
    pub(crate) fn invalid(&mut self, batch: Batch, why: &str) {
        tracing::error!(run = %self.run, why, "the store refuses a change");
        self.take_back(batch);
        if !self.cautious && self.inputs.len() > 1 {
            self.cautious = true;
            return;
        }
        if self.inputs.is_empty() {
            return self.fenced();
        }
        match self.inputs.remove(0) {
            Input::Ended(mut ended) => {
                let error =
                    StepError::new(ErrorClass::Invalid, format!("the outcome cannot be stored: {why}"));
                ended.outcome = Finished::Failed { error, not_before: None };
                ended.values.clear();
                ended.lines.clear();
                self.inputs.insert(0, Input::Ended(ended));
            }
            Input::Command(_, Some(reply)) => {
                let _ = reply.send(Err(StoreError::Invalid(why.to_owned()).into()));
            }
            Input::Create(_, _, Some(reply)) | Input::Take { reply: Some(reply), .. } => {
                let _ = reply.send(Commit::Invalid(why.to_owned()));
                self.fenced();
            }
            _ => self.fenced(),
        }
    }

    /// Applies what others have committed.
    pub(crate) async fn catch_up(&mut self) {
        const PAGE: usize = 1_000;
        let driver = (self.state.head().driver, self.state.head().driver_epoch);
        let before = self.state.head().seq;
        loop {
            let query = EventsAfter { run: self.run, after: self.state.head().seq, limit: PAGE };
            match self.shared.store.events_after(query).await {
                Ok(events) => {
                    let more = events.len() == PAGE;
                    if !self.follow(&events) {
                        return self.fenced();
                    }
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "cannot read what others have committed");
                    self.pause_before_retry().await;
                }
            }
        }
        let head = self.state.head();
        let still_ours = head.driver == Some(self.owner()) || driver.0.is_none();
        if head.ended.is_some() || !still_ours {
            return self.fenced();
        }
        // A run that exists needs no creating; one of ours that was begun by a commit whose answer was lost does.
        if head.seq > 0 {
            self.inputs.retain_mut(|input| match input {
                Input::Create(_, _, reply) => {
                    if let Some(reply) = reply.take() {
                        let _ = reply.send(Commit::Applied);
                    }
                    false
                }
                _ => true,
            });
        }
        self.have_requests().await;
        self.take_up_running();
        if self.state.head().seq > before {
            self.attend_all();
        }
        self.publish(true);
    }

    pub(crate) fn follow(&mut self, events: &[Recorded]) -> bool {
        for recorded in events {
            if let Err(illegal) = apply(&mut self.state, recorded) {
                tracing::error!(run = %self.run, %illegal, "the log does not fold");
                return false;
            }
            self.announce(recorded);
        }
        true
    }

    pub(crate) fn announce(&self, recorded: &Recorded) {
        if self.shared.live.receiver_count() > 0 {
            let _ = self.shared.live.send(Live::Event { run: self.run, recorded: recorded.clone() });
        }
    }

    /// Has at hand what is about to be dispatched: what went with the commit that has begun it is gone.
    async fn have_requests(&mut self) {
        let missing: Vec<ValueRef> = self
            .begun_unheard()
            .into_iter()
            .filter(|(effect, ..)| matches!(effect, Effect::Execute { .. }))
            .flat_map(|(_, step, ..)| {
                let slot = self.state.slot(step);
                self.values.missing(slot.request.iter().chain(slot.state.signalled()))
            })
            .collect();
        for reference in missing {
            match load_value(&self.shared, self.run, &reference).await {
                Ok(value) => self.values.keep(&reference, value),
                // Whoever is dispatched without it fails.
                Err(error) => tracing::error!(run = %self.run, %error, "a value cannot be loaded"),
            }
        }
    }

    /// What runs in our name, and was begun by a commit whose answer never came: with what it is to do now, its attempt and
    /// its fence.
    fn begun_unheard(&self) -> Vec<(Effect, Unit, u32, Fence)> {
        let ending: HashSet<Unit> = self.inputs.iter().filter_map(Input::ended_step).collect();
        let begun = crate::machine::outstanding(&self.state).into_iter().filter_map(|effect| {
            let (Effect::Execute { step, .. } | Effect::Stop(step)) = effect else { return None };
            let StepState::Running { attempt, fence, .. } = self.state.slot(step).state else { return None };
            let is_known = self.local.contains_key(&step) || ending.contains(&step);
            (fence.owner == self.owner() && !is_known).then_some((effect, step, attempt, fence))
        });
        begun.collect()
    }

    /// Dispatches what a commit of ours has begun whose answer never came, and stops what others want stopped.
    fn take_up_running(&mut self) {
        self.state.take_touched();
        for step in self.local.keys() {
            self.stop_if_asked(*step);
        }
        for (effect, step, attempt, fence) in self.begun_unheard() {
            match effect {
                Effect::Stop(_) => self.end_undispatched(step),
                _ => self.dispatch(step, attempt, fence, None, None),
            }
        }
    }

    /// Ends an attempt that is to stop and was never dispatched: nothing has to be stopped.
    pub(crate) fn end_undispatched(&mut self, step: Unit) {
        if let StepState::Running { attempt, fence, .. } = self.state.slot(step).state {
            let ended = Ended::bare(step, attempt, fence, Finished::Interrupted);
            self.inputs.push(Input::Ended(ended));
        }
    }
}
