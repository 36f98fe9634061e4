//! What the store knows of offers and the log does not: who has claimed them. Of each right it gives one claim, and none of
//! one that was withdrawn.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::id::{OwnerId, Unit};
use orchestrator_core::machine::{Command, Fence, RunState, StepState};
use orchestrator_core::spec::Placement;
use orchestrator_core::time::Timestamp;

/// The claims of a run.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<(Unit, u64), (OwnerId, Timestamp)>);

impl Claims {
    /// Somebody claims what is offered of a step, unless another has.
    pub(crate) fn claim(&mut self, state: &RunState, step: Unit, owner: OwnerId, now: Timestamp) {
        if let Some((_, epoch)) = offered(state, step) {
            self.0.entry((step, epoch)).or_insert((owner, now));
        }
    }

    /// What the store says of an offer that somebody has claimed.
    pub(crate) fn told(&self, state: &RunState, step: Unit) -> Option<Command> {
        let (attempt, epoch) = offered(state, step)?;
        let (owner, at) = *self.0.get(&(step, epoch))?;
        Some(Command::Claimed { step, attempt, fence: Fence { epoch, owner }, at })
    }

    /// What serves the wish to withdraw an offer: the store refuses to let go of what is claimed, and says by whom.
    pub(crate) fn withdraw(&self, state: &RunState, step: Unit, epoch: u64) -> Command {
        self.told(state, step).unwrap_or(Command::Withdraw { step, epoch })
    }
}

fn offered(state: &RunState, step: Unit) -> Option<(u32, u64)> {
    match state.find(step)?.state {
        StepState::Offered { attempt, epoch, .. } => Some((attempt, epoch)),
        _ => None,
    }
}

/// The right under which a step is executed elsewhere, if the log says so.
pub(crate) fn claimed(state: &RunState, step: Unit) -> Option<(u32, Fence)> {
    match state.find(step)?.state {
        StepState::Running { attempt, fence, remote: true, .. } => Some((attempt, fence)),
        _ => None,
    }
}

/// What is offered or executed elsewhere: one of it.
pub(crate) fn one_away(state: &RunState, which: u8) -> Option<Unit> {
    let away: Vec<Unit> = state
        .slots()
        .map(|(unit, _)| unit)
        .filter(|unit| offered(state, *unit).is_some() || claimed(state, *unit).is_some())
        .collect();
    away.get(usize::from(which) % away.len().max(1)).copied()
}

/// To whom attempts are offered.
pub(crate) fn offer() -> Arc<Placement> {
    let labels = [("arch".to_owned(), "arm64".to_owned())].into();
    Arc::new(Placement { queue: "gpu".into(), labels })
}
