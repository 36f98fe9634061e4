//! From what a batch changed to the rows a store writes.

use std::sync::Arc;

use crate::engine::driver::Origin;
use crate::engine::order::Terms;
use crate::engine::places::Places;
use crate::id::{RunId, TransitionId, Unit};
use crate::machine::{
    Arrival, Command, Ending, Event, Fence, Holds, Rejection, RunState, SkipReason, Slot, StepArrived,
    StepKind, StepState, WaitOn, apply_at, decide_into, is_to_stop, wake_at,
};
use crate::port::policy::Decision;
use crate::port::queue::StepTicket;
use crate::port::store::{ApprovalRow, Claim, LogLine, Member, NewOffer, NewRun, Remote, StepRow, Summary};
use crate::spec::Placement;
use crate::time::Timestamp;
use crate::value::StoredValue;

/// A member in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) transition: TransitionId,
    pub(crate) at: Timestamp,
    /// The sequence number it is decided on.
    pub(crate) expected: u64,
    pub(crate) create: Option<Box<NewRun>>,
    pub(crate) events: Vec<Event>,
    pub(crate) values: Vec<StoredValue>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) approvals: Vec<ApprovalRow>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) dead: Vec<crate::id::OwnerId>,
    pub(crate) children: Vec<Member>,
    pub(crate) remote: Option<Box<Remote>>,
    pub(crate) places: Places,
}

impl Draft {
    pub(crate) fn new(state: &RunState, transition: TransitionId, at: Timestamp) -> Self {
        Self {
            transition,
            // The clock of a new incarnation may be behind; a log's times never go back.
            at: at.max(state.head().last_at),
            expected: state.head().seq,
            create: None,
            events: Vec::new(),
            values: Vec::new(),
            decisions: Vec::new(),
            approvals: Vec::new(),
            logs: Vec::new(),
            dead: Vec::new(),
            children: Vec::new(),
            remote: None,
            places: Places::before(state),
        }
    }

    /// Decides a command, applies what follows, and takes it up. Tells whether anything does.
    pub(crate) fn say(&mut self, state: &mut RunState, command: &Command) -> Result<bool, Rejection> {
        let from = self.events.len();
        decide_into(state, command, self.at, &mut self.events)?;
        self.apply_from(state, from);
        Ok(self.events.len() > from)
    }

    /// Applies an event that no command leads to, and takes it up.
    pub(crate) fn take(&mut self, state: &mut RunState, event: Event) {
        self.events.push(event);
        self.apply_from(state, self.events.len() - 1);
    }

    fn apply_from(&mut self, state: &mut RunState, from: usize) {
        for event in &self.events[from..] {
            if let Event::StepWithdrawn(withdrawn) = event {
                let ticket = ticket(state, withdrawn.step, withdrawn.attempt, withdrawn.epoch);
                let remote = self.remote.get_or_insert_default();
                // What this very member would offer is not there to be taken back.
                match remote.offers.iter().position(|offer| offer.ticket == ticket) {
                    Some(at) => drop(remote.offers.remove(at)),
                    None => remote.withdrawn.push(ticket),
                }
            }
            if let Event::StepClaimed(claimed) = event
                && let StepState::Offered { task: true, .. } = state.slot(claimed.step).state
            {
                let ticket = ticket(state, claimed.step, claimed.attempt, claimed.epoch);
                self.remote.get_or_insert_default().claims.push(Claim { ticket, owner: claimed.owner });
            }
            if let Some(row) = approval_row(state, event, self.at) {
                self.approvals.push(row);
            }
            if let Event::DriverTaken(_) = event {
                self.places.taken();
            }
            let before = held(state, event.unit());
            if let Err(illegal) = apply_at(state, state.head().seq + 1, self.at, event) {
                // `decide` and `apply` disagree: a defect of ours that must not reach a store.
                unreachable!("{illegal}: decided {event:?}");
            }
            let now = held(state, event.unit());
            if before != now {
                self.places.moved(event.unit().unwrap_or(Unit::RUN), before, now);
            }
        }
    }

