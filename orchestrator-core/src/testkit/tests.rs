//! The kit on the memory store, and the kit itself.

use std::sync::Arc;

use super::kit::wanted;
use super::*;
use crate::machine::Event;
use crate::memory::MemoryStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_conforms() {
    run(|| async { Arc::new(MemoryStore::new()) }).await;
}

/// The methods of the port, read from its source.
fn methods() -> Vec<&'static str> {
    let source = include_str!("../port/store/contract.rs");
    let port =
        source.split_once("pub trait Store:").expect("the trait").1.split_once("\n}\n").expect("its end").0;
    let names = port.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")?.split_once('(').map(|(name, _)| name)
    });
    let methods: Vec<&str> = names.collect();
    assert!(methods.contains(&"commit") && methods.len() > 20, "read from the source: {methods:?}");
    methods
}

fn covers(case: &Case, method: &str) -> bool {
    case.covers.contains(&method)
}

#[test]
fn every_method_of_the_port_has_a_case() {
    let methods = methods();
    let missing: Vec<&&str> =
        methods.iter().filter(|method| !CASES.iter().any(|case| covers(case, method))).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let unknown = CASES.iter().flat_map(|case| case.covers).find(|name| !methods.contains(name));
    assert_eq!(unknown, None, "a case covers what is no method");
}

#[test]
fn every_method_is_asked_of_a_closed_store_and_for_what_does_not_exist() {
    // What it is, a store says without being asked; these ask for nothing that could be missing.
    let of_the_whole =
        ["describe", "now", "change_mark", "changed_since", "owners", "register", "health", "close"];
    // It has no answer of its own.
    let waits = "changed_since";
    let case = |name: &str| *CASES.iter().find(|case| case.name == name).expect("the case");
    let closed = case("a_closed_store_is_unavailable");
    let unknown = case("what_does_not_exist_is_not_there");
    for method in methods() {
        let says = method != "describe" && method != waits;
        assert!(!says || covers(&closed, method), "`{method}` of a closed store");
        assert!(of_the_whole.contains(&method) || covers(&unknown, method), "`{method}` for an unknown id");
    }
}

#[test]
fn cases_have_names_of_their_own_and_are_found_by_them() {
    let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CASES.len());
    assert_eq!(wanted("", CASES).len(), CASES.len());
    let two = wanted("a_run_is_created_once, a_key_starts_one_run", CASES);
    assert_eq!(
        two.iter().map(|case| case.name).collect::<Vec<_>>(),
        ["a_run_is_created_once", "a_key_starts_one_run"]
    );
    assert!(wanted("store", CASES).iter().all(|case| case.group == Group::Store));
}

#[test]
#[should_panic(expected = "neither a case nor a group")]
fn a_name_that_nothing_has_is_no_reason_to_run_nothing() {
    wanted("a_run_is_created_once,a_run_is_crated_once", CASES);
}

#[tokio::test]
async fn a_failure_says_what_was_expected_and_how_to_run_it_alone() {
    let failure = Failure { case: CASES[0], found: "left: 1\nright: 2".to_owned() };
    let told = failure.to_string();
    let expected = "a_created_run_is_there_whole (store; commit, load, run)\n  \
                    expected: a created run is there whole\n  found: left: 1\n    right: 2\n  \
                    this one alone: ORCHESTRATOR_KIT=a_created_run_is_there_whole cargo test\n";
    assert_eq!(told, expected);
}

#[test]
fn the_samples_have_every_kind_of_event() {
    let kinds: Vec<&str> = every_event().iter().map(Event::kind).collect();
    let missing: Vec<&&str> = Event::KINDS.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "no sample of {missing:?}");
}
