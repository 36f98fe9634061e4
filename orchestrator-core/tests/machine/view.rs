//! What can be seen of a state, and how often each thing has been seen.

use std::collections::BTreeMap;

use orchestrator_core::id::StepIx;
use orchestrator_core::machine::transitions::Row;
use orchestrator_core::machine::{
    Command, Effect, Head, Prepared, RunState, Slot, StepKind, outstanding, wake_at,
};
use orchestrator_core::time::Timestamp;

/// How often each thing has been seen.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Rows of the table.
    pub(crate) rows: BTreeMap<Row, u64>,
    /// Kinds of events.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    /// Commands that were accepted and that were refused, by name and reason.
    pub(crate) answers: BTreeMap<String, u64>,
    /// Statuses of the run.
    pub(crate) statuses: BTreeMap<&'static str, u64>,
}

/// All of a state that can be seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    head: Head,
    slots: Vec<Slot>,
    counts: Vec<u32>,
    effects: Vec<Effect>,
    wake_at: Option<Timestamp>,
    status: &'static str,
    blocked: bool,
    settled: bool,
}

impl View {
    pub(crate) fn of(state: &RunState) -> Self {
        Self {
            head: state.head().clone(),
            slots: state.slots().map(|(_, slot)| slot.clone()).collect(),
            counts: StepKind::ALL.into_iter().map(|kind| state.count(kind)).collect(),
            effects: outstanding(state),
            wake_at: wake_at(state),
            status: state.status(),
            blocked: state.is_blocked(),
            settled: state.is_settled(),
        }
    }
}

/// What is to be done is due: whoever looks for due runs finds it, should nobody drive it.
pub(crate) fn check_due(state: &RunState) {
    let (effects, wake) = (outstanding(state), wake_at(state));
    let is_due = wake.is_some_and(|wake| wake <= state.head().last_at);
    assert!(effects.is_empty() || is_due, "{effects:?} are outstanding, and it wakes at {wake:?}");
}

impl Coverage {
    /// Adds what another has seen.
    pub(crate) fn add(&mut self, other: Self) {
        fn sum<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        }
        sum(&mut self.rows, other.rows);
        sum(&mut self.kinds, other.kinds);
        sum(&mut self.answers, other.answers);
        sum(&mut self.statuses, other.statuses);
    }
}

/// The step that an effect is about.
pub(crate) fn step_of(effect: &Effect) -> Option<StepIx> {
    match effect {
        Effect::Prepare(step)
        | Effect::Continue(step)
        | Effect::Stop(step)
        | Effect::Withdraw { step, .. }
        | Effect::Execute { step, .. } => Some(step.step),
        _ => None,
    }
}

/// A word for a command.
pub(crate) fn name(command: &Command) -> &'static str {
    match command {
        Command::TakeDriver { .. } => "take",
        Command::ReleaseDriver(_) => "release",
        Command::Prepared { verdict, .. } => match verdict {
            Prepared::Begin(_) => "begin",
            Prepared::Offer { .. } => "offer",
            Prepared::Skip => "skip",
            Prepared::Ask { .. } => "ask",
            Prepared::Deny { .. } => "deny",
            Prepared::Fault(_) => "fault",
            _ => "prepared otherwise",
        },
        Command::Enter { .. } => "enter",
        Command::StandInLine { .. } => "stand in line",
        Command::TurnAway { .. } => "turn away",
        Command::Continue { .. } => "continue",
        Command::Offer { .. } => "offer again",
        Command::Claim { .. } => "claim",
        Command::Claimed { .. } => "claimed",
        Command::Withdraw { .. } => "withdraw",
        Command::Finish { .. } => "finish",
        Command::Lost { .. } => "lost",
        Command::Wake => "wake",
        Command::Decide(_) => "decide",
        Command::Judge(_) => "judge",
        Command::Signal { .. } => "signal",
        Command::BeginNow(_) => "begin now",
        Command::Pause(_) => "pause",
        Command::Resume(_) => "resume",
        Command::Cancel(_) => "cancel",
        Command::Resolve { .. } => "resolve",
        Command::Reconcile { .. } => "reconcile",
        Command::Retry { .. } => "retry",
        Command::Conclude(_) => "conclude",
        _ => "something else",
    }
}
