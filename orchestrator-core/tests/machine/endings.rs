//! Worked cases of runs: holding, ending, beginning again, loading.

use orchestrator_core::id::{DecisionId, StepIx};
use orchestrator_core::machine::transitions::TRANSITIONS;
use orchestrator_core::machine::{
    AfterLoss, Arrival, Command, Effect, Ending, Finished, Holds, Intent, IntentChanged, Prepared, Rejection,
    RunReopened, StepArrived, StepBegun, StepDue, StepError, StepFailed, StepKind, StepLost, StepWaiting,
    WaitOn, check, outstanding, wake_at,
};
use orchestrator_core::spec::EffectClass::{AtMostOnce, Pure};
use orchestrator_core::spec::OnExpiry;
use orchestrator_core::spec::retry::ErrorClass;
use uuid::Uuid;

use crate::flow::Shape;
use crate::scene::{
    A, B, C, ask, begin, cancel, chain, conclude, error, failed, finish, force, kind, lose, one, question,
};
use crate::world::{World, asked, decided, fence, owner, value};

// Holding

#[test]
fn a_paused_run_lets_timers_fall_due_and_begins_nothing() {
    let mut world = World::new(vec![Shape::new(&[], Pure).retried(3), Shape::new(&[], Pure)]);
    let right = begin(&mut world, A);
    world.say(Command::Pause(asked())).unwrap();
    assert_eq!(outstanding(&world.state).len(), 1, "what runs goes on");
    finish(&mut world, right, failed()).unwrap();
    let due = wake_at(&world.state).expect("a timer is set");
    assert_eq!(world.state.status(), "paused");
    world.now = due;
    world.say(Command::Wake).unwrap();
    assert_eq!(kind(&world, A), StepKind::Ready);
    assert_eq!((outstanding(&world.state), wake_at(&world.state)), (vec![], None));
    let verdict = Prepared::Begin(world.begin(A, 0));
    assert_eq!(world.say(Command::Prepared { step: A.into(), verdict }), Err(Rejection::Held("paused")));
    world.say(Command::Resume(asked())).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Prepare(A.into()), Effect::Prepare(B.into())]);
}

#[test]
fn cancelling_stops_what_waits_and_never_overwrites_what_has_ended() {
    let mut world = World::new(vec![
        Shape::new(&[], Pure),
        Shape::new(&[], Pure).retried(3),
        Shape::new(&[], Pure),
        Shape::new(&[0, 1, 2], Pure),
    ]);
    let done = begin(&mut world, A);
    finish(&mut world, done, Finished::Succeeded(value(1))).unwrap();
    let backing_off = begin(&mut world, B);
    finish(&mut world, backing_off, failed()).unwrap();
    let running = begin(&mut world, C);
    cancel(&mut world);
    assert_eq!(outstanding(&world.state), [Effect::Stop(C.into())]);
    assert_eq!([A, B].map(|step| kind(&world, step)), [StepKind::Succeeded, StepKind::Cancelled]);
    finish(&mut world, running, Finished::Succeeded(value(2))).unwrap();
    assert_eq!(kind(&world, C), StepKind::Succeeded, "it had ended before it could be stopped");
    assert_eq!(world.say(Command::Resume(asked())), Err(Rejection::Held("being cancelled")));
    assert_eq!(conclude(&mut world), Ending::Cancelled);
}

#[test]
fn cancelling_a_run_that_is_done_changes_nothing_of_its_end() {
    let mut world = one(Shape::new(&[], Pure));
    let right = begin(&mut world, A);
    cancel(&mut world);
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(conclude(&mut world), Ending::Completed);
}

#[test]
fn what_a_cancelled_run_leaves_behind_is_never_begun_again() {
    for (outcome, becomes) in [
        (failed(), StepKind::Failed),
        (Finished::Interrupted, StepKind::Cancelled),
        (Finished::Waiting { on: WaitOn::Until, until: None }, StepKind::Cancelled),
        (Finished::Unknown(error(ErrorClass::Transient)), StepKind::Cancelled),
    ] {
        let mut world = one(Shape::new(&[], Pure).retried(3));
        let right = begin(&mut world, A);
        cancel(&mut world);
        finish(&mut world, right, outcome).unwrap();
        assert_eq!(kind(&world, A), becomes);
    }
}

// Ending, and beginning again

#[test]
fn outputs_that_cannot_be_rendered_fail_the_run() {
    let mut world = one(Shape::new(&[], Pure));
    let right = begin(&mut world, A);
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    world.say(Command::Conclude(Err(error(ErrorClass::Template)))).unwrap();
    let head = world.state.head();
    assert_eq!(head.ended, Some((Ending::Failed, world.now)));
    assert_eq!(head.error.as_ref().map(|error| error.class), Some(ErrorClass::Template));
}

