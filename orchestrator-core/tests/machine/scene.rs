//! What the worked cases have in common.

use orchestrator_core::id::{DecisionId, StepIx, TransitionId};
use orchestrator_core::machine::{
    Command, Ending, Event, Finished, Prepared, Recorded, Rejection, RunState, StepError, StepKind, WaitOn,
    apply,
};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, OnExpiry};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use uuid::Uuid;

use crate::flow::Shape;
use crate::ledger::{Place, Right};
use crate::world::{World, asked, value};

pub(crate) const A: StepIx = StepIx(0);
pub(crate) const B: StepIx = StepIx(1);
pub(crate) const C: StepIx = StepIx(2);

/// Steps that need the one before.
pub(crate) fn chain(effects: &[EffectClass]) -> World {
    let shapes = effects.iter().zip(0u32..).map(|(effect, ix)| match ix {
        0 => Shape::new(&[], *effect),
        _ => Shape::new(&[ix - 1], *effect),
    });
    World::new(shapes.collect())
}

pub(crate) fn one(shape: Shape) -> World {
    World::new(vec![shape])
}

pub(crate) fn begin(world: &mut World, step: StepIx) -> Right {
    let verdict = Prepared::Begin(world.begin(step, 0));
    world.say(Command::Prepared { step: step.into(), verdict }).expect("it begins");
    right(world, step)
}

pub(crate) fn right(world: &World, step: StepIx) -> Right {
    match world.ledger.place(step) {
        Some(Place::Running(right)) => *right,
        other => panic!("not running: {other:?}"),
    }
}

pub(crate) fn finish(world: &mut World, right: Right, outcome: Finished) -> Result<Vec<Event>, Rejection> {
    let Right { step, attempt, fence } = right;
    world.say(Command::Finish { step: step.into(), attempt, fence, outcome })
}

pub(crate) fn error(class: ErrorClass) -> StepError {
    StepError::new(class, "it went wrong")
}

pub(crate) fn failed() -> Finished {
    Finished::Failed { error: error(ErrorClass::Failed), not_before: None }
}

pub(crate) fn question(number: u8, then: OnExpiry) -> WaitOn {
    WaitOn::Approval { digest: Digest::of(&[number]), message: "shall I?".into(), show: None, then }
}

pub(crate) fn ask(number: u8, until: Option<Timestamp>) -> Prepared {
    let decision = DecisionId::from_uuid(Uuid::from_u128(5));
    Prepared::Ask { digest: Digest::of(&[number]), message: "may it?".into(), decision, until }
}

pub(crate) fn lose(world: &mut World, step: StepIx) {
    let owner = right(world, step).fence.owner;
    world.die(0);
    world.say(Command::Lost { owner }).expect("a loss is a fact");
}

pub(crate) fn kind(world: &World, step: StepIx) -> StepKind {
    world.state.slot(step).state.kind()
}

pub(crate) fn cancel(world: &mut World) {
    world.say(Command::Cancel(asked())).expect("it can be cancelled");
}

pub(crate) fn conclude(world: &mut World) -> Ending {
    world.say(Command::Conclude(Ok(value(3)))).expect("it can end");
    world.state.head().ended.expect("it has ended").0
}

/// Applies an event that `decide` has not made.
pub(crate) fn force(world: &World, event: impl Into<Event>) -> Result<RunState, String> {
    let mut state = world.state.clone();
    let recorded = Recorded {
        seq: state.head().seq + 1,
        at: world.now,
        transition: TransitionId::from_uuid(Uuid::from_u128(1)),
        event: event.into(),
    };
    apply(&mut state, &recorded).map(|()| state).map_err(|illegal| illegal.to_string())
}
