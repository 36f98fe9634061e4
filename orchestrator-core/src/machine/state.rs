//! The state of a run: a fold over its events. All of it is derived; none of it is stored as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{OwnerId, RunId, Unit};
use crate::machine::change::Undo;
use crate::machine::ending::Ending;
use crate::machine::entry::Entry;
use crate::machine::failure::StepError;
use crate::machine::fan::Fan;
use crate::machine::index::Index;
use crate::machine::inside::Inside;
use crate::machine::kind::StepKind;
use crate::machine::positions::Positions;
use crate::machine::signals::Kept;
use crate::machine::slot::Slot;
use crate::machine::stage::Verdict;
use crate::machine::step_state::StepState;
use crate::plan::Plan;
use crate::spec::expr::Standing;
use crate::spec::{Stage, StepSpec, Workflow};
use crate::time::Timestamp;
use crate::value::ValueRef;

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

/// How far the run is, apart from its steps. Small: the undo log keeps a copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Number of the last event.
    pub seq: u64,
    /// What people want.
    pub intent: Intent,
    /// Which part of the workflow it is in.
    pub stage: Stage,
    /// How the steps proper have ended, once the run is past them.
    pub verdict: Option<Arc<Verdict>>,
    /// When this generation began, or is to begin.
    pub since: Timestamp,
    /// When the run is to begin, until that time has come.
    pub not_before: Option<Timestamp>,
    /// The place that it needs before anything of it begins, if its author bounds how many are under way.
    pub entry: Option<Entry>,
    /// The keys under which the runs above it hold places, and the steps that they carry out.
    pub within: Option<Arc<[Arc<str>]>>,
    /// What is wrong, once the steps proper have missed their deadline.
    pub overdue: Option<Arc<StepError>>,
    /// Whether what comes after the steps proper is to stop too.
    pub aborted: bool,
    /// How many of the compensations, in their order, have ended.
    pub(crate) undone: u32,
    /// 1, and one more with every reopening.
    pub generation: u32,
    /// Who has paused it, while it is paused.
    pub held_by: Option<Arc<str>>,
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
    /// The signals that no step has taken yet.
    pub(crate) signals: Kept,
    /// The steps whose runs go on where earlier ones have been, in order. Those that have begun no longer count.
    pub(crate) inside: Option<Arc<[Inside]>>,
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
    /// The steps, in the order of the text; then the items, fan by fan.
    pub(crate) slots: Vec<Slot>,
    pub(crate) fans: Vec<Fan>,
    pub(crate) index: Index,
    pub(crate) undo: Undo,
    pub(crate) touched: Positions,
}