#[test]
fn the_error_of_a_run_names_its_step_and_keeps_to_the_limit() {
    let mut world = one(Shape::new(&[], Pure));
    let right = begin(&mut world, A);
    let error = StepError::new(ErrorClass::Failed, "x".repeat(StepError::MESSAGE_LIMIT));
    finish(&mut world, right, Finished::Failed { error, not_before: None }).unwrap();
    conclude(&mut world);
    let error = world.state.head().error.clone().expect("a failed run says why");
    assert!(error.message.starts_with("step `s0` failed: x"));
    assert!(error.message.len() <= StepError::MESSAGE_LIMIT, "{} bytes", error.message.len());
}

#[test]
fn an_ended_run_lets_its_driver_go_and_takes_no_other() {
    let mut world = one(Shape::new(&[], Pure));
    let driver = world.owner(0);
    world.say(Command::TakeDriver { owner: driver, dead: None }).unwrap();
    assert_eq!(world.say(Command::TakeDriver { owner: driver, dead: None }), Ok(vec![]));
    let other = world.owner(1);
    let refused = world.say(Command::TakeDriver { owner: other, dead: None });
    assert_eq!(refused, Err(Rejection::Driven(driver)));
    world.settle();
    assert_eq!(world.say(Command::Wake), Err(Rejection::Ended("completed")));
    assert_eq!(world.state.head().driver, None);
    world.say(Command::ReleaseDriver(fence(1, driver))).expect_err("the end has let it go");
    world.say(Command::TakeDriver { owner: other, dead: None }).expect_err("there is nothing to drive");
}

#[test]
fn the_dead_do_not_drive() {
    let mut world = one(Shape::new(&[], Pure));
    let (dead, next) = (world.owner(0), world.owner(1));
    world.say(Command::TakeDriver { owner: dead, dead: None }).unwrap();
    let itself = world.say(Command::TakeDriver { owner: dead, dead: Some(dead) });
    assert_eq!(itself, Err(Rejection::Fenced));
    world.say(Command::TakeDriver { owner: next, dead: Some(dead) }).unwrap();
    assert_eq!(world.state.head().driver_epoch, 2);
    assert_eq!(world.say(Command::ReleaseDriver(fence(1, dead))), Err(Rejection::Fenced));
}

#[test]
fn a_run_with_a_cancelled_step_is_not_completed_by_retrying_another() {
    let mut world = World::new(vec![Shape::new(&[], Pure), Shape::new(&[], Pure)]);
    cancel(&mut world);
    assert_eq!(conclude(&mut world), Ending::Cancelled);
    world.say(Command::Retry { steps: vec![A.into()], asked: asked() }).unwrap();
    let right = begin(&mut world, A);
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(conclude(&mut world), Ending::Cancelled);
    world.say(Command::Retry { steps: vec![], asked: asked() }).unwrap();
    world.settle();
    assert_eq!(world.state.status(), "completed");
}

#[test]
fn retrying_a_step_takes_along_what_depends_on_it_and_counts_attempts_on() {
    let mut world = chain(&[Pure, Pure, Pure]);
    let first = begin(&mut world, A);
    finish(&mut world, first, Finished::Succeeded(value(1))).unwrap();
    let second = begin(&mut world, B);
    finish(&mut world, second, failed()).unwrap();
    world.say(Command::Retry { steps: vec![B.into()], asked: asked() }).expect_err("the run has not ended");
    world.settle();
    assert_eq!(kind(&world, C), StepKind::Skipped);
    world.say(Command::Retry { steps: vec![A.into()], asked: asked() }).expect_err("it has not failed");
    world
        .say(Command::Retry { steps: vec![StepIx(9).into()], asked: asked() })
        .expect_err("there is no such step");
    world.say(Command::Retry { steps: vec![B.into(), B.into()], asked: asked() }).unwrap();
    assert_eq!(
        [A, B, C].map(|step| kind(&world, step)),
        [StepKind::Succeeded, StepKind::Ready, StepKind::Pending]
    );
    let again = begin(&mut world, B);
    assert_eq!((again.attempt, again.fence.epoch, world.state.head().generation), (2, 2, 2));
    world.settle();
    assert_eq!(world.state.status(), "completed");
}

