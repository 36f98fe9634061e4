//! Worked cases of steps: preparing, attempts, waiting.

use orchestrator_core::machine::{
    Arrival, Command, Effect, Ending, Event, Finished, Prepared, Rejection, StepKind, StepState, StepWaiting,
    WaitOn, decide, outstanding, wake_at,
};
use orchestrator_core::spec::EffectClass::{AtMostOnce, Idempotent, Pure};
use orchestrator_core::spec::OnExpiry;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::Digest;

use crate::flow::Shape;
use crate::ledger::Right;
use crate::scene::{
    A, B, ask, begin, chain, conclude, error, failed, finish, force, kind, lose, one, question, right,
};
use crate::world::{World, approve, asked, decided, fence, value};

// Preparing

#[test]
fn a_grant_holds_for_exactly_what_was_shown() {
    let mut world = one(Shape::new(&[], Pure));
    world.say(Command::Prepared { step: A.into(), verdict: ask(1, None) }).unwrap();
    assert_eq!((world.state.status(), wake_at(&world.state)), ("blocked", None));
    world.say(approve(A, Some(Digest::of(&[2])), true)).unwrap_err();
    world.say(approve(A, Some(Digest::of(&[1])), true)).unwrap();
    assert_eq!(world.state.slot(A).granted().copied(), Some(Digest::of(&[1])));
    world
        .say(Command::Prepared { step: A.into(), verdict: ask(1, None) })
        .expect_err("nobody is asked twice");
    world
        .say(Command::Prepared { step: A.into(), verdict: ask(2, None) })
        .expect("but anew for something else");
    assert_eq!(world.state.slot(A).granted(), None, "the first grant is void");
    world.settle();
}

#[test]
fn a_rejection_before_the_first_attempt_says_who_rejected() {
    let mut world = one(Shape::new(&[], Pure));
    world.say(Command::Prepared { step: A.into(), verdict: ask(1, None) }).unwrap();
    let events = world.say(approve(A, None, false)).unwrap();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::StepArrived(arrived) if arrived.arrival == decided(false))),
        "{events:?}"
    );
    assert_eq!((kind(&world, A), world.state.slot(A).granted().copied()), (StepKind::Failed, None));
}

#[test]
fn a_policy_question_that_nobody_answers_is_a_no_whatever_the_step_says() {
    for then in [OnExpiry::Fail, OnExpiry::Reject, OnExpiry::Approve] {
        let world = one(Shape::new(&[], Pure));
        let until = Some(world.now);
        let state =
            force(&world, StepWaiting { step: A.into(), attempt: 0, on: question(1, then), until }).unwrap();
        let events = decide(&state, &Command::Wake, world.now).unwrap();
        assert!(matches!(&events[..], [Event::StepFailed(_)]), "{then:?}: {events:?}");
    }
}

#[test]
fn a_step_whose_need_has_failed_is_skipped_and_cannot_begin() {
    let mut world = chain(&[Pure, Pure]);
    let right = begin(&mut world, A);
    finish(&mut world, right, failed()).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Prepare(B.into())]);
    let verdict = Prepared::Begin(world.begin(B, 0));
    world.say(Command::Prepared { step: B.into(), verdict }).unwrap_err();
    world.say(Command::Prepared { step: B.into(), verdict: Prepared::Skip }).unwrap();
    assert_eq!(conclude(&mut world), Ending::Failed);
}

