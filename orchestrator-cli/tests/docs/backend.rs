//! `docs/writing-a-backend.md` says of every method of the store what it must do, and names cases that there are.

use std::fs;

use crate::page::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The methods of the port, read from its source.
fn methods(source: &str) -> Vec<&str> {
    let port = source.split_once("pub trait Store:").unwrap().1.split_once("\n}\n").unwrap().0;
    let names = port.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
    names.map(|(name, _)| name).collect()
}

#[test]
fn every_method_of_the_store_is_told() {
    let (page, source) =
        (read("docs/writing-a-backend.md"), read("orchestrator-core/src/port/store/contract.rs"));
    let table = page.split_once("## Method by method").unwrap().1.split_once("\n## ").unwrap().0;
    let methods = methods(&source);
    assert!(methods.len() > 20, "{methods:?}");
    let missing: Vec<&&str> =
        methods.iter().filter(|method| !table.contains(&format!("`{method}`"))).collect();
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
