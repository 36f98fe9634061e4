//! The state of a run: a fold over its events. All of it is derived; none of it is stored as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{OwnerId, RunId, StepIx};
use crate::machine::command::Fence;
use crate::machine::event::{Arrival, Ending, StepError, WaitOn};
use crate::machine::index::Index;
use crate::machine::kind::StepKind;
use crate::machine::step_set::StepSet;
use crate::plan::Plan;
use crate::spec::expr::Standing;
use crate::spec::{EffectClass, Workflow};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// What people want of a run; orthogonal to how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Go on.
    Proceed,
    /// Begin nothing new; let what is running end.
    Pause,
    /// Stop.
    Cancel,
}

/// Why a step was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// Its `if` is false.
    Condition,
    /// A step it needs has not completed.
    Need,
}

/// Where a step is, with what that place needs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StepState {
    /// Some of its needs have not ended.
    Pending {
        /// How many.
        missing: u32,
    },
    /// Its needs have ended; it is to be prepared and begun.
    Ready,
    /// An attempt is executed.
    Running {
        /// The attempt.
        attempt: u32,
        /// By whom, and under which right.
        fence: Fence,
        /// What the attempt waited for, if it has waited.
        arrival: Option<Arc<Arrival>>,
    },
    /// An attempt has failed, and the next one is not due yet.
    Backoff {
        /// When it is due.
        until: Timestamp,
    },
    /// It waits, without a slot.
    Waiting {
        /// The attempt that waits; 0 if the policy asks before one is begun.
        attempt: u32,
        /// For what.
        on: Arc<WaitOn>,
        /// Since when.
        since: Timestamp,
        /// When waiting ends.
        until: Option<Timestamp>,
    },
    /// What it waited for has come; the attempt is to go on.
    Arrived {
        /// The attempt.
        attempt: u32,
        /// What has come.
        arrival: Arc<Arrival>,
    },
    /// Nobody knows whether the attempt has had its effect.
    OutcomeUnknown {
        /// The attempt.
        attempt: u32,
    },
    /// It has killed its executor too often to be tried again unasked.
    Quarantined {
        /// The attempt.
        attempt: u32,
        /// What the attempt had waited for, if it had waited: nobody is asked for it again.
        arrival: Option<Arc<Arrival>>,
    },
    /// It has done its work.
    Succeeded {
        /// What it gave.
        output: ValueRef,
    },
    /// It has failed for good.
    Failed {
        /// Why.
        error: Arc<StepError>,
    },
    /// It did not begin, and will not.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// It was stopped, or never began, because the run was cancelled.
    Cancelled,
}

impl StepState {
    /// Its name.
    #[must_use]
    pub const fn kind(&self) -> StepKind {
        match self {
            Self::Pending { .. } => StepKind::Pending,
            Self::Ready => StepKind::Ready,
            Self::Running { .. } => StepKind::Running,
            Self::Backoff { .. } => StepKind::Backoff,
            Self::Waiting { .. } => StepKind::Waiting,
            Self::Arrived { .. } => StepKind::Arrived,
            Self::OutcomeUnknown { .. } => StepKind::OutcomeUnknown,
            Self::Quarantined { .. } => StepKind::Quarantined,
            Self::Succeeded { .. } => StepKind::Succeeded,
            Self::Failed { .. } => StepKind::Failed,
            Self::Skipped { .. } => StepKind::Skipped,
            Self::Cancelled => StepKind::Cancelled,
        }
    }

    /// Whether nothing more happens to the step in this generation.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.kind().is_terminal()
    }

    /// The word shown to users.
    #[must_use]
    pub const fn shown(&self) -> &'static str {
        self.kind().shown()
    }
}

/// A step in a run: where it is, and what it remembers across attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Where it is.
    pub state: StepState,
    /// The right last given out for it; strictly increasing for ever.
    pub epoch: u64,
    /// Attempts begun, across generations: the number of the latest.
    pub attempts: u32,
    /// Recorded failures of this generation.
    pub failures: u16,
    /// Attempts of this generation of which nobody could say how they ended: lost with their executor, or reported so.
    /// One that someone has settled as not applied no longer counts.
    pub losses: u16,
    /// The effect class of the latest attempt.
    pub effect: Option<EffectClass>,
    /// When the latest attempt began.
    pub began_at: Option<Timestamp>,
    /// When the step ended.
    pub ended_at: Option<Timestamp>,
    /// Whether it has failed, or a step it depends on has: what `failure()` answers downstream.
    pub tainted: bool,
    /// The request of this generation; every attempt sends the same bytes.
    pub request: Option<ValueRef>,
    /// The digest a person has granted.
    pub granted: Option<Box<Digest>>,
}