#[test]
fn a_step_that_judges_its_needs_itself_begins_after_a_failure() {
    let mut world = World::new(vec![Shape::new(&[], Pure), Shape::new(&[0], Pure).judging()]);
    let right = begin(&mut world, A);
    finish(&mut world, right, failed()).unwrap();
    let cleaning_up = begin(&mut world, B);
    finish(&mut world, cleaning_up, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(conclude(&mut world), Ending::Failed);
}

#[test]
fn every_attempt_of_a_generation_sends_the_request_of_the_first() {
    let mut world = one(Shape::new(&[], Idempotent).retried(3));
    let right = begin(&mut world, A);
    let first = world.state.slot(A).request.clone();
    finish(&mut world, right, failed()).unwrap();
    world.pass(1_000);
    world.say(Command::Wake).unwrap();
    assert_ne!(Some(world.begin(A, 0).request), first, "the case is about a request that differs");
    begin(&mut world, A);
    assert_eq!(world.state.slot(A).request, first);
}

// Attempts

#[test]
fn a_late_result_is_fenced_once_the_loss_is_recorded() {
    let mut world = one(Shape::new(&[], Pure));
    let dead = begin(&mut world, A);
    lose(&mut world, A);
    let alive = begin(&mut world, A);
    assert_eq!((alive.attempt, alive.fence.epoch), (2, 2));
    assert_eq!(finish(&mut world, dead, Finished::Succeeded(value(1))), Err(Rejection::Fenced));
    let stolen = Right { fence: fence(alive.fence.epoch, dead.fence.owner), ..alive };
    assert_eq!(finish(&mut world, stolen, Finished::Succeeded(value(1))), Err(Rejection::Fenced));
    finish(&mut world, alive, Finished::Succeeded(value(1))).unwrap();
}

#[test]
fn a_loss_that_is_noticed_twice_is_one_loss() {
    let mut world = one(Shape::new(&[], Pure));
    let owner = begin(&mut world, A).fence.owner;
    assert_eq!(world.say(Command::Lost { owner }).unwrap().len(), 1);
    assert_eq!(world.say(Command::Lost { owner }).unwrap(), []);
    assert_eq!(world.state.slot(A).losses, 1);
}

#[test]
fn what_kills_its_executors_is_quarantined_even_when_retries_remain() {
    for (shape, last) in [
        (Shape::new(&[], Pure), StepKind::Quarantined),
        (Shape::new(&[], Pure).retried(5), StepKind::Quarantined),
        (Shape::new(&[], Pure).retried(3), StepKind::Failed),
    ] {
        let mut world = one(shape);
        for attempt in 1..=3 {
            assert_eq!(begin(&mut world, A).attempt, attempt);
            lose(&mut world, A);
        }
        assert_eq!(kind(&world, A), last);
        if last == StepKind::Quarantined {
            world.say(Command::Resolve { step: A.into(), applied: None, asked: asked() }).unwrap();
            assert_eq!(begin(&mut world, A).attempt, 4, "someone's word allows one more");
            lose(&mut world, A);
            assert_eq!(kind(&world, A), StepKind::Quarantined, "and only one");
        }
    }
}

#[test]
fn what_a_plugin_finds_settles_the_attempt_it_looked_at_and_no_other() {
    let mut world = one(Shape::new(&[], AtMostOnce));
    let found = |attempt, applied| Command::Reconcile { step: A.into(), attempt, applied, asked: asked() };
    begin(&mut world, A);
    assert_eq!(world.say(found(1, None)), Err(Rejection::Fenced), "it is still executed");
    lose(&mut world, A);
    assert_eq!(world.say(found(2, None)), Err(Rejection::Fenced));
    world.say(found(1, None)).unwrap();
    assert_eq!(begin(&mut world, A).attempt, 2);
    lose(&mut world, A);
    assert_eq!(world.say(found(1, Some(value(4)))), Err(Rejection::Fenced), "another attempt is unknown now");
    world.say(found(2, Some(value(4)))).unwrap();
    assert_eq!(kind(&world, A), StepKind::Succeeded);
}

#[test]
fn losses_count_against_the_attempts_of_a_retry() {
    let mut world = one(Shape::new(&[], Pure).retried(2));
    begin(&mut world, A);
    lose(&mut world, A);
    let right = begin(&mut world, A);
    finish(&mut world, right, failed()).unwrap();
    assert_eq!(kind(&world, A), StepKind::Failed);
}

#[test]
fn an_unknown_outcome_blocks_only_where_a_repetition_would_do_harm() {
    for effect in [Pure, Idempotent] {
        let unknown = || Finished::Unknown(error(ErrorClass::Transient));
        let mut world = one(Shape::new(&[], effect).retried(2));
        let first = begin(&mut world, A);
        finish(&mut world, first, unknown()).unwrap();
        assert_eq!(kind(&world, A), StepKind::Backoff);
        world.pass(1_000);
        world.say(Command::Wake).unwrap();
        let second = begin(&mut world, A);
        finish(&mut world, second, unknown()).unwrap();
        assert_eq!(kind(&world, A), StepKind::Failed);
    }
}

#[test]
fn settling_a_reported_unknown_forgives_no_loss_of_another_attempt() {
    let mut world = one(Shape::new(&[], Pure).retried(2));
    begin(&mut world, A);
    lose(&mut world, A);
    let mut again = world.begin(A, 0);
    again.effect = AtMostOnce;
    world.say(Command::Prepared { step: A.into(), verdict: Prepared::Begin(again) }).unwrap();
    let second = right(&world, A);
    finish(&mut world, second, Finished::Unknown(error(ErrorClass::Transient))).unwrap();
    world.say(Command::Resolve { step: A.into(), applied: None, asked: asked() }).unwrap();
    let third = begin(&mut world, A);
    finish(&mut world, third, failed()).unwrap();
    assert_eq!(kind(&world, A), StepKind::Failed, "one loss and one failure are two attempts");
}

#[test]
fn a_step_that_may_act_once_is_never_begun_again_unasked() {
    let mut world = one(Shape::new(&[], AtMostOnce).retried(5));
    let first = begin(&mut world, A);
    finish(&mut world, first, failed()).unwrap();
    world.pass(1_000);
    world.say(Command::Wake).unwrap();
    begin(&mut world, A);
    lose(&mut world, A);
    assert_eq!(kind(&world, A), StepKind::OutcomeUnknown);
    assert_eq!((outstanding(&world.state), wake_at(&world.state)), (vec![], None));
    assert_eq!(world.state.status(), "blocked");
    let verdict = Prepared::Begin(world.begin(A, 0));
    world.say(Command::Prepared { step: A.into(), verdict }).unwrap_err();
    world.say(Command::Resolve { step: A.into(), applied: Some(value(4)), asked: asked() }).unwrap();
    assert_eq!(conclude(&mut world), Ending::Completed);
}

// Waiting

#[test]
fn nobody_is_asked_twice_because_a_process_died() {
    for stop_in_order in [true, false] {
        let mut world = one(Shape::new(&[], Pure));
        let asking = begin(&mut world, A);
        let on = question(1, OnExpiry::Fail);
        finish(&mut world, asking, Finished::Waiting { on, until: None }).unwrap();
        world.say(approve(A, None, true)).unwrap();
        let owner = world.owner(0);
        world.say(Command::Continue { step: A.into(), owner }).unwrap();
        let going_on = right(&world, A);
        assert_eq!((going_on.attempt, going_on.fence.epoch), (1, 2));
        match stop_in_order {
            true => drop(finish(&mut world, going_on, Finished::Interrupted).unwrap()),
            false => lose(&mut world, A),
        }
        assert_eq!(outstanding(&world.state), [Effect::Continue(A.into())]);
        let owner = world.owner(0);
        world.say(Command::Continue { step: A.into(), owner }).unwrap();
        let StepState::Running { attempt: 1, arrival, .. } = &world.state.slot(A).state else {
            panic!("the same attempt goes on");
        };
        assert_eq!(arrival.as_deref(), Some(&decided(true)));
    }
}

#[test]
fn a_decision_after_its_time_is_refused_even_if_nobody_has_looked_at_the_clock() {
    let mut world = one(Shape::new(&[], Pure));
    let asking = begin(&mut world, A);
    let until = Some(world.now + std::time::Duration::from_millis(10));
    let on = question(1, OnExpiry::Reject);
    finish(&mut world, asking, Finished::Waiting { on, until }).unwrap();
    assert_eq!(wake_at(&world.state), until);
    world.pass(10);
    assert_eq!(world.say(approve(A, None, true)), Err(Rejection::NotOpen("has expired")));
    world.say(Command::Wake).unwrap();
    let expired = Arrival::Expired { then: OnExpiry::Reject };
    assert!(matches!(&world.state.slot(A).state, StepState::Arrived { arrival, .. } if **arrival == expired));
}

#[test]
fn a_decision_that_comes_too_early_or_too_late_is_told_so() {
    let mut world = one(Shape::new(&[], Pure));
    assert_eq!(world.say(approve(A, None, true)), Err(Rejection::NotOpen("has not been asked for yet")));
    world.say(Command::Prepared { step: A.into(), verdict: ask(1, None) }).unwrap();
    world.say(approve(A, None, true)).unwrap();
    assert_eq!(world.say(approve(A, None, false)), Err(Rejection::NotOpen("is no longer open")));
}

#[test]
fn a_wait_for_a_moment_that_nobody_names_is_over_at_once() {
    let mut world = one(Shape::new(&[], Pure));
    let waiting = begin(&mut world, A);
    finish(&mut world, waiting, Finished::Waiting { on: WaitOn::Until, until: None }).unwrap();
    assert_eq!(wake_at(&world.state), Some(world.now));
    world.say(Command::Wake).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Continue(A.into())]);
}

#[test]
fn the_farthest_time_survives_being_stored() {
    let mut world = one(Shape::new(&[], Pure).retried(3));
    let right = begin(&mut world, A);
    let not_before = Some(world.now + std::time::Duration::MAX);
    finish(&mut world, right, Finished::Failed { error: error(ErrorClass::Failed), not_before }).unwrap();
    world.check_fold();
}