impl RunState {
    /// The state before the first event.
    #[must_use]
    pub fn new(run: RunId, workflow: Arc<Workflow>, plan: Arc<Plan>) -> Self {
        let head = Head {
            seq: 0,
            intent: Intent::Proceed,
            stage: Stage::Main,
            verdict: None,
            since: Timestamp::default(),
            not_before: None,
            entry: None,
            within: None,
            overdue: None,
            aborted: false,
            undone: 0,
            generation: 1,
            held_by: None,
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
            signals: Kept::default(),
            inside: None,
        };
        let mut state = Self {
            run,
            slots: Vec::with_capacity(plan.len()),
            fans: Vec::new(),
            workflow,
            plan,
            head,
            index: Index::default(),
            undo: Undo::default(),
            touched: Positions::default(),
        };
        for step in state.plan.steps() {
            let spec = state.workflow.step(step);
            let stage = state.workflow.stages.of(step);
            // What comes after the steps proper misses one need more: that the run gets there.
            let missing = spec.needs.len() as u32 + u32::from(stage != Stage::Main);
            let place = if missing == 0 { StepState::Ready } else { StepState::Pending { missing } };
            let slot = Slot { tolerated: spec.options().continue_on_error, stage, ..Slot::new(place) };
            state.index.enter(step.0, &slot);
            state.slots.push(slot);
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

    /// A step of it, or an item.
    ///
    /// # Panics
    /// If there is no such step or item: see [`RunState::find`].
    #[must_use]
    pub fn slot(&self, unit: impl Into<Unit>) -> &Slot {
        let unit = unit.into();
        // Documented: callers have the unit from this state.
        let at = self.place(unit).unwrap_or_else(|| panic!("there is no step {unit:?}"));
        &self.slots[at as usize]
    }

    /// A step of it, or an item; `None` if there is no such step or item.
    #[must_use]
    pub fn find(&self, unit: Unit) -> Option<&Slot> {
        self.place(unit).map(|at| &self.slots[at as usize])
    }

    /// What the author has written of a step.
    ///
    /// # Panics
    /// If the step is not of this run's workflow.
    #[must_use]
    pub fn spec(&self, unit: Unit) -> &StepSpec {
        self.workflow.step(unit.step)
    }

    /// All its steps and items; the items after the steps.
    pub fn slots(&self) -> impl Iterator<Item = (Unit, &Slot)> {
        let all = (0u32..).zip(&self.slots).map(|(at, slot)| (self.unit_at(at), at, slot));
        all.filter(|(unit, at, _)| self.place(*unit) == Some(*at)).map(|(unit, _, slot)| (unit, slot))
    }

    /// The steps and items to prepare or to continue.
    pub fn actionable(&self) -> impl Iterator<Item = Unit> {
        self.index.actionable.iter().map(|at| self.unit_at(at))
    }

    /// The first step or item to prepare or to continue; or the next one behind this, which is one itself.
    pub(crate) fn actionable_behind(&self, unit: Option<Unit>) -> Option<Unit> {
        let first = match unit {
            Some(unit) => self.place(unit)? as usize + 1,
            None => 0,
        };
        // They went in as 32 bits.
        self.index.actionable.from(first).map(|at| self.unit_at(at as u32))
    }

    /// How many steps and items there are to prepare or to continue.
    #[must_use]
    pub fn actionable_count(&self) -> usize {
        self.index.actionable.len()
    }

    /// How many steps and items are in a state.
    #[must_use]
    pub fn count(&self, kind: StepKind) -> u32 {
        self.index.counts[kind as usize]
    }

    /// How many steps and items wait for the run that carries them out.
    #[must_use]
    pub fn children(&self) -> usize {
        self.index.children.len()
    }

    /// How many steps have ended.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.index.ended_steps
    }

    /// The status shown to users: how far the run is and what is wanted of it, as one word.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if let Some((ending, _)) = self.head.ended {
            return ending.as_str();
        }
        if self.head.intent == Intent::Pause {
            "paused"
        } else if self.is_blocked() {
            "blocked"
        } else if self.head.stage == Stage::Compensation {
            "compensating"
        } else if self.head.started_at.is_some() && self.has_entered() {
            "running"
        } else {
            "pending"
        }
    }

    /// Whether nothing more happens to any step of this stage in this generation, so that the next can begin or the run
    /// can end. A cancelled run ends even where an outcome is unknown; the step keeps saying so. One that has missed its
    /// deadline does not: what it has done may have to be undone.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let stage = self.head.stage;
        let left_open = if self.is_cancelled(stage) { self.index.unknown[stage as usize] } else { 0 };
        self.index.open[stage as usize] == left_open
    }

    /// Whether every step has completed, was skipped, or has failed with the author's leave.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let rejected = self.verdict().is_some_and(|verdict| verdict.status != Ending::Completed);
        self.is_settled() && !self.has_stopped() && self.index.failed_steps() == 0 && !rejected
    }

    /// What the status functions answer for a step. After the steps proper they speak of those too. Costs O(needs).
    #[must_use]
    pub fn standing(&self, unit: Unit) -> Standing {
        let mut standing =
            Standing { success: true, failure: false, cancelled: self.head.intent == Intent::Cancel };
        if self.is_ready_and_all_is_well(self.slot(unit)) {
            return standing;
        }
        standing.success = self.needs_completed(unit);
        standing.failure = self.spec(unit).needs.iter().any(|need| self.slots[need.index()].tainted);
        if let Some(verdict) = self.verdict() {
            standing.success &= verdict.status == Ending::Completed;
            standing.failure |= verdict.status == Ending::Failed;
        }
        standing
    }

    /// Where everything that has ended has succeeded, so have the needs of what is ready: nothing to look up.
    fn is_ready_and_all_is_well(&self, slot: &Slot) -> bool {
        let unlike =
            self.count(StepKind::Failed) + self.count(StepKind::Skipped) + self.count(StepKind::Cancelled);
        unlike == 0 && slot.state == StepState::Ready && slot.stage != Stage::Compensation
    }

    /// Whether a ready step may begin: everything it needs has completed, or it judges that itself. Costs O(needs).
    #[must_use]
    pub fn may_begin(&self, unit: Unit) -> bool {
        self.spec(unit).judges_its_needs() || self.needs_completed(unit)
    }

    fn needs_completed(&self, unit: Unit) -> bool {
        let slot = self.slot(unit);
        match slot.stage {
            Stage::Compensation => self.was_undone_before(unit),
            _ if self.is_ready_and_all_is_well(slot) => true,
            _ => self.spec(unit).needs.iter().all(|need| self.slots[need.index()].has_completed()),
        }
    }

    /// Whether every open step waits for a person.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.index.children.is_empty() && self.is_blocked_beside_children()
    }

    /// Whether every open step waits for a person or for the run that carries it out.
    #[must_use]
    pub fn is_blocked_beside_children(&self) -> bool {
        self.head.ended.is_none()
            && self.index.actionable.is_empty()
            && self.index.running.is_empty()
            && self.index.away.is_empty()
            && self.count(StepKind::Backoff) == 0
            && self.count(StepKind::Parked) == 0
            && self.index.moments == 0
            && (self.count(StepKind::Waiting)
                + self.count(StepKind::OutcomeUnknown)
                + self.count(StepKind::Quarantined)
                > 0
                || !self.index.tasks.is_empty())
    }

    /// The steps and items whose state has changed since the last call, in the order of the text, items after steps; a
    /// change that was taken back counts too.
    pub fn take_touched(&mut self) -> Vec<Unit> {
        let touched = self.touched.drain();
        touched.into_iter().map(|at| self.unit_at(at)).collect()
    }
}
