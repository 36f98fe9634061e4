//! Worked cases of attempts that others execute: offered, claimed in the store, delivered to it; withdrawn, or lost.

use orchestrator_core::machine::{
    Command, Effect, Ending, Event, Finished, Holds, Prepared, Rejection, Slot, StepClaimed, StepKind,
    StepOffered, StepState, StepWithdrawn, WaitOn, effect_of, is_to_stop, outstanding, wake_at,
};
use orchestrator_core::spec::EffectClass::{AtMostOnce, Idempotent, Pure};
use orchestrator_core::spec::OnExpiry;
use orchestrator_core::spec::retry::ErrorClass;

use crate::away::offer;
use crate::flow::Shape;
use crate::ledger::{Place, Right};
use crate::scene::{
    A, B, begin, cancel, conclude, error, failed, finish, force, kind, lose, one, question, right,
};
use crate::world::{World, approve, asked, decided, fence, value};

/// Offers a step; gives the right that a claim of it would give.
fn offered(world: &mut World) -> u64 {
    let verdict = Prepared::Offer { begin: world.begin(A, 0), offer: offer() };
    world.say(Command::Prepared { step: A.into(), verdict }).expect("it is ready");
    world.state.slot(A).epoch
}

/// Somebody claims it, and the log learns of that.
fn claimed(world: &mut World) -> Right {
    world.claim(A, world.owner(2));
    let claimed = world.claimed(A).expect("it is offered");
    world.say(claimed).expect("a claim is a fact");
    right(world, A)
}

#[test]
fn an_offer_waits_for_no_slot_no_driver_and_no_person() {
    let mut world = one(Shape::new(&[], Pure));
    let driver = world.owner(0);
    world.say(Command::TakeDriver { owner: driver, dead: None }).unwrap();
    offered(&mut world);
    world.say(Command::ReleaseDriver(fence(1, driver))).unwrap();
    assert_eq!((outstanding(&world.state), wake_at(&world.state)), (vec![], None));
    assert_eq!((world.state.status(), world.state.slot(A).state.shown()), ("running", "queued"));
    let right = claimed(&mut world);
    assert_eq!((outstanding(&world.state), wake_at(&world.state)), (vec![], None));
    assert_eq!((world.state.status(), world.state.slot(A).state.shown()), ("running", "claimed"));
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(conclude(&mut world), Ending::Completed);
}

#[test]
fn an_attempt_that_was_claimed_began_when_it_was() {
    let mut world = one(Shape::new(&[], Pure));
    offered(&mut world);
    world.pass(500);
    world.claim(A, world.owner(1));
    let when = world.now;
    world.pass(500);
    world.say(world.claimed(A).unwrap()).unwrap();
    assert_eq!(world.state.slot(A).began_at, Some(when));
}

#[test]
fn the_clock_of_the_store_may_be_another() {
    for (early, late) in [(true, false), (false, true)] {
        let mut world = one(Shape::new(&[], Pure));
        let epoch = offered(&mut world);
        let before = world.now;
        world.pass(500);
        let at = match early {
            true => before - std::time::Duration::from_secs(9),
            false => world.now + std::time::Duration::from_secs(9),
        };
        let fence = fence(epoch, world.owner(1));
        world.say(Command::Claimed { step: A.into(), attempt: 1, fence, at }).unwrap();
        let expected = if late { world.now } else { before };
        assert_eq!(world.state.slot(A).began_at, Some(expected));
    }
}

