//! What a driver does with what others execute: takes offers back, and takes in what was delivered.

use std::sync::Arc;

use crate::engine::batch::{Batch, Decided, EVENT_LIMIT};
use crate::engine::control::Opened;
use crate::engine::driver::Driver;
use crate::engine::member::Draft;
use crate::engine::note::{Input, Note};
use crate::engine::prepare::Done;
use crate::engine::shared::Shared;
use crate::id::{RunId, Unit};
use crate::machine::{
    Command, Effect, Fence, Finished, Prepared, Rejection, Slot, StepError, is_away, outstanding, withdraws,
};
use crate::port::plugin::Stream;
use crate::port::queue::StepTicket;
use crate::port::store::{ClaimRow, Commit, Inbox, InboxRow, LogLine, StoreError};
use crate::spec::Placement;
use crate::spec::retry::ErrorClass;
use crate::time::Timestamp;

impl Batch {
    /// Takes back what is to be taken back. The store refuses the member if some of it is claimed, and says by whom.
    pub(crate) fn withdraw(&mut self, driver: &mut Driver, draft: &mut Draft) {
        if self.has_looked {
            // It is begun here, or left alone until somebody comes.
            for (step, epoch) in driver.forsaken() {
                self.say(driver, draft, &Command::Withdraw { step, epoch });
            }
        }
        if !withdraws(&driver.state) {
            return;
        }
        for effect in outstanding(&driver.state) {
            if draft.events.len() >= EVENT_LIMIT {
                return;
            }
            if let Effect::Withdraw { step, epoch } = effect {
                self.say(driver, draft, &Command::Withdraw { step, epoch });
            }
        }
    }

    /// A step that may begin is offered to others.
    pub(crate) fn offer(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        mut done: Done,
        placement: &Arc<Placement>,
    ) -> Decided {
        let Some(request) = done.request.as_deref() else { return self.say_done(driver, draft, step, done) };
        let (Prepared::Begin(begin), Some(_)) = (done.verdict.clone(), driver.state.find(step)) else {
            // Or it is not there any more: its list was made anew, and is shorter. The machine says so.
            return self.say_done(driver, draft, step, done);
        };
        let task = driver.state.spec(step).is_task().then(|| driver.brief(step, request, &begin.holds));
        let terms =
            task.transpose().and_then(|task| driver.terms(step, begin.effect, begin.request.clone(), task));
        match terms {
            Ok(terms) => {
                done.verdict = Prepared::Offer { begin, offer: placement.clone() };
                let decided = self.say_done(driver, draft, step, done);
                if matches!(decided, Decided::Changed(_)) {
                    draft.offer(&driver.state, step, placement, terms);
                }
                decided
            }
            Err(error) => self.say_done(driver, draft, step, Done::of(Prepared::Fault(error))),
        }
    }

    /// An attempt that has got what it waited for is offered anew. Tells whether it is.
    pub(crate) fn offer_again(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        placement: &Arc<Placement>,
    ) -> bool {
        let slot = driver.state.slot(step);
        let (Some(effect), Some(request)) = (slot.effect, slot.request.clone()) else { return false };
        // A task does not wait for anything once it was claimed.
        let terms = match driver.terms(step, effect, request, None) {
            Ok(terms) => terms,
            Err(error) => {
                tracing::error!(run = %driver.run, ?step, message = %error.message, "an attempt cannot go on elsewhere");
                return false;
            }
        };
        let command = Command::Offer { step, owner: driver.owner(), offer: placement.clone() };
        let accepted = matches!(self.say(driver, draft, &command), Decided::Changed(_));
        if accepted {
            self.count_place(driver, step);
            draft.offer(&driver.state, step, placement, terms);
        }
        accepted
    }

    /// Says who has claimed what was delivered, and how it has ended. The row goes with the commit, also where that is late.
    pub(crate) fn take_in(&mut self, driver: &mut Driver, draft: &mut Draft, row: &InboxRow) -> Decided {
        let ticket = row.claim.ticket;
        draft.remote.get_or_insert_default().taken.push(ticket);
        let is_of = |slot: &Slot| (driver.state.head().generation, slot.iterations());
        let is_stale = |slot: &Slot| is_of(slot) != (ticket.generation, ticket.iteration);
        // An attempt of the past may have the number of one of now.
        let decided = match driver.state.find(ticket.unit()).is_some_and(is_stale) {
            true => Decided::Rejected(Rejection::Fenced),
            false => self.take_end(driver, draft, row),
        };
        if let Decided::Rejected(rejection) = &decided
            && driver.state.find(ticket.unit()).is_some()
        {
            draft.logs.push(dropped(&ticket, draft.at, &rejection.to_string()));
        }
        decided
    }

    fn take_end(&mut self, driver: &mut Driver, draft: &mut Draft, row: &InboxRow) -> Decided {
        let claimed = claimed(&row.claim);
        self.say(driver, draft, &claimed);
        let Command::Claimed { step, attempt, fence, .. } = claimed else { return Decided::Changed(false) };
        self.say(driver, draft, &Command::Finish { step, attempt, fence, outcome: end_of(row) })
    }
}

