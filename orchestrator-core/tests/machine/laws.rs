//! What holds of every run, whatever is said to it.

use std::cell::RefCell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use orchestrator_core::machine::Event;
use orchestrator_core::machine::transitions::{Row, TRANSITIONS};

use crate::act::{Act, play, script};
use crate::children::is_of_children;
use crate::flow::{Shape, shapes};
use crate::items::is_of_items;
use crate::stages::is_of_deadlines;
use crate::view::Coverage;
use crate::world::{World, hold};

/// A run under a script: every law is held on the way ([`World::say`]), then it is brought to its end.
fn live(shapes: Vec<Shape>, after: Option<Duration>, bounded: bool, script: &[Act]) -> World {
    let mut world = World::held_up(shapes, after, bounded.then(|| hold(0)));
    play(&mut world, script);
    world.check_fold();
    world.settle();
    world.check_fold();
    world
}

/// Few runs are put off: nothing happens to them until they are due.
fn after() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![19 => Just(None), 1 => (1..2_000u64).prop_map(|millis| Some(Duration::from_millis(millis)))]
}

/// Some runs need a place before anything of them begins.
fn bounded() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.25)
}

proptest! {
    #![proptest_config(Config { cases: 2048, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_law_holds_and_every_run_can_end(
        shapes in shapes(), after in after(), bounded in bounded(), script in script()
    ) {
        live(shapes, after, bounded, &script);
    }
}

/// What commands are answered with, now and then.
const ANSWERS: [&str; 41] = [
    "take: the run is driven by another",
    "release: superseded: a later attempt or driver has taken over",
    "finish: superseded: a later attempt or driver has taken over",
    "begin: the run is paused",
    "begin: the run is put off",
    "begin: the run is without its place",
    "enter: ok",
    "enter: superseded: a later attempt or driver has taken over",
    "stand in line: ok",
    "turn away: ok",
    "turn away: ok, nothing",
    "begin now: ok",
    "begin now: ok, nothing",
    "begin: there is no such step",
    "begin: the step is without its needs, not ready",
    "ask: the approval has been granted: the step may begin",
    "decide: the approval has expired",
    "decide: the approval was asked anew with other content: look at it again",
    "judge: ok",
    "judge: it can no longer be judged: its time is over",
    "judge: it can no longer be judged: it is about another attempt: look at it again",
    "signal: ok",
    "signal: the run is being cancelled",
    "lost: ok, nothing",
    "offer: ok",
    "offer: the run is paused",
    "offer: superseded: a later attempt or driver has taken over",
    "offer again: ok",
    "claimed: ok",
    "claimed: ok, nothing",
    "claimed: superseded: a later attempt or driver has taken over",
    "withdraw: ok",
    "withdraw: superseded: a later attempt or driver has taken over",
    "pause: the run is being cancelled",
    "retry: ok, after the end",
    "retry: the run has not ended yet",
    "retry: an unknown outcome must be resolved first",
    "retry: a step it needs has not completed: retry that one",
    "resolve: ok, after the end",
    "reconcile: ok",
    "reconcile: superseded: a later attempt or driver has taken over",
];

#[test]
fn every_row_of_the_table_is_reached() {
    let seen = RefCell::new(Coverage::default());
    let config = Config { cases: 6144, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&(shapes(), after(), bounded(), script()), |(shapes, after, bounded, script)| {
            let world = live(shapes, after, bounded, &script);
            seen.borrow_mut().add(world.coverage);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    let plain = || {
        let elsewhere = |row: &&Row| {
            is_of_items(row) || is_of_deadlines(row) || is_of_children(row) || row.1 == "step.kept"
        };
        TRANSITIONS.iter().filter(move |row| !elsewhere(row))
    };
    for (from, event, to) in plain() {
        let count = seen.rows.get(&(*from, *event, *to)).copied().unwrap_or_default();
        println!("{count:>7}  {from:?} --{event}--> {to:?}");
    }
    for (what, count) in seen.answers.iter().map(|(what, count)| (what.as_str(), count)) {
        println!("{count:>7}  {what}");
    }
    for (what, count) in seen.kinds.iter().chain(&seen.statuses) {
        println!("{count:>7}  {what}");
    }
    let missed: Vec<_> = plain().filter(|row| !seen.rows.contains_key(*row)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    let unheard: Vec<_> = Event::KINDS
        .iter()
        .filter(|kind| {
            !seen.kinds.contains_key(*kind)
                && !of_items_alone(kind)
                && !["run.stage", "run.forked", "run.overdue", "step.overdue", "step.kept"].contains(*kind)
        })
        .collect();
    assert!(unheard.is_empty(), "never happened: {unheard:?}");
    for status in ["pending", "running", "paused", "blocked", "completed", "failed", "cancelled"] {
        assert!(seen.statuses.contains_key(status), "no run was ever {status}");
    }
    for answer in ANSWERS {
        assert!(seen.answers.contains_key(answer), "never answered: {answer}");
    }
}

/// Whether a kind of event happens only to steps that have items.
fn of_items_alone(kind: &str) -> bool {
    TRANSITIONS.iter().filter(|row| row.1 == kind).all(is_of_items) && kind.starts_with("step.")
}