/// How far the run is, apart from its steps. Small: the undo log keeps a copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Number of the last event.
    pub seq: u64,
    /// What people want.
    pub intent: Intent,
    /// 1, and one more with every reopening.
    pub generation: u32,
    /// Who drives the run.
    pub driver: Option<OwnerId>,
    /// The right last given to a driver.
    pub driver_epoch: u64,
    /// When the run was created.
    pub created_at: Timestamp,
    /// When its last event was committed.
    pub last_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// How and when it ended.
    pub ended: Option<(Ending, Timestamp)>,
    /// Its outputs, if it completed.
    pub outputs: Option<ValueRef>,
    /// What went wrong with the run itself, if something did.
    pub error: Option<Arc<StepError>>,
    /// Its inputs.
    pub inputs: ValueRef,
    /// Who started it.
    pub by: Arc<str>,
}

/// The state of a run.
///
/// Changed by [`crate::machine::apply`] alone.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(crate) run: RunId,
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) head: Head,
    pub(crate) slots: Vec<Slot>,
    pub(crate) index: Index,
    pub(crate) undo: Undo,
    pub(crate) touched: StepSet,
}

/// How to take back what was applied since [`RunState::begin_scratch`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Undo {
    /// The head as it was; `None` while no scratch is open.
    from: Option<Head>,
    /// What the steps were, in order of change. Empty while no scratch is open; keeps its room for the next.
    before: Vec<(StepIx, Before)>,
}

/// What a change of a step has replaced.
#[derive(Debug, Clone)]
enum Before {
    /// All of it.
    Slot(Slot),
    /// It missed one need more.
    OneMoreMissing,
}

impl RunState {
    /// The state before the first event.
    #[must_use]
    pub fn new(run: RunId, workflow: Arc<Workflow>, plan: Arc<Plan>) -> Self {
        let head = Head {
            seq: 0,
            intent: Intent::Proceed,
            generation: 1,
            driver: None,
            driver_epoch: 0,
            created_at: Timestamp::default(),
            last_at: Timestamp::default(),
            started_at: None,
            ended: None,
            outputs: None,
            error: None,
            inputs: ValueRef::null(),
            by: Arc::from(""),
        };
        let mut state = Self {
            run,
            slots: Vec::with_capacity(plan.len()),
            workflow,
            plan,
            head,
            index: Index::default(),
            undo: Undo::default(),
            touched: StepSet::default(),
        };
        for step in state.plan.steps() {
            let missing = state.workflow.step(step).needs.len() as u32;
            let place = if missing == 0 { StepState::Ready } else { StepState::Pending { missing } };
            state.index.enter(step, &place);
            state.slots.push(Slot {
                state: place,
                epoch: 0,
                attempts: 0,
                failures: 0,
                losses: 0,
                effect: None,
                began_at: None,
                ended_at: None,
                tainted: false,
                request: None,
                granted: None,
            });
        }
        state
    }

    /// The run.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// The workflow it is pinned to.
    #[must_use]
    pub const fn workflow(&self) -> &Arc<Workflow> {
        &self.workflow
    }

    /// The plan of its steps.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// How far it is, apart from its steps.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// A step of it.
    ///
    /// # Panics
    /// If `step` is not of this run's workflow.
    #[must_use]
    pub fn slot(&self, step: StepIx) -> &Slot {
        &self.slots[step.index()]
    }

