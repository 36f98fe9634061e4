//! The house rules of the workspace, held by reading its sources and its dependency graph.
//!
//! Each rule lives in a module of its own, with the faults it must catch planted beside it: a rule that catches nothing
//! is no rule. `docs/CONTRIBUTING.md` tells the rules to people.

mod arrows;
mod crates;
mod faces;
mod kit;
mod licence;
mod markdown;
mod names;
mod papers;
mod promises;
mod purity;
mod rust;
mod sizes;
mod source;
mod unfinished;
mod waits;
mod workspace;

use std::sync::LazyLock;

use source::Source;
use workspace::Workspace;

/// Read once, although every rule is a test of its own.
static HOUSE: LazyLock<Workspace> = LazyLock::new(Workspace::read);

/// Something that breaks a rule: where, and what to do about it.
type Fault = String;

/// Fails with every fault at once, so that one run is enough to mend them all.
fn hold(rule: &str, faults: &[Fault]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}

/// Holds a rule that looks at one source file at a time.
fn hold_of_sources(rule: &str, check: impl Fn(&Source) -> Vec<Fault>) {
    assert!(HOUSE.sources.len() > 50, "only {} sources found: the walk is broken", HOUSE.sources.len());
    let faults: Vec<Fault> = HOUSE.sources.iter().flat_map(check).collect();
    hold(rule, &faults);
}

#[test]
fn crates_depend_only_downwards() {
    hold("a crate may not depend on that one", &crates::arrows(&HOUSE.metadata()));
}

#[test]
fn drivers_and_servers_are_named_only_where_they_belong() {
    hold_of_sources("this crate may not name that library", crates::foreign_names);
}

#[test]
fn no_banned_and_no_unlicensed_crates() {
    let metadata = HOUSE.metadata();
    hold("a crate that is not wanted here", &crates::banned(&metadata));
    hold("a licence that is not on the list", &crates::licences(&metadata));
    hold("a crate that is not from the registry", &crates::origins(&metadata));
}

#[test]
fn core_stays_small() {
    hold("what a host program must build", &crates::tree_of_core(&HOUSE.tree_of("orchestrator-core")));
}

#[test]
fn every_manifest_takes_the_lints_and_unpublished_crates_say_so() {
    hold("manifests", &crates::manifests(&HOUSE));
}

#[test]
fn modules_of_core_depend_only_downwards() {
    hold_of_sources("an arrow up", arrows::check);
}

#[test]
fn the_rules_are_pure() {
    hold_of_sources("the pure part of core knows no clock, no chance and no I/O", purity::check);
}

#[test]
fn files_and_functions_are_short() {
    hold_of_sources("too long", sizes::check);
}

#[test]
fn faces_hold_no_code() {
    hold_of_sources("a `lib.rs` or `mod.rs` is a face", faces::check);
}

#[test]
fn nothing_has_a_name_that_says_nothing() {
    hold_of_sources("a name that says nothing", names::check);
}

#[test]
fn tests_do_not_sleep() {
    hold_of_sources("a test waits for an event, not for time to pass", waits::check);
}

#[test]
fn nothing_is_left_unfinished() {
    hold_of_sources("unfinished", unfinished::check);
}

#[test]
fn every_method_of_stores_and_queues_has_a_case_in_the_kit() {
    hold("a port method without a conformance case", &kit::check(&HOUSE.sources));
}

#[test]
fn papers_are_in_order() {
    hold("papers", &papers::check(&HOUSE));
}

#[test]
fn every_promise_names_what_checks_it() {
    hold("promises", &promises::check(&HOUSE));
}