    /// Offers the attempt that the state says is offered.
    pub(crate) fn offer(&mut self, state: &RunState, step: Unit, placement: &Placement, terms: Terms) {
        let slot = state.slot(step);
        let ticket = ticket(state, step, slot.attempts, slot.epoch);
        let Placement { queue, labels } = placement.clone();
        let Terms { order, value, priority, task } = terms;
        self.values.extend(value);
        let offer = NewOffer { ticket, queue, labels, order, priority, task };
        self.remote.get_or_insert_default().offers.push(offer);
    }

    /// Makes room for what the beginnings of so many attempts usually come to.
    pub(crate) fn reserve(&mut self, attempts: usize) {
        self.events.reserve(attempts);
        self.decisions.reserve(attempts);
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.remote.is_none()
    }

    /// The member; `touched` are the steps it changes.
    pub(crate) fn into_member(
        mut self,
        run: RunId,
        state: &RunState,
        touched: &[Unit],
        driver: Option<Fence>,
    ) -> Member {
        let mut steps = Vec::with_capacity(touched.len());
        for step in touched {
            if let Some(ticket) = stopped(state, *step) {
                self.remote.get_or_insert_default().stops.push(ticket);
            }
            if let Some(row) = step_row(state, *step) {
                steps.push(row);
            }
        }
        Member {
            run,
            expected: self.expected,
            transition: self.transition,
            driver,
            dead: self.dead,
            create: self.create,
            at: self.at,
            summary: summary(state),
            steps,
            events: self.events,
            values: self.values,
            decisions: self.decisions,
            approvals: self.approvals,
            logs: self.logs,
            children: self.children,
            remote: self.remote,
            admission: None,
        }
    }
}

/// What a step or item holds under keys, or the run itself.
fn held(state: &RunState, unit: Option<Unit>) -> Holds {
    match unit {
        Some(unit) => state.find(unit).map_or(Holds::NONE, Slot::held).clone(),
        None => state.held(),
    }
}

/// The name of a right that was offered.
fn ticket(state: &RunState, unit: Unit, attempt: u32, epoch: u64) -> StepTicket {
    StepTicket {
        run: state.run(),
        generation: state.head().generation,
        step: unit.step,
        item: unit.item(),
        iteration: state.slot(unit).iterations(),
        attempt,
        epoch,
    }
}

/// The right of whoever executes a step elsewhere, and is to stop.
fn stopped(state: &RunState, unit: Unit) -> Option<StepTicket> {
    match state.find(unit)?.state {
        StepState::Running { attempt, fence, remote: true, .. } if is_to_stop(state, unit) => {
            Some(ticket(state, unit, attempt, fence.epoch))
        }
        _ => None,
    }
}

/// A user's command decided outside a driver: a member fenced by the sequence number alone.
pub(crate) fn outsiders_member(
    state: &mut RunState,
    command: &Command,
    transition: TransitionId,
    now: Timestamp,
    origin: &Origin,
) -> Result<Option<Member>, Rejection> {
    let mut draft = Draft::new(state, transition, now);
    state.take_touched();
    if !draft.say(state, command)? {
        return Ok(None);
    }
    let touched = state.take_touched();
    let admission = std::mem::take(&mut draft.places).admission(state, origin);
    Ok(Some(Member { admission, ..draft.into_member(state.run(), state, &touched, None) }))
}

/// The changing part of a run's row.
pub(crate) fn summary(state: &RunState) -> Summary {
    let head = state.head();
    Summary {
        status: state.status(),
        intent: head.intent,
        generation: head.generation,
        driver: head.driver,
        driver_epoch: head.driver_epoch,
        due_at: wake_at(state),
        started_at: head.started_at,
        finished_at: head.ended.map(|(_, at)| at),
        outputs: head.outputs.clone(),
        error: match head.ended {
            Some((Ending::Failed, _)) => head.error.as_ref().map(|error| error.message.clone()),
            _ => None,
        },
        done: state.done(),
    }
}