    /// All its steps.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = (StepIx, &Slot)> {
        self.slots.iter().enumerate().map(|(ix, slot)| (StepIx(ix as u32), slot))
    }

    /// The steps to prepare or to continue, in the order of the text.
    pub fn actionable(&self) -> impl Iterator<Item = StepIx> {
        self.index.actionable.iter()
    }

    /// How many steps are in a state.
    #[must_use]
    pub fn count(&self, kind: StepKind) -> u32 {
        self.index.counts[kind as usize]
    }

    /// How many steps have ended.
    #[must_use]
    pub fn done(&self) -> u32 {
        use StepKind::{Cancelled, Failed, Skipped, Succeeded};
        [Succeeded, Failed, Skipped, Cancelled].into_iter().map(|kind| self.count(kind)).sum()
    }

    /// The status shown to users: how far the run is and what is wanted of it, as one word.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if let Some((ending, _)) = self.head.ended {
            return match ending {
                Ending::Completed => "completed",
                Ending::Failed => "failed",
                Ending::Cancelled => "cancelled",
            };
        }
        if self.head.intent == Intent::Pause {
            "paused"
        } else if self.is_blocked() {
            "blocked"
        } else if self.head.started_at.is_some() {
            "running"
        } else {
            "pending"
        }
    }

    /// Whether nothing more happens to any step in this generation, so that the run can end. A cancelled run ends
    /// even where an outcome is unknown; the step keeps saying so.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let unknown = self.count(StepKind::OutcomeUnknown);
        let settled = self.done() + if self.head.intent == Intent::Cancel { unknown } else { 0 };
        settled as usize == self.slots.len()
    }

    /// What the status functions answer for a step. Costs O(needs).
    #[must_use]
    pub fn standing(&self, step: StepIx) -> Standing {
        let mut standing =
            Standing { success: true, failure: false, cancelled: self.head.intent == Intent::Cancel };
        for need in &self.workflow.step(step).needs {
            let need = self.slot(*need);
            standing.success &= matches!(need.state, StepState::Succeeded { .. });
            standing.failure |= need.tainted;
        }
        standing
    }

    /// Whether every open step waits for a person.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.head.ended.is_none()
            && self.index.actionable.is_empty()
            && self.index.running.is_empty()
            && self.count(StepKind::Backoff) == 0
            && self.index.moments == 0
            && (self.count(StepKind::Waiting)
                + self.count(StepKind::OutcomeUnknown)
                + self.count(StepKind::Quarantined)
                > 0)
    }

    /// Keeps what is applied from here on reversible, until [`RunState::keep`] or [`RunState::take_back`].
    pub fn begin_scratch(&mut self) {
        debug_assert!(self.undo.from.is_none(), "a scratch is open already");
        self.undo.from = Some(self.head.clone());
    }

    /// Keeps what was applied since [`RunState::begin_scratch`].
    pub fn keep(&mut self) {
        self.undo.from = None;
        self.undo.before.clear();
    }

    /// Takes back what was applied since [`RunState::begin_scratch`]. Costs what was applied, not what there is.
    pub fn take_back(&mut self) {
        let Some(head) = self.undo.from.take() else { return };
        for (step, before) in std::mem::take(&mut self.undo.before).into_iter().rev() {
            match before {
                Before::Slot(slot) => self.change(step, |now| *now = slot),
                Before::OneMoreMissing => {
                    if let StepState::Pending { missing } = &mut self.slots[step.index()].state {
                        *missing += 1;
                    }
                }
            }
        }
        self.head = head;
    }

    /// The steps whose state has changed since the last call, in the order of the text; a change that was taken back
    /// counts too.
    pub fn take_touched(&mut self) -> Vec<StepIx> {
        self.touched.drain()
    }

    /// Changes a step in its place.
    pub(crate) fn change<T>(&mut self, step: StepIx, change: impl FnOnce(&mut Slot) -> T) -> T {
        let slot = &mut self.slots[step.index()];
        if self.undo.from.is_some() {
            self.undo.before.push((step, Before::Slot(slot.clone())));
        }
        self.index.leave(step, &slot.state);
        let changed = change(slot);
        self.index.enter(step, &slot.state);
        self.touched.insert(step);
        changed
    }

    /// One need of a pending step has ended: the step becomes ready with the last of them. Of every other nothing is to
    /// be seen from outside, so it is not touched.
    pub(crate) fn need_ended(&mut self, step: StepIx) {
        match &mut self.slots[step.index()].state {
            StepState::Pending { missing: ..=1 } => self.change(step, |slot| slot.state = StepState::Ready),
            StepState::Pending { missing } => {
                *missing -= 1;
                if self.undo.from.is_some() {
                    self.undo.before.push((step, Before::OneMoreMissing));
                }
            }
            _ => {}
        }
    }
}