#[test]
fn what_is_delivered_counts_once_and_for_its_own_right_alone() {
    let mut world = one(Shape::new(&[], Pure).retried(3));
    let epoch = offered(&mut world);
    let unclaimed = Right { step: A, attempt: 1, fence: fence(epoch, world.owner(1)) };
    assert_eq!(finish(&mut world, unclaimed, Finished::Succeeded(value(1))), Err(Rejection::Fenced));
    let first = claimed(&mut world);
    let told_again = Command::Claimed { step: A.into(), attempt: 1, fence: first.fence, at: world.now };
    assert_eq!(world.say(told_again.clone()), Ok(vec![]));
    finish(&mut world, first, failed()).unwrap();
    world.pass(1_000);
    world.say(Command::Wake).unwrap();
    offered(&mut world);
    assert_eq!(world.say(told_again), Err(Rejection::Fenced), "that right is over");
    assert_eq!(finish(&mut world, first, Finished::Succeeded(value(1))), Err(Rejection::Fenced));
    let second = claimed(&mut world);
    assert_eq!((second.attempt, second.fence.epoch), (2, 2));
    finish(&mut world, second, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(conclude(&mut world), Ending::Completed);
}

#[test]
fn a_pause_takes_back_what_nobody_has_claimed_and_lets_the_rest_end() {
    let mut world = one(Shape::new(&[], Pure));
    let epoch = offered(&mut world);
    let request = world.state.slot(A).request.clone();
    world.say(Command::Pause(asked())).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Withdraw { step: A.into(), epoch }]);
    assert!(wake_at(&world.state).is_some(), "somebody must drive it for that");
    world.say(Command::Withdraw { step: A.into(), epoch }).unwrap();
    assert_eq!(kind(&world, A), StepKind::Ready);
    assert_eq!((outstanding(&world.state), wake_at(&world.state)), (vec![], None));
    world.say(Command::Resume(asked())).unwrap();
    world.pass(1);
    assert_eq!(offered(&mut world), epoch + 1, "the old right is void for ever");
    assert_eq!(world.state.slot(A).request, request, "the bytes of a generation stay the same");
    assert_eq!(world.say(Command::Withdraw { step: A.into(), epoch }), Err(Rejection::Fenced));

    world.say(Command::Pause(asked())).unwrap();
    let right = claimed(&mut world);
    assert_eq!(
        (outstanding(&world.state), is_to_stop(&world.state, A.into())),
        (vec![], false),
        "what runs goes on"
    );
    finish(&mut world, right, Finished::Succeeded(value(1))).unwrap();
    assert_eq!(world.state.slot(A).failures + world.state.slot(A).losses, 0);
}

#[test]
fn cancelling_takes_back_what_nobody_has_claimed_and_that_is_its_end() {
    let mut world = one(Shape::new(&[], AtMostOnce));
    let epoch = offered(&mut world);
    cancel(&mut world);
    assert_eq!(kind(&world, A), StepKind::Offered, "who has claimed it is not known to the log");
    world.say(Command::Conclude(Ok(value(1)))).expect_err("it is open");
    let events = world.say(Command::Withdraw { step: A.into(), epoch }).unwrap();
    assert!(matches!(&events[..], [Event::StepWithdrawn(_), Event::StepCancelled(_)]), "{events:?}");
    assert_eq!(conclude(&mut world), Ending::Cancelled);
}

#[test]
fn who_has_claimed_what_is_cancelled_is_told_to_stop_and_its_end_is_the_end_of_it() {
    for (effect, outcome, becomes) in [
        (Pure, Finished::Succeeded(value(1)), StepKind::Succeeded),
        (Pure, Finished::Interrupted, StepKind::Cancelled),
        (Pure, Finished::Lost, StepKind::Cancelled),
        (AtMostOnce, failed(), StepKind::Failed),
        (AtMostOnce, Finished::Lost, StepKind::OutcomeUnknown),
    ] {
        let mut world = one(Shape::new(&[], effect));
        offered(&mut world);
        cancel(&mut world);
        let right = claimed(&mut world);
        assert!(is_to_stop(&world.state, A.into()));
        assert_eq!((effect_of(&world.state, A.into()), wake_at(&world.state)), (None, None));
        finish(&mut world, right, outcome).unwrap();
        assert_eq!(kind(&world, A), becomes);
    }
}

#[test]
fn the_rows_of_what_is_executed_elsewhere_are_written_when_it_is_to_stop_and_those_of_offers_are_not() {
    let mut world = one(Shape::new(&[], Pure));
    offered(&mut world);
    world.state.take_touched();
    world.say(Command::Pause(asked())).unwrap();
    assert_eq!(world.state.take_touched(), []);
    claimed(&mut world);
    world.state.take_touched();
    cancel(&mut world);
    assert_eq!(world.state.take_touched(), [A.into()]);
}

