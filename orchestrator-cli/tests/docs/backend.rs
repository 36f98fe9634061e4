//! `docs/writing-a-backend.md` says of every method of stores and queues what it must do, and names cases that there are.

use std::fs;

use crate::page::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The methods of a port, read from its source.
fn methods<'s>(source: &'s str, port: &str) -> Vec<&'s str> {
    let body = source.split_once(&format!("pub trait {port}:")).unwrap().1.split_once("\n}\n").unwrap().0;
    let names = body.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
    names.map(|(name, _)| name).collect()
}

/// Those methods of a port of which a section of the page says nothing, and how many there are.
fn untold(port: &str, source: &str, heading: &str) -> (Vec<String>, usize) {
    let (page, source) = (read("docs/writing-a-backend.md"), read(source));
    let section = page.split_once(heading).unwrap().1.split_once("\n## ").unwrap().0;
    let methods = methods(&source, port);
    let missing = methods.iter().filter(|method| !section.contains(&format!("`{method}`")));
    (missing.map(ToString::to_string).collect(), methods.len())
}

#[test]
fn every_method_of_the_store_is_told() {
    let (missing, all) =
        untold("Store", "orchestrator-core/src/port/store/contract.rs", "## Method by method");
    assert!(all > 20, "{all}");
    assert!(missing.is_empty(), "the page does not say what {missing:?} must do");
}

#[test]
fn every_method_of_the_queue_is_told() {
    let (missing, all) = untold("Queue", "orchestrator-core/src/port/queue/contract.rs", "\n## A queue\n");
    assert_eq!(all, 9);
    assert!(missing.is_empty(), "the page does not say what {missing:?} must do");
}

#[test]
fn the_case_that_is_shown_is_one() {
    let (page, cases) =
        (read("docs/writing-a-backend.md"), read("orchestrator-core/src/testkit/cases/mod.rs"));
    let shown = page.lines().filter_map(|line| line.trim().strip_prefix("this one alone: ORCHESTRATOR_KIT="));
    let shown: Vec<&str> = shown.filter_map(|rest| rest.strip_suffix(" cargo test")).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(cases.contains(&format!("::{} covers", shown[0])), "there is no case `{}`", shown[0]);
}