impl Driver {
    /// The store has told of claims: what they are of runs from here on.
    pub(crate) fn learn(&mut self, claims: &[ClaimRow]) {
        self.inputs.extend(claims.iter().map(|claim| Input::Command(claimed(claim), None)));
    }

    /// Asks to be told when something may have been delivered, as long as something is executed elsewhere. What was delivered
    /// before is looked for at once.
    pub(crate) fn watch_the_inbox(&mut self) {
        let is_away = is_away(&self.state);
        match is_away {
            _ if is_away == self.watches => return,
            true => {
                self.shared.away().insert(self.run);
                let _ = self.own_mailbox.send(Note::Delivered);
            }
            false => drop(self.shared.away().remove(&self.run)),
        }
        self.watches = is_away;
    }

    /// Takes up what was delivered and is not taken in yet.
    pub(crate) async fn look_into_the_inbox(&mut self) {
        let Inbox { rows, unreadable } = loop {
            match self.shared.store.inbox(self.run).await {
                Ok(inbox) => break inbox,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(run = %self.run, %error, "cannot read what was delivered");
                    self.pause_before_retry().await;
                }
                // Asking again would find the same. It is asked when something has changed, and the run goes on meanwhile.
                Err(error) => break Inbox { unreadable: vec![error.to_string()], ..Inbox::default() },
            }
        };
        self.tell_unreadable(unreadable);
        if !rows.is_empty() {
            // There is room for more.
            self.unserved.clear();
        }
        for row in rows {
            let is_known = |input: &Input| matches!(input, Input::Delivered(known) if known.claim.ticket == row.claim.ticket);
            if !self.inputs.iter().any(is_known) {
                self.inputs.push(Input::Delivered(Box::new(row)));
            }
        }
    }

    /// Tells once of each row that cannot be read. It stays in the inbox, and its step what it is, until somebody mends it.
    fn tell_unreadable(&mut self, unreadable: Vec<String>) {
        for why in unreadable {
            if !self.unreadable.contains(&why) {
                tracing::warn!(run = %self.run, why, "something in the inbox cannot be read");
                self.unreadable.insert(why);
            }
        }
    }
}

impl Shared {
    /// What lies in the inbox of a run that has ended is nobody's any more: it goes, and the run's lines tell of it. Otherwise the
    /// run would be due for ever, before others.
    pub(crate) async fn drop_deliveries(&self, run: RunId) -> Result<(), StoreError> {
        let rows = self.store.inbox(run).await?.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let Some(Opened { state, .. }) = self.open(run).await? else { return Ok(()) };
        // One that was reopened meanwhile is due, and its driver takes in what is there.
        let Some((_, ended_at)) = state.head().ended else { return Ok(()) };
        let mut draft = Draft::new(&state, self.transition(), ended_at);
        let rejection = Rejection::Ended(state.status());
        for row in &rows {
            let ticket = row.claim.ticket;
            draft.remote.get_or_insert_default().taken.push(ticket);
            if state.find(ticket.unit()).is_some() {
                draft.logs.push(dropped(&ticket, self.clock.now(), &rejection.to_string()));
            }
        }
        match self.committer.submit(draft.into_member(run, &state, &[], None)).await {
            Ok(Commit::Applied) => rows.iter().for_each(|row| tell_dropped(&row.claim, &rejection)),
            answer => {
                tracing::debug!(%run, ?answer, "what lies there for a run that has ended stays for now");
            }
        }
        Ok(())
    }
}

/// Tells, for whoever looks after the store, of what was delivered and does not count.
pub(crate) fn tell_dropped(claim: &ClaimRow, why: &Rejection) {
    let ClaimRow { ticket, owner, at } = claim;
    let StepTicket { run, generation, step, item, iteration, attempt, epoch } = *ticket;
    tracing::warn!(
        %run, step = step.0, ?item, generation, iteration, attempt, epoch, %owner, claimed_at = %at, %why,
        "what was delivered does not count: dropped"
    );
}

/// The same, among the lines of its step.
fn dropped(ticket: &StepTicket, at: Timestamp, why: &str) -> LogLine {
    let StepTicket { generation, step, item, iteration, attempt, epoch, .. } = *ticket;
    let text = format!(
        "what was delivered for attempt {attempt} (generation {generation}, iteration {iteration}, epoch {epoch}) \
         does not count: {why}"
    );
    LogLine { step, item, attempt, stream: Stream::System, at, text: text.into() }
}

fn claimed(claim: &ClaimRow) -> Command {
    let ClaimRow { ticket, owner, at } = *claim;
    let (step, fence) = (ticket.unit(), Fence { epoch: ticket.epoch, owner });
    Command::Claimed { step, attempt: ticket.attempt, fence, at }
}

fn end_of(row: &InboxRow) -> Finished {
    let Some(end) = &row.end else { return Finished::Lost };
    serde_json::from_str(end).unwrap_or_else(|error| {
        let message = format!("what was delivered of its end cannot be read: {error}");
        Finished::Unknown(StepError::new(ErrorClass::Invalid, message))
    })
}