#[test]
fn what_was_claimed_is_lost_only_when_the_store_says_so() {
    let mut world = one(Shape::new(&[], AtMostOnce));
    offered(&mut world);
    let right = claimed(&mut world);
    let owner = right.fence.owner;
    assert_eq!(world.say(Command::Lost { owner }), Ok(vec![]), "it may have delivered before it died");
    finish(&mut world, right, Finished::Lost).unwrap();
    assert_eq!(kind(&world, A), StepKind::OutcomeUnknown);
    world.say(Command::Resolve { step: A.into(), applied: None, asked: asked() }).unwrap();
    let here = begin(&mut world, A);
    assert_eq!(
        finish(&mut world, here, Finished::Lost),
        Err(Rejection::Fenced),
        "a driver's attempt is no claim"
    );
    lose(&mut world, A);
    assert_eq!(kind(&world, A), StepKind::OutcomeUnknown);
}

#[test]
fn what_kills_those_who_claim_it_is_quarantined_and_withdrawals_count_for_nothing() {
    let mut world = one(Shape::new(&[], Idempotent));
    for _ in 0..3 {
        let epoch = offered(&mut world);
        world.say(Command::Withdraw { step: A.into(), epoch }).unwrap();
        offered(&mut world);
        let right = claimed(&mut world);
        finish(&mut world, right, Finished::Lost).unwrap();
    }
    assert_eq!((kind(&world, A), world.state.slot(A).losses), (StepKind::Quarantined, 3));
}

#[test]
fn nobody_is_asked_twice_because_an_attempt_goes_on_elsewhere() {
    let mut world = one(Shape::new(&[], Pure));
    offered(&mut world);
    let asking = claimed(&mut world);
    let on = question(1, OnExpiry::Fail);
    finish(&mut world, asking, Finished::Waiting { on, until: None }).unwrap();
    world.say(approve(A, None, true)).unwrap();
    let again = |world: &World| Command::Offer { step: A.into(), owner: world.owner(0), offer: offer() };
    world.say(again(&world)).unwrap();
    let epoch = world.state.slot(A).epoch;
    world.say(Command::Withdraw { step: A.into(), epoch }).unwrap();
    assert_eq!(outstanding(&world.state), [Effect::Continue(A.into())]);
    world.say(again(&world)).unwrap();
    let lost = claimed(&mut world);
    finish(&mut world, lost, Finished::Lost).unwrap();
    world.say(again(&world)).unwrap();
    let right = claimed(&mut world);
    assert_eq!((right.attempt, right.fence.epoch), (1, 4), "the same attempt, under a right of its own");
    let StepState::Running { arrival, .. } = &world.state.slot(A).state else { panic!("it goes on") };
    assert_eq!(arrival.as_deref(), Some(&decided(true)));
    let late = Finished::Waiting { on: WaitOn::Until, until: None };
    assert_eq!(
        finish(&mut world, asking, late),
        Err(Rejection::Fenced),
        "said again, it is of another right"
    );
    finish(&mut world, right, Finished::Unknown(error(ErrorClass::Transient))).unwrap();
}

#[test]
fn only_the_driver_offers() {
    let mut world = World::new(vec![Shape::new(&[], Pure), Shape::new(&[0], Pure)]);
    let (driver, other) = (world.owner(0), world.owner(1));
    world.say(Command::TakeDriver { owner: driver, dead: None }).unwrap();
    let begin = orchestrator_core::machine::Begin { owner: other, ..world.begin(A, 0) };
    let verdict = Prepared::Offer { begin, offer: offer() };
    assert_eq!(world.say(Command::Prepared { step: A.into(), verdict }), Err(Rejection::Fenced));
    let verdict = Prepared::Offer { begin: world.begin(B, 0), offer: offer() };
    world.say(Command::Prepared { step: B.into(), verdict }).expect_err("its need has not ended");
    offered(&mut world);
    assert!(matches!(world.ledger.place(A), Some(Place::Offered { .. })));
}