/// A step's row; `None` as long as nothing has happened to it.
fn step_row(state: &RunState, unit: Unit) -> Option<StepRow> {
    let gone;
    let slot = match state.find(unit) {
        Some(slot) => slot,
        // An item that is no longer there: the list was made anew, and is shorter.
        None => {
            gone = Slot::new(StepState::Skipped { reason: SkipReason::Superseded });
            &gone
        }
    };
    let untouched = matches!(slot.state.kind(), StepKind::Pending | StepKind::Ready);
    if untouched && slot.attempts == 0 && state.head().generation == 1 {
        return None;
    }
    let not_needed = slot.state == StepState::Skipped { reason: SkipReason::NotNeeded };
    if not_needed && slot.attempts == 0 && state.head().generation == 1 {
        return None;
    }
    let (output, error) = match &slot.state {
        StepState::Succeeded { output } => (Some(output.clone()), None),
        StepState::Failed { error } => (None, Some(error.message.clone())),
        _ => (None, None),
    };
    Some(StepRow {
        step: unit.step,
        item: unit.item(),
        name: state.spec(unit).name.clone(),
        status: slot.state.shown(),
        attempts: slot.attempts,
        epoch: slot.epoch,
        owner: match &slot.state {
            StepState::Running { fence, .. } => Some(fence.owner),
            _ => None,
        },
        effect: slot.effect.map(crate::spec::EffectClass::as_str),
        due_at: match &slot.state {
            StepState::Backoff { until } => Some(*until),
            StepState::Waiting { until, .. } => *until,
            _ => None,
        },
        started_at: slot.began_at,
        finished_at: slot.ended_at,
        output,
        error,
    })
}

/// What an event does to an approval: opens it, or settles the one its step waits for.
fn approval_row(before: &RunState, event: &Event, at: Timestamp) -> Option<ApprovalRow> {
    if let Event::StepWaiting(waiting) = event {
        return open_approval(before, waiting.step, waiting.attempt, &waiting.on, at, waiting.until);
    }
    if before.count(StepKind::Waiting) == 0 {
        return None;
    }
    let step = event.unit()?;
    let StepState::Waiting { attempt, on, since, until } = &before.slot(step).state else { return None };
    let open = open_approval(before, step, *attempt, on, *since, *until)?;
    let (status, by, via, comment) = settled(event)?;
    Some(ApprovalRow { status, decided_at: Some(at), by, via, comment, ..open })
}

/// The row of an approval that is asked for; `None` if the step waits for something else.
fn open_approval(
    state: &RunState,
    unit: Unit,
    attempt: u32,
    on: &WaitOn,
    asked_at: Timestamp,
    expires_at: Option<Timestamp>,
) -> Option<ApprovalRow> {
    let WaitOn::Approval { digest, message, show, .. } = on else { return None };
    Some(ApprovalRow {
        run: state.run(),
        step: unit.step,
        item: unit.item(),
        name: state.spec(unit).name.clone(),
        attempt,
        digest: *digest,
        message: message.clone(),
        show: show.clone(),
        status: "open",
        asked_at,
        expires_at,
        decided_at: None,
        by: None,
        via: None,
        comment: None,
    })
}

type Settled = (&'static str, Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>);

fn settled(event: &Event) -> Option<Settled> {
    Some(match event {
        Event::StepArrived(StepArrived {
            arrival: Arrival::Decision { approved, by, via, comment }, ..
        }) => {
            let status = if *approved { "approved" } else { "rejected" };
            (status, Some(by.clone()), Some(via.clone()), comment.clone())
        }
        Event::StepFailed(failed) if failed.error.class == crate::spec::retry::ErrorClass::Denied => {
            ("rejected", None, None, Some(failed.error.message.clone()))
        }
        Event::StepArrived(_) | Event::StepFailed(_) => ("expired", None, None, None),
        Event::StepCancelled(_) => ("void", None, None, None),
        _ => return None,
    })
}
