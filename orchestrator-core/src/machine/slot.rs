//! What a run remembers of one step, or of one item.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::id::RunId;
use crate::machine::hold::Holds;
use crate::machine::step_state::StepState;
use crate::spec::{EffectClass, Stage};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// A step in a run, or an item of one: where it is, and what it remembers across attempts.
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
    /// The event that ended it; 0 before.
    pub(crate) ended_seq: u64,
    /// Whether it has failed, or a step it depends on has: what `failure()` answers downstream.
    pub tainted: bool,
    /// Whether the author lets the run go on if it fails (`continue-on-error`).
    pub tolerated: bool,
    /// The stage of the workflow that it is of.
    pub stage: Stage,
    /// Whether it has ended in another run, from which this one has begun.
    pub kept: bool,
    /// Whether it is one item of a step.
    pub is_item: bool,
    /// Where the step's items are, once it has some: the position of its [`Fan`], and one more.
    pub(crate) fan: Option<NonZeroU32>,
    /// The request of this generation, or of this time of a step that is repeated; every attempt sends the same bytes.
    pub request: Option<ValueRef>,
    /// Whether it has missed its deadline: what is executed is to stop.
    pub(crate) overdue: bool,
    /// What only few steps have to remember.
    pub(crate) extra: Option<Box<Extra>>,
}

/// What few steps have to remember in a generation: the others are smaller for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Extra {
    /// How far it is, if it is repeated, once it has run.
    pub(crate) round: Option<Round>,
    /// When it is to have ended, once it has begun, if the author bounds that.
    pub(crate) due: Option<Timestamp>,
    /// The digest a person has granted.
    pub(crate) granted: Option<Digest>,
    /// The run that carries it out, or has carried it out: the latest.
    pub(crate) child: Option<RunId>,
    /// Why an earlier attempt was not good enough, for the next one.
    pub(crate) feedback: Option<Arc<str>>,
    /// What its latest attempt has taken under keys.
    pub(crate) holds: Holds,
}

/// How far a step is that is repeated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Round {
    /// How many times it has run in this generation.
    pub(crate) count: u32,
    /// What it gave the last time, until that has been judged.
    pub(crate) output: Option<ValueRef>,
}

impl Slot {
    /// A slot to which nothing has happened.
    pub(crate) const fn new(state: StepState) -> Self {
        Self {
            state,
            epoch: 0,
            attempts: 0,
            failures: 0,
            losses: 0,
            effect: None,
            began_at: None,
            ended_at: None,
            ended_seq: 0,
            tainted: false,
            tolerated: false,
            stage: Stage::Main,
            kept: false,
            is_item: false,
            fan: None,
            request: None,
            overdue: false,
            extra: None,
        }
    }

    /// What it remembers beside what every step does, to be changed.
    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Why an earlier attempt of this generation was not good enough, if one was not.
    #[must_use]
    pub fn feedback(&self) -> Option<&Arc<str>> {
        self.extra.as_ref()?.feedback.as_ref()
    }

    pub(crate) fn forget_feedback(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.feedback = None;
        }
    }

    /// The digest that a person has granted.
    #[must_use]
    pub fn granted(&self) -> Option<&Digest> {
        self.extra.as_ref()?.granted.as_ref()
    }

    pub(crate) fn forget_grant(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.granted = None;
        }
    }

    /// When it is to have ended, once it has begun, if the author bounds that.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.extra.as_ref()?.due
    }

    /// The run that carries it out in this generation, or has carried it out: the latest.
    pub(crate) fn child(&self) -> Option<RunId> {
        self.extra.as_ref()?.child
    }

    fn round(&self) -> Option<&Round> {
        self.extra.as_ref()?.round.as_ref()
    }

    /// Whether it is repeated, and has run.
    pub(crate) fn has_round(&self) -> bool {
        self.round().is_some()
    }

    /// How many times the step has run in this generation, if it is repeated.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.round().map_or(0, |round| round.count)
    }

    /// What it gave the last time, if that is to be judged.
    #[must_use]
    pub fn to_judge(&self) -> Option<&ValueRef> {
        self.round()?.output.as_ref()
    }

    /// Begins a generation in this state.
    pub(crate) fn begin_anew(&mut self, state: StepState) {
        self.state = state;
        self.ended_at = None;
        self.ended_seq = 0;
        self.failures = 0;
        self.losses = 0;
        self.tainted = false;
        self.request = None;
        self.overdue = false;
        self.kept = false;
        self.extra = None;
    }

    /// Counts on from an earlier slot of the same item: rights and attempts are counted for ever.
    pub(crate) fn go_on_from(&mut self, before: &Self) {
        (self.epoch, self.attempts) = (before.epoch, before.attempts);
        (self.began_at, self.effect) = (before.began_at, before.effect);
    }

    /// Whether those who need it may begin: it has succeeded, or failed with the author's leave.
    #[must_use]
    pub const fn has_completed(&self) -> bool {
        match self.state {
            StepState::Succeeded { .. } => true,
            StepState::Failed { .. } => self.tolerated,
            _ => false,
        }
    }
}
