//! What the outside world should be doing now, derived from the state. Recovery is: load, fold, ask this.

use crate::id::{RunId, Unit};
use crate::machine::{Fence, Intent, RunState, StepKind, StepState, WaitOn};
use crate::time::Timestamp;

/// Something the outside world must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Something of the run could begin if the run had its place: say [`crate::machine::Command::Enter`], whose commit takes it, or,
    /// where others have all of them, [`crate::machine::Command::StandInLine`].
    Enter,
    /// Evaluate, render and judge the step, then say [`crate::machine::Command::Prepared`].
    Prepare(Unit),
    /// Say [`crate::machine::Command::Continue`] with a slot in hand.
    Continue(Unit),
    /// Execute the attempt.
    Execute {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// The right under which it is executed.
        fence: Fence,
    },
    /// End the attempt.
    Stop(Unit),
    /// Take an offer back, unless somebody has claimed it: say [`crate::machine::Command::Withdraw`], whose commit asserts that
    /// nobody has, or, where somebody has, [`crate::machine::Command::Claimed`].
    Withdraw {
        /// The step.
        step: Unit,
        /// The right that was offered.
        epoch: u64,
    },
    /// See to it that the run that carries out the step is driven and does what is wanted of it, and say
    /// [`crate::machine::Command::ChildEnded`] when it has ended.
    Attend {
        /// The step.
        step: Unit,
        /// The run.
        child: RunId,
        /// What is wanted of it.
        intent: Intent,
    },
    /// Every step of this stage has ended: render the run's outputs, if it completes, and say [`crate::machine::Command::Conclude`].
    Conclude,
}

/// What one step or item asks of the world.
#[must_use]
pub fn effect_of(state: &RunState, step: Unit) -> Option<Effect> {
    let slot = state.slot(step);
    match &slot.state {
        _ if state.head.ended.is_some() => None,
        StepState::Ready if state.goes_on(slot.stage) => Some(Effect::Prepare(step)),
        StepState::Arrived { .. } if state.goes_on(slot.stage) => Some(Effect::Continue(step)),
        StepState::Offered { epoch, .. } if !state.goes_on(slot.stage) || slot.overdue => {
            Some(Effect::Withdraw { step, epoch: *epoch })
        }
        // Who has claimed it does what is to be done: nobody need drive the run for that.
        StepState::Running { remote: true, .. } => None,
        StepState::Running { .. } if is_to_stop(state, step) => Some(Effect::Stop(step)),
        StepState::Running { attempt, fence, .. } => {
            Some(Effect::Execute { step, attempt: *attempt, fence: *fence })
        }
        StepState::Waiting { on, .. } => match **on {
            WaitOn::Child { run: child, late } => {
                let intent = match state.head.intent {
                    _ if late || slot.overdue || state.is_stopped(slot.stage) => Intent::Cancel,
                    Intent::Pause => Intent::Pause,
                    // What comes after the steps proper goes on when those are cancelled.
                    Intent::Proceed | Intent::Cancel => Intent::Proceed,
                };
                Some(Effect::Attend { step, child, intent })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether what is executed of a step is to stop, here or elsewhere: whoever has claimed it is told so by the store, when it
/// renews.
#[must_use]
pub fn is_to_stop(state: &RunState, step: Unit) -> bool {
    let slot = state.slot(step);
    matches!(slot.state, StepState::Running { .. }) && (state.is_stopped(slot.stage) || slot.overdue)
}

/// What is offered to others, and not known to be claimed: each with its right. Tasks are not: who claims one need not be
/// there yet.
pub(crate) fn offered(state: &RunState) -> impl Iterator<Item = (Unit, u64)> {
    state.index.away.iter().filter_map(|at| {
        let unit = state.unit_at(at);
        match state.slot(unit).state {
            StepState::Offered { epoch, .. } => Some((unit, epoch)),
            _ => None,
        }
    })
}

/// Whether something is offered to others, or executed by them.
#[must_use]
pub(crate) fn is_away(state: &RunState) -> bool {
    !state.index.away.is_empty()
}

/// Everything that is due, in the order of the text. Costs what is open, not what there is.
#[must_use]
pub fn outstanding(state: &RunState) -> Vec<Effect> {
    if is_to_conclude(state) {
        return vec![Effect::Conclude];
    }
    let open = state.index.actionable.iter().chain(state.index.running.iter());
    let open = open.chain(state.index.away.iter()).chain(state.index.tasks.iter());
    let open = open.chain(state.index.children.iter());
    // One that waits for its place is told when it is given one.
    let enters = state.wanted_place().is_some() && state.waited_place().is_none();
    let enters = enters.then_some(Effect::Enter).into_iter();
    enters.chain(open.filter_map(|at| effect_of(state, state.unit_at(at)))).collect()
}

/// Whether all that is left is to end the run.
#[must_use]
pub(crate) fn is_to_conclude(state: &RunState) -> bool {
    state.head.seq > 0 && state.head.ended.is_none() && state.is_settled()
}

/// Whether some offer is to be taken back.
#[must_use]
pub(crate) fn withdraws(state: &RunState) -> bool {
    match state.goes_on(state.head.stage) {
        true => state.index.overdue_offers > 0,
        false => state.count(StepKind::Offered) > 0,
    }
}

/// When to look again if nobody calls; `None`: only an outsider can move the run, or it has ended.
///
/// Where a driver has something to do or to watch, that is when the run began: it is due at once should its driver be gone, and
/// those that began first are taken up first. A time that changed with every event would cost every store an index entry each.
#[must_use]
pub fn wake_at(state: &RunState) -> Option<Timestamp> {
    if state.head.ended.is_some() {
        return None;
    }
    // Whoever waits for a place stands in its line only while somebody drives the run; so does the run itself.
    let begins = state.proceeds(state.head.stage) && !state.index.actionable.is_empty();
    let parked = state.goes_on(state.head.stage) && !state.index.parked.is_empty();
    let watches = parked || !state.index.running.is_empty() || !state.index.children.is_empty();
    if begins || watches || withdraws(state) || is_to_conclude(state) {
        return Some(state.head.since);
    }
    next_timer(state)
}

/// When the first of a run's timers falls due.
#[must_use]
pub(crate) fn next_timer(state: &RunState) -> Option<Timestamp> {
    let timer = state.index.timers.first().map(|(until, _)| *until);
    let deadline = state.index.deadlines.first().map(|(due, _)| *due);
    [timer, deadline, state.run_due(), state.head.not_before].into_iter().flatten().min()
}
