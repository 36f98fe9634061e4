//! Worked cases of runs that need a place before anything of them begins.

use orchestrator_core::machine::{
    Command, Effect, Ending, Event, Finished, Prepared, Rejection, RunEntered, StepKind, decide, outstanding,
    wake_at,
};
use orchestrator_core::spec::EffectClass::{AtMostOnce, Pure};
use orchestrator_core::spec::retry::ErrorClass;

use crate::flow::Shape;
use crate::scene::{A, B, begin, cancel, conclude, error, finish, force, kind, lose};
use crate::world::{World, asked, hold, value};

/// Two steps that do not need each other, of a run that needs a place.
fn bounded() -> World {
    World::held_up(vec![Shape::new(&[], AtMostOnce), Shape::new(&[], Pure)], None, Some(hold(0)))
}

fn turn_away(world: &World) -> Command {
    Command::TurnAway { owner: world.owner(0), error: error(ErrorClass::Transient) }
}

fn enter(world: &mut World) {
    let owner = world.owner(0);
    world.say(Command::Enter { owner }).expect("it may be under way");
}

#[test]
fn nothing_begins_before_the_run_has_its_place() {
    let mut world = bounded();
    assert_eq!(outstanding(&world.state), [Effect::Enter]);
    let verdict = Prepared::Begin(world.begin(A, 0));
    let begins = Command::Prepared { step: A.into(), verdict };
    let held = Err(Rejection::Held("without its place"));
    assert_eq!(decide(&world.state, &begins, world.now).map(|_| ()), held);
    let entered = force(&world, RunEntered {}).expect("it takes its place");
    let begun = decide(&entered, &begins, world.now).expect("it may begin now").remove(0);
    let told = force(&world, begun).expect_err("a log in which a step has begun too early is refused");
    assert!(told.contains("before the run has its place"), "{told}");
    world.settle();
    assert!(world.state.held().is_empty(), "its end gives it back");
}

#[test]
fn who_waits_is_due_for_whoever_takes_it_up_and_who_is_cancelled_or_late_is_not() {
    let mut world = bounded();
    let owner = world.owner(0);
    world.say(Command::StandInLine { owner }).unwrap();
    assert_eq!((outstanding(&world.state), world.state.status()), (vec![], "pending"));
    assert!(wake_at(&world.state).is_some_and(|due| due <= world.now));
    assert_eq!(world.state.wanted_holds().count(), 0, "nobody stands in the line for it");
    world.say(Command::TakeDriver { owner, dead: None }).unwrap();
    assert!(world.state.wanted_holds().eq([&hold(0)]));
    cancel(&mut world);
    assert_eq!(world.state.wanted_holds().count(), 0);
    assert_eq!(conclude(&mut world), Ending::Cancelled);
}

#[test]
fn who_is_turned_away_fails_and_may_try_again() {
    let mut world = bounded();
    let events = world.say(turn_away(&world)).unwrap();
    assert!(matches!(events.last(), Some(Event::RunEnded(ended)) if ended.status == Ending::Failed));
    assert_eq!([kind(&world, A), kind(&world, B)], [StepKind::Cancelled; 2]);
    world.say(Command::Retry { steps: Vec::new(), asked: asked() }).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Enter]);
    world.settle();
    assert_eq!(world.state.head().ended.map(|(ending, _)| ending), Some(Ending::Completed));
}

#[test]
fn a_run_with_an_unknown_outcome_waits_rather_than_to_be_turned_away() {
    let mut world = bounded();
    enter(&mut world);
    begin(&mut world, A);
    lose(&mut world, A);
    cancel(&mut world);
    assert_eq!(conclude(&mut world), Ending::Cancelled);
    world.say(Command::Retry { steps: vec![B.into()], asked: asked() }).unwrap();
    let events = world.say(turn_away(&world)).unwrap();
    assert!(matches!(&events[..], [Event::RunParked(_)]), "{events:?}");
    enter(&mut world);
    let right = begin(&mut world, B);
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(kind(&world, A), StepKind::OutcomeUnknown);
    world.settle();
}