#[test]
fn a_step_whose_need_stays_failed_is_not_retried_alone() {
    let mut world = chain(&[Pure, Pure]);
    cancel(&mut world);
    conclude(&mut world);
    let alone = world.say(Command::Retry { steps: vec![B.into()], asked: asked() });
    assert!(matches!(alone, Err(Rejection::NothingToRetry(_))), "{alone:?}");
    world.say(Command::Retry { steps: vec![B.into(), A.into()], asked: asked() }).unwrap();
    assert_eq!(kind(&world, B), StepKind::Pending);
    world.settle();
    assert_eq!(world.state.status(), "completed");
}

#[test]
fn an_unknown_outcome_can_be_settled_after_the_run_was_cancelled() {
    for applied in [Some(value(4)), None] {
        let mut world = chain(&[AtMostOnce, Pure]);
        begin(&mut world, A);
        lose(&mut world, A);
        cancel(&mut world);
        assert_eq!(conclude(&mut world), Ending::Cancelled);
        assert_eq!(kind(&world, A), StepKind::OutcomeUnknown);
        world.say(Command::Retry { steps: vec![], asked: asked() }).expect_err("it must be settled first");
        world.say(Command::Resolve { step: A.into(), applied: applied.clone(), asked: asked() }).unwrap();
        let settled = if applied.is_some() { StepKind::Succeeded } else { StepKind::Cancelled };
        assert_eq!(kind(&world, A), settled);
        assert_eq!(world.state.status(), "cancelled", "settling it begins nothing");
        world.say(Command::Resolve { step: A.into(), applied, asked: asked() }).expect_err("it is settled");
        world.say(Command::Retry { steps: vec![], asked: asked() }).unwrap();
        world.settle();
        assert_eq!(world.state.status(), "completed");
    }
}

#[test]
fn settling_the_last_unknown_outcome_of_a_cancelled_run_can_complete_it() {
    let mut world = one(Shape::new(&[], AtMostOnce));
    begin(&mut world, A);
    lose(&mut world, A);
    cancel(&mut world);
    conclude(&mut world);
    world.say(Command::Resolve { step: A.into(), applied: Some(value(4)), asked: asked() }).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Conclude]);
    assert_eq!(conclude(&mut world), Ending::Completed);
}

#[test]
fn a_retried_step_waits_for_the_unknown_outcome_of_its_need() {
    let mut world = chain(&[AtMostOnce, Pure]);
    begin(&mut world, A);
    lose(&mut world, A);
    cancel(&mut world);
    conclude(&mut world);
    world.say(Command::Retry { steps: vec![B.into()], asked: asked() }).unwrap();
    assert_eq!([A, B].map(|step| kind(&world, step)), [StepKind::OutcomeUnknown, StepKind::Pending]);
    assert_eq!(world.state.status(), "blocked");
    world.say(Command::Resolve { step: A.into(), applied: Some(value(4)), asked: asked() }).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Prepare(B.into())]);
}

#[test]
fn a_failure_above_is_seen_through_a_step_that_was_cancelled_before_it() {
    let pure = |needs: &[u32]| Shape::new(needs, Pure);
    let mut world = World::new(vec![pure(&[]), pure(&[0]), pure(&[]), pure(&[1, 2])]);
    let failing = begin(&mut world, A);
    cancel(&mut world);
    finish(&mut world, failing, failed()).unwrap();
    assert_eq!(conclude(&mut world), Ending::Cancelled);
    world.say(Command::Retry { steps: vec![C.into()], asked: asked() }).unwrap();
    let right = begin(&mut world, C);
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Prepare(StepIx(3).into())]);
    assert!(world.state.standing(StepIx(3).into()).failure);
}

#[test]
fn nothing_is_retried_above_a_step_whose_outcome_is_unknown() {
    let mut world = World::new(vec![Shape::new(&[], Pure), Shape::new(&[0], AtMostOnce).judging()]);
    let failing = begin(&mut world, A);
    finish(&mut world, failing, failed()).unwrap();
    begin(&mut world, B);
    lose(&mut world, B);
    cancel(&mut world);
    assert_eq!(conclude(&mut world), Ending::Cancelled);
    let retry = || Command::Retry { steps: vec![A.into()], asked: asked() };
    assert!(matches!(world.say(retry()), Err(Rejection::NothingToRetry(_))));
    world.say(Command::Resolve { step: B.into(), applied: None, asked: asked() }).unwrap();
    world.say(retry()).unwrap();
    world.settle();
    assert_eq!(world.state.status(), "completed");
}

// The loader

