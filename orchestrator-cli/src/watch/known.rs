//! What is known of a run's steps, from its events alone: each is read once, however long the run is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orchestrator_core::id::{StepIx, Unit};
use orchestrator_core::machine::{AfterLoss, Ending, Event, Recorded, WaitOn};
use orchestrator_core::time::Timestamp;

use crate::graph::Tally;
use crate::names::Names;
use crate::progress::began;

/// How many steps that have ended are remembered in their order.
const RECENT: usize = 100;

/// A step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    pub(crate) status: &'static str,
    pub(crate) attempts: u32,
    /// When its latest attempt began.
    pub(crate) began: Option<Timestamp>,
    /// When that attempt, or its waiting, came to an end.
    pub(crate) ended: Option<Timestamp>,
}

/// A run's steps, as its events have told so far.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) names: Names,
    steps: BTreeMap<Unit, Step>,
    pub(crate) tally: Tally,
    /// In the order in which they began.
    pub(crate) running: BTreeSet<(Timestamp, Unit)>,
    /// What waits: for somebody, for a time, for its next attempt.
    pub(crate) waiting: BTreeSet<Unit>,
    /// The latest last.
    pub(crate) failed: VecDeque<Unit>,
    /// The latest last.
    pub(crate) done: VecDeque<Unit>,
    /// The number of the last event.
    pub(crate) seq: u64,
}

impl Known {
    /// A run of which nothing has happened yet.
    pub(crate) fn new(names: Names) -> Self {
        let pending = Step { status: "pending", ..Step::default() };
        let steps = (0u32..).zip(names.iter()).map(|(step, _)| (StepIx(step).into(), pending.clone()));
        let steps: BTreeMap<Unit, Step> = steps.collect();
        let mut tally = Tally::default();
        steps.values().for_each(|step| tally.add(Some(step.status)));
        Self {
            names,
            steps,
            tally,
            running: BTreeSet::new(),
            waiting: BTreeSet::new(),
            failed: VecDeque::new(),
            done: VecDeque::new(),
            seq: 0,
        }
    }

    /// A step.
    pub(crate) fn step(&self, ix: Unit) -> Step {
        self.steps.get(&ix).cloned().unwrap_or_default()
    }

    /// How many steps there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// How many have ended.
    pub(crate) fn ended(&self) -> usize {
        let ended = |(state, count): &(&str, usize)| {
            matches!(*state, "completed" | "failed" | "skipped" | "cancelled").then_some(*count)
        };
        self.tally.states().iter().filter_map(ended).sum()
    }

    /// Takes in what has happened.
    pub(crate) fn apply(&mut self, recorded: &Recorded) {
        self.seq = recorded.seq;
        if let Event::RunReopened(event) = &recorded.event {
            for step in &event.steps {
                self.turn(*step, "pending", recorded.at);
            }
        }
        let (Some(ix), Some(status)) = (recorded.event.unit(), status_after(&recorded.event)) else { return };
        self.turn(ix, status, recorded.at);
        if let Event::StepExpanded(event) = &recorded.event {
            (0..event.count).for_each(|item| self.turn(Unit::item_of(ix.step, item), "pending", recorded.at));
        }
        let step = self.steps.entry(ix).or_default();
        if let Event::StepBegun(_) | Event::StepClaimed(_) | Event::StepExpanded(_) = &recorded.event {
            step.began = Some(began(recorded));
        }
        step.attempts = recorded.event.attempt().unwrap_or(step.attempts);
        step.ended = match status {
            "running" | "waiting" => None,
            _ => step.began.map(|_| recorded.at),
        };
        if status == "running" {
            self.running.insert((step.began.unwrap_or(recorded.at), ix));
        }
    }

    /// Moves a step from where it stood to where it stands.
    fn turn(&mut self, ix: Unit, status: &'static str, at: Timestamp) {
        let tally = &mut self.tally;
        let step = self.steps.entry(ix).or_insert_with(|| {
            tally.add(Some("pending"));
            Step { status: "pending", ..Step::default() }
        });
        self.tally.remove(step.status);
        self.tally.add(Some(status));
        self.running.remove(&(step.began.unwrap_or(at), ix));
        self.waiting.remove(&ix);
        if step.status == "failed" {
            self.failed.retain(|failed| *failed != ix);
        }
        step.status = status;
        let ended = match status {
            "queued" | "waiting" | "outcome_unknown" | "blocked" => {
                self.waiting.insert(ix);
                return;
            }
            "failed" => &mut self.failed,
            "completed" | "skipped" | "cancelled" => &mut self.done,
            _ => return,
        };
        ended.push_back(ix);
        if ended.len() > RECENT {
            ended.pop_front();
        }
    }
}

/// The status of a step after an event that speaks of it, in the words of the JSON shapes.
fn status_after(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::StepBegun(_) | Event::StepContinued(_) | Event::StepClaimed(_) | Event::StepExpanded(_) => {
            "running"
        }
        Event::StepCollected(event) => match event.status {
            Ending::Completed => "completed",
            Ending::Failed => "failed",
            Ending::Cancelled => "cancelled",
        },
        Event::StepSucceeded(_) => "completed",
        Event::StepFailed(event) if event.retry_at.is_some() => "queued",
        Event::StepFailed(_) => "failed",
        Event::StepLost(event) => match event.then {
            AfterLoss::Unknown => "outcome_unknown",
            AfterLoss::Quarantine => "blocked",
            AfterLoss::Fail => "failed",
            AfterLoss::Cancel => "cancelled",
            _ => "queued",
        },
        Event::StepOutcomeUnknown(_) => "outcome_unknown",
        Event::StepWaiting(event) if matches!(event.on, WaitOn::Qa { .. }) => "needs_qa",
        Event::StepWaiting(_) => "waiting",
        Event::StepSkipped(_) => "skipped",
        Event::StepCancelled(_) => "cancelled",
        Event::StepResolved(event) if event.output.is_some() => "completed",
        Event::StepInterrupted(_)
        | Event::StepOffered(_)
        | Event::StepParked(_)
        | Event::StepWithdrawn(_)
        | Event::StepIterated(_)
        | Event::StepRepeated(_)
        | Event::StepArrived(_)
        | Event::StepDue(_)
        | Event::StepResolved(_) => "queued",
        _ => return None,
    })
}
