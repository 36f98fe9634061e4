//! Which wrong store fails which case.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::list::{ALL, Wrong};
use super::place::{WrongBackend, lock};
use crate::testkit::kit::attempt;
use crate::testkit::matrix::{PATIENCE, hold};
use crate::testkit::{CASES, Case, Group, Model, compare, failures};

/// In a runtime of its own where an engine is in it: one that its store has driven to despair ends with it.
async fn fails(wrong: Wrong, case: Case) -> bool {
    let backend = Arc::new(WrongBackend::new(wrong));
    match case.group {
        Group::Store => return attempt(&case, backend, PATIENCE).await.is_err(),
        // It waits for nothing, and is long.
        Group::Model => return attempt(&case, backend, PATIENCE * 20).await.is_err(),
        Group::Engine | Group::Queue => {}
    }
    let apart = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        let failed = runtime.block_on(attempt(&case, backend, PATIENCE)).is_err();
        runtime.shutdown_background();
        failed
    };
    tokio::task::spawn_blocking(apart).await.expect("a trial ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_store_is_noticed_by_its_case_and_every_case_notices_one() {
    hold(ALL, CASES, fails).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_right_passes_whatever_its_place_can_do() {
    for right in [Wrong::Nothing, Wrong::NothingKept] {
        let failed = failures(WrongBackend::new(right)).await;
        let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
        assert!(failed.is_empty(), "{right:?}: {}", told.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_calls_what_it_says_it_covers() {
    let mut lies = Vec::new();
    for case in CASES {
        let backend = WrongBackend::new(Wrong::Nothing);
        attempt(case, Arc::new(backend.clone()), PATIENCE * 6).await.expect("what is right passes");
        let worlds = lock(&backend.worlds.0);
        let called: BTreeSet<&str> = worlds.iter().flat_map(|world| lock(&world.called).clone()).collect();
        assert!(!called.is_empty(), "{} calls nothing", case.name);
        let not_called = case.covers.iter().filter(|method| !called.contains(**method));
        lies.extend(not_called.map(|method| format!("{}: {method}", case.name)));
    }
    assert!(lies.is_empty(), "said to be covered, and not called: {lies:#?}");
}

/// A store that forgets asserted deaths, so that a difference is shown by one member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_is_told_by_few_operations_and_comes_again() {
    let model = Model { seed: 1, worlds: 50, length: 40 };
    let found =
        compare(WrongBackend::new(Wrong::IgnoresAssertedDeaths), model).await.expect_err("it is wrong");
    assert!(found.operations.len() <= 2, "{found}");
    let told = found.operations.concat();
    assert!(told.contains("dead: Some") && !told.contains("key: Some"), "{found}");
    assert!(found.memory.contains("Fenced"), "{found}");
    let again = Model { seed: found.seed, worlds: 1, ..model };
    let backend = WrongBackend::new(Wrong::IgnoresAssertedDeaths);
    assert_eq!(compare(backend, again).await, Err(found));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_seeds_are_other_worlds_and_memory_agrees_with_itself() {
    let model = Model { seed: 0x5eed, worlds: 40, length: 60 };
    assert_eq!(compare(WrongBackend::new(Wrong::Nothing), model).await, Ok(()));
}