#[test]
fn a_log_that_breaks_the_rules_is_refused() {
    let mut world =
        World::new(vec![Shape::new(&[], AtMostOnce), Shape::new(&[], Pure), Shape::new(&[1], Pure)]);
    let running = begin(&mut world, A);
    let stranger = owner(77);
    let lost = |owner| StepLost { step: A.into(), attempt: 1, owner, then: AfterLoss::Unknown };
    force(&world, lost(stranger)).expect_err("lost with someone who did not execute it");
    force(&world, lost(running.fence.owner)).expect("lost with its executor");
    let fail = |step, attempt| StepFailed { step, attempt, error: error(ErrorClass::Failed), retry_at: None };
    force(&world, fail(A.into(), 0)).expect_err("no attempt has failed, while one runs");
    force(&world, fail(B.into(), 1)).expect_err("an attempt has failed that was never begun");
    let wait = |step, attempt, on, until| StepWaiting { step, attempt, on, until };
    let approval = || question(1, OnExpiry::Fail);
    force(&world, wait(A.into(), 0, approval(), None))
        .expect_err("asked before the first attempt, while it runs");
    force(&world, wait(B.into(), 1, approval(), None)).expect_err("an attempt waits that was never begun");
    force(&world, wait(A.into(), 1, WaitOn::Until, None)).expect_err("waits for nothing");
    force(&world, StepDue { step: B.into() }).expect_err("it was not waiting");
    finish(&mut world, running, Finished::Waiting { on: approval(), until: None }).unwrap();
    let arrive = |attempt, arrival| StepArrived { step: A.into(), attempt, arrival };
    force(&world, arrive(2, decided(true))).expect_err("arrived for another attempt");
    force(&world, arrive(0, decided(true))).expect_err("arrived for none");
    world.say(Command::Prepared { step: B.into(), verdict: ask(1, None) }).unwrap();
    let grant = force(&world, StepArrived { step: B.into(), attempt: 0, arrival: Arrival::Due });
    grant.expect_err("the clock grants nothing");
    cancel(&mut world);
    let intent = IntentChanged { intent: Intent::Proceed, by: "x".into(), reason: None };
    force(&world, intent).expect_err("a cancelled run goes on");
    let mut world = one(Shape::new(&[], AtMostOnce));
    begin(&mut world, A);
    lose(&mut world, A);
    cancel(&mut world);
    conclude(&mut world);
    let reopen =
        |steps| RunReopened { generation: 2, steps, inside: Vec::new(), by: "x".into(), reason: None };
    force(&world, reopen(vec![A.into()])).expect_err("an unknown outcome is forgotten");
    force(&world, reopen(vec![])).expect("and may be settled in a later generation");
}

#[test]
fn no_state_that_has_ended_is_left() {
    let left: Vec<_> = TRANSITIONS.iter().filter(|(from, ..)| from.is_terminal()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn more_failures_than_the_policy_allows_are_a_violation() {
    let mut world = one(Shape::new(&[], Pure).retried(1));
    let running = begin(&mut world, A);
    let begun = StepBegun {
        step: A.into(),
        attempt: 2,
        epoch: 2,
        owner: running.fence.owner,
        effect: Pure,
        request: world.state.slot(A).request.clone().expect("it has begun"),
        decision: DecisionId::from_uuid(Uuid::from_u128(5)),
        holds: Holds::default(),
    };
    let now = world.now;
    let fail = |attempt| StepFailed {
        step: A.into(),
        attempt,
        error: error(ErrorClass::Failed),
        retry_at: Some(now),
    };
    world.state = force(&world, fail(1)).unwrap();
    world.state = force(&world, StepDue { step: A.into() }).unwrap();
    world.state = force(&world, begun).unwrap();
    check(&world.state).unwrap();
    world.state = force(&world, fail(2)).unwrap();
    check(&world.state).unwrap_err();
}

#[test]
fn a_retried_step_waits_for_a_need_that_stands_below_it_in_the_text() {
    let mut world = World::new(vec![Shape::new(&[1], Pure), Shape::new(&[], Pure)]);
    let right = begin(&mut world, B);
    finish(&mut world, right, failed()).unwrap();
    world.say(Command::Prepared { step: A.into(), verdict: Prepared::Skip }).unwrap();
    world.say(Command::Conclude(Ok(value(1)))).unwrap();
    let (steps, inside, by, reason) = (vec![B.into()], Vec::new(), "someone".into(), None);
    let reopened = RunReopened { generation: 3, steps, inside, by, reason };
    force(&world, reopened).expect_err("a generation is left out");
    world.say(Command::Retry { steps: vec![B.into()], asked: asked() }).unwrap();
    assert_eq!((kind(&world, A), kind(&world, B)), (StepKind::Pending, StepKind::Ready));
    world.settle();
}
