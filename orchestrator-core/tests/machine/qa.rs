//! Worked cases of steps that someone must pass.

use orchestrator_core::machine::{
    Command, Ending, Event, Finished, Rejection, StepKind, StepSucceeded, wake_at,
};
use orchestrator_core::spec::EffectClass::Pure;
use orchestrator_core::spec::OnExpiry;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;

use crate::flow::Shape;
use crate::scene::{A, B, begin, cancel, chain, conclude, finish, force, kind, one, question};
use crate::world::{World, asked, judge, qa, value};

fn needs_qa(world: &mut World, then: OnExpiry, until: Option<Timestamp>) {
    let right = begin(world, A);
    finish(world, right, Finished::Waiting { on: qa(1, then), until }).unwrap();
    assert_eq!(world.state.slot(A).state.shown(), "needs_qa");
}

#[test]
fn what_passes_has_succeeded_with_what_it_gave() {
    let mut world = chain(&[Pure, Pure]);
    needs_qa(&mut world, OnExpiry::Fail, None);
    assert_eq!((world.state.status(), wake_at(&world.state)), ("blocked", None));
    assert_eq!(kind(&world, B), StepKind::Pending, "what follows waits for the verdict");
    let other = judge(A, Some(Digest::of(&[2])), true);
    assert!(matches!(world.say(other), Err(Rejection::QaNotOpen(_))));
    let events = world.say(judge(A, Some(Digest::of(&[1])), true)).unwrap();
    assert!(matches!(&events[1], Event::StepSucceeded(event) if event.output == value(21)), "{events:?}");
    assert!(matches!(world.say(judge(A, None, true)), Err(Rejection::WrongState { .. })));
    world.settle();
}

#[test]
fn what_does_not_pass_runs_again_if_it_may_and_is_told_why() {
    let mut world = one(Shape::new(&[], Pure).retried(2));
    needs_qa(&mut world, OnExpiry::Fail, None);
    world.say(judge(A, None, false)).unwrap();
    assert_eq!(kind(&world, A), StepKind::Backoff);
    assert_eq!(world.state.slot(A).feedback().map(|text| &**text), asked().reason.as_deref());
    world.pass(1_000);
    world.say(Command::Wake).unwrap();
    needs_qa(&mut world, OnExpiry::Fail, None);
    let events = world.say(judge(A, None, false)).unwrap();
    let Event::StepFailed(failed) = &events[1] else { panic!("{events:?}") };
    assert_eq!(
        (failed.error.class, &*failed.error.message),
        (ErrorClass::Qa, "not passed by someone: because")
    );
    assert_eq!(conclude(&mut world), Ending::Failed);
}

#[test]
fn silence_means_what_the_author_says() {
    for (then, ends) in [
        (OnExpiry::Fail, StepKind::Failed),
        (OnExpiry::Reject, StepKind::Backoff),
        (OnExpiry::Approve, StepKind::Succeeded),
    ] {
        let mut world = one(Shape::new(&[], Pure).retried(2));
        let until = Timestamp::from_millis(world.now.as_millis() + 5);
        needs_qa(&mut world, then, Some(until));
        world.pass(5);
        assert!(matches!(world.say(judge(A, None, true)), Err(Rejection::QaNotOpen("its time is over"))));
        world.say(Command::Wake).unwrap();
        assert_eq!(kind(&world, A), ends, "{then:?}");
        world.settle();
    }
}

#[test]
fn a_run_that_is_cancelled_takes_what_needs_a_verdict_with_it_and_a_paused_one_does_not() {
    let mut world = chain(&[Pure, Pure]);
    needs_qa(&mut world, OnExpiry::Fail, None);
    world.say(Command::Pause(asked())).unwrap();
    world.say(judge(A, None, true)).expect("a verdict begins nothing");
    assert_eq!((kind(&world, A), kind(&world, B)), (StepKind::Succeeded, StepKind::Ready));
    let mut world = one(Shape::new(&[], Pure));
    needs_qa(&mut world, OnExpiry::Fail, None);
    cancel(&mut world);
    assert_eq!(kind(&world, A), StepKind::Cancelled);
    assert_eq!(conclude(&mut world), Ending::Cancelled);
}

#[test]
fn nothing_counts_that_was_not_judged() {
    let mut world = one(Shape::new(&[], Pure));
    needs_qa(&mut world, OnExpiry::Fail, None);
    let other = StepSucceeded { step: A.into(), attempt: 1, output: value(99) };
    assert!(force(&world, other).unwrap_err().contains("gives what was not judged"));
    let mut world = one(Shape::new(&[], Pure));
    let right = begin(&mut world, A);
    finish(&mut world, right, Finished::Waiting { on: question(1, OnExpiry::Fail), until: None }).unwrap();
    let early = StepSucceeded { step: A.into(), attempt: 1, output: value(1) };
    assert!(force(&world, early).is_err(), "an approval gives no output");
    assert!(matches!(world.say(judge(A, None, true)), Err(Rejection::WrongState { .. })));
}