#[test]
fn a_log_that_breaks_the_rules_of_offers_is_refused() {
    let mut world = one(Shape::new(&[], Pure));
    let (step, owner, claimed_at) = (A.into(), world.owner(1), world.now);
    let claim = |attempt, epoch| StepClaimed { step, attempt, epoch, owner, claimed_at };
    let offer = |attempt, epoch, request| StepOffered {
        step,
        attempt,
        epoch,
        effect: Pure,
        request,
        decision: None,
        queue: "gpu".into(),
        labels: std::collections::BTreeMap::new(),
        holds: Holds::default(),
        task: false,
    };
    for (attempt, epoch) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        force(&world, offer(attempt, epoch, value(1))).unwrap_err();
    }
    force(&world, claim(1, 1)).expect_err("nothing is offered");
    offered(&mut world);
    for (attempt, epoch) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        force(&world, claim(attempt, epoch)).unwrap_err();
        force(&world, StepWithdrawn { step, attempt, epoch }).unwrap_err();
    }
    force(&world, offer(2, 2, value(1))).expect_err("it is offered already");
    world.say(Command::Withdraw { step, epoch: 1 }).unwrap();
    force(&world, claim(1, 1)).expect_err("it is withdrawn");
    force(&world, offer(2, 2, value(999))).expect_err("another request than the first");
}

#[test]
fn ends_are_delivered_in_these_words() {
    let failed = Finished::Failed { error: error(ErrorClass::Transient), not_before: None };
    let waits = Finished::Waiting { on: WaitOn::Signal { name: "go".into() }, until: Some(world_time()) };
    for (end, text) in [
        (Finished::Succeeded(value(1)), r#"{"succeeded":{"inline":"1"}}"#),
        (failed, r#"{"failed":{"error":{"class":"transient","message":"it went wrong"}}}"#),
        (
            Finished::Unknown(error(ErrorClass::Failed)),
            r#"{"unknown":{"class":"failed","message":"it went wrong"}}"#,
        ),
        (waits, r#"{"waiting":{"on":{"signal":{"name":"go"}},"until":"1970-01-01T00:16:40.000Z"}}"#),
        (Finished::Interrupted, r#""interrupted""#),
    ] {
        assert_eq!(serde_json::to_string(&end).unwrap(), text);
        assert_eq!(serde_json::from_str::<Finished>(text).unwrap(), end);
    }
}

/// When the worlds of these tests begin.
fn world_time() -> orchestrator_core::time::Timestamp {
    one(Shape::new(&[], Pure)).now
}

#[test]
fn a_step_is_as_small_as_before() {
    assert_eq!((size_of::<StepState>(), size_of::<Slot>(), size_of::<Event>()), (40, 144, 88));
}

/// A task that is offered, and holds two places once it is claimed.
fn task() -> World {
    let mut world = one(Shape::new(&[], Idempotent).claimable());
    // At this time it is to hold some.
    world.pass(1);
    let begin = world.begin(A, 0);
    assert!(!begin.holds.is_empty());
    let offer = Prepared::Offer { begin, offer: offer() };
    world.say(Command::Prepared { step: A.into(), verdict: offer }).expect("it is offered");
    world
}

#[test]
fn a_task_holds_what_it_says_from_its_claim_on() {
    let mut world = task();
    let slot = world.state.slot(A);
    assert!(slot.held().is_empty() && !slot.holds().is_empty());
    assert!(world.state.is_blocked(), "only somebody from outside can move it");
    assert_eq!(wake_at(&world.state), None);
    let epoch = slot.epoch;
    let learned =
        Command::Claimed { step: A.into(), attempt: 1, fence: fence(epoch, world.owner(1)), at: world.now };
    world.say(learned).expect_err("the store gives no claims of tasks");
    let stale = world.claim_task(A, epoch - 1, world.owner(1));
    world.say(stale).expect_err("a right of the past");
    let claim = world.claim_task(A, epoch, world.owner(1));
    world.say(claim).expect("it is open");
    assert_eq!(world.state.slot(A).held(), world.state.slot(A).holds());
    let other = world.claim_task(A, epoch, world.owner(2));
    world.say(other).expect_err("it is claimed");
    let right = right(&world, A);
    finish(&mut world, right, Finished::Succeeded(value(1))).expect("it is done");
    assert!(world.state.slot(A).held().is_empty());
}

#[test]
fn a_task_of_a_run_that_is_held_is_not_claimed() {
    for hold in [Command::Pause(asked()), Command::Cancel(asked())] {
        let mut world = task();
        world.say(hold).expect("it can be held");
        let epoch = world.state.slot(A).epoch;
        let claim = world.claim_task(A, epoch, world.owner(1));
        world.say(claim).expect_err("nothing begins");
        let withdraws = [Effect::Withdraw { step: A.into(), epoch }];
        assert_eq!(outstanding(&world.state), withdraws, "it is taken back");
        world.settle();
    }
}
