//! Worked cases of signals: who takes them, and which are kept.

use orchestrator_core::id::StepIx;
use orchestrator_core::machine::{
    Arrival, Command, Event, Finished, MAX_SIGNALS, Rejection, RunState, SIGNAL_LIMIT, StepKind, StepState,
    WaitOn, fold, wake_at,
};
use orchestrator_core::spec::EffectClass::Pure;
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::ValueRef;

use crate::flow::{Shape, workflow};
use crate::scene::{A, B, begin, cancel, conclude, finish, kind, lose, one, right};
use crate::world::{World, asked, signal, signal_name, value};

fn wait(world: &mut World, step: StepIx, name: u8, until: Option<Timestamp>) -> Vec<Event> {
    let right = begin(world, step);
    let on = WaitOn::Signal { name: signal_name(name) };
    finish(world, right, Finished::Waiting { on, until }).unwrap()
}

/// What the signal that a step has taken carries.
fn taken(world: &World, step: StepIx) -> Option<ValueRef> {
    match &world.state.slot(step).state {
        StepState::Arrived { arrival, .. } => match &**arrival {
            Arrival::Signal(signal) => Some(signal.data.clone()),
            other => panic!("{other:?}"),
        },
        _ => None,
    }
}

fn side_by_side() -> World {
    World::new(vec![Shape::new(&[], Pure), Shape::new(&[], Pure)])
}

#[test]
fn a_signal_moves_a_step_that_waits_for_it() {
    let mut world = one(Shape::new(&[], Pure));
    wait(&mut world, A, 0, None);
    assert_eq!((world.state.status(), wake_at(&world.state)), ("blocked", None));
    world.say(signal(1, 10)).unwrap();
    assert_eq!(kind(&world, A), StepKind::Waiting, "it waits for another");
    assert_eq!(world.say(signal(0, 11)).unwrap().len(), 2);
    assert_eq!(taken(&world, A), Some(value(11)));
    world.settle();
    assert_eq!(world.state.signals().len(), 1, "nobody has taken the other");
}

#[test]
fn signals_that_come_early_are_kept_in_their_order() {
    let mut world = side_by_side();
    for data in [10, 11] {
        world.say(signal(0, data)).unwrap();
    }
    assert_eq!(wait(&mut world, B, 0, None).len(), 2, "it goes on in the same commit");
    wait(&mut world, A, 0, None);
    assert_eq!((taken(&world, B), taken(&world, A)), (Some(value(10)), Some(value(11))));
    assert!(world.state.signals().is_empty());
    world.settle();
}

#[test]
fn one_signal_moves_one_step_the_one_that_has_waited_longest() {
    let mut world = side_by_side();
    wait(&mut world, B, 0, None);
    world.pass(1);
    wait(&mut world, A, 0, None);
    world.say(signal(0, 10)).unwrap();
    assert_eq!((taken(&world, B), taken(&world, A)), (Some(value(10)), None));
    world.say(signal(0, 11)).unwrap();
    assert_eq!(taken(&world, A), Some(value(11)));
}

#[test]
fn a_signal_that_comes_too_late_is_kept_for_others() {
    let mut world = side_by_side();
    let until = Some(Timestamp::from_millis(world.now.as_millis() + 5));
    wait(&mut world, A, 0, until);
    world.pass(5);
    world.say(signal(0, 10)).unwrap();
    let events = world.say(Command::Wake).unwrap();
    assert!(
        matches!(&events[..], [Event::StepFailed(failed)] if &*failed.error.message == "the signal `signal 0` has not come in time"),
        "{events:?}"
    );
    wait(&mut world, B, 0, None);
    assert_eq!(taken(&world, B), Some(value(10)));
}

#[test]
fn a_step_that_is_lost_after_its_signal_keeps_it() {
    let mut world = one(Shape::new(&[], Pure));
    wait(&mut world, A, 0, None);
    world.say(signal(0, 10)).unwrap();
    world.say(Command::Continue { step: A.into(), owner: world.owner(0) }).unwrap();
    assert!(right(&world, A).attempt == 1 && world.state.signals().is_empty());
    lose(&mut world, A);
    assert_eq!(taken(&world, A), Some(value(10)));
}

#[test]
fn what_is_kept_is_bounded_and_survives_a_fold() {
    let mut world = one(Shape::new(&[], Pure));
    let long = ValueRef::from_json("x".repeat(SIGNAL_LIMIT as usize + 1).into()).unwrap().0;
    let refused = world.state.clone();
    let say = |name: &str, data: &ValueRef| {
        let command = Command::Signal { name: name.into(), data: data.clone(), asked: asked() };
        orchestrator_core::machine::decide(&refused, &command, world.now)
    };
    assert_eq!(say("a", &long), Err(Rejection::SignalTooLong(SIGNAL_LIMIT + 1)));
    assert_eq!(say("", &value(1)), Err(Rejection::SignalName));
    assert_eq!(say(&"x".repeat(201), &value(1)), Err(Rejection::SignalName));
    for number in 0..MAX_SIGNALS as u64 {
        world.say(signal(0, number)).unwrap();
    }
    assert_eq!(world.say(signal(0, 0)), Err(Rejection::SignalsFull));
    let (workflow, plan) = workflow(&world.shapes);
    let mut again = RunState::new(world.state.run(), workflow, plan);
    fold(&mut again, &world.log).unwrap();
    assert!(again.signals().iter().eq(world.state.signals().iter()));
    wait(&mut world, A, 0, None);
    assert_eq!(taken(&world, A), Some(value(0)));
    world.say(signal(0, 0)).expect("there is room for one again");
}

#[test]
fn nobody_signals_a_run_that_stops_or_has_ended() {
    let mut world = one(Shape::new(&[], Pure));
    wait(&mut world, A, 0, None);
    cancel(&mut world);
    assert_eq!(kind(&world, A), StepKind::Cancelled);
    assert_eq!(world.say(signal(0, 10)), Err(Rejection::Held("being cancelled")));
    conclude(&mut world);
    assert_eq!(world.say(signal(0, 10)), Err(Rejection::Ended("been cancelled")));
}
