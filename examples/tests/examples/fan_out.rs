//! `fan-out.yaml`

use crate::bench::{Bench, step};

#[test]
fn every_text_and_every_combination_has_its_own_attempt() {
    let bench = Bench::new();
    let report = bench.run("fan-out.yaml", &[]);
    assert_eq!(report["outputs"]["counted"], "counted 1, 2, 3");
    assert_eq!(report["outputs"]["combinations"], 3);
    assert_eq!(report["outputs"]["optional"], "failed");
    assert_eq!(step(&report, "optional")["status"], "failed");
    let items: Vec<&serde_json::Value> = report["steps"]
        .as_array()
        .expect("a list of steps")
        .iter()
        .filter(|step| step["id"] == "count" && !step["item"].is_null())
        .collect();
    let words: Vec<&serde_json::Value> = items.iter().map(|item| &item["output"]["words"]).collect();
    assert_eq!(
        items.iter().map(|item| item["item"].as_u64()).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2)]
    );
    assert_eq!(words, ["1", "2", "3"], "in the order of the list");
    let logs = bench.orchestrator(&["runs", "logs", "@last", "--step", "count[1]"]);
    assert_eq!((logs.code, &*logs.stdout), (Some(0), "text 1: two words\n"), "{logs:?}");
}

#[test]
fn an_empty_list_is_no_failure() {
    let report = Bench::new().run("fan-out.yaml", &["texts=[]"]);
    assert_eq!(report["outputs"]["counted"], "counted ");
    assert_eq!(step(&report, "count")["status"], "completed");
}
