//! `own_store`

// The store itself, as the program has it.
#[path = "../../own_store/mirror.rs"]
mod mirror;

use std::sync::Arc;

use orchestrator_core::{MemoryStore, testkit};
use serde_json::Value;

use crate::bench::Bench;
use mirror::Mirrored;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_kit() {
    let bench = Bench::new();
    let file = bench.path().join("changes.jsonl");
    let fresh = move || {
        let store = Mirrored::new(MemoryStore::new(), &file).expect("a file");
        async { Arc::new(store) }
    };
    testkit::run(fresh).await;
}

#[test]
fn every_event_is_mirrored_once_and_in_order() {
    let bench = Bench::new();
    let done = bench.command(env!("CARGO_BIN_EXE_own_store"), &["changes.jsonl"]);
    assert_eq!((done.code, &*done.stdout), (Some(0), "84\n"), "{done:?}");
    let text = bench.file("changes.jsonl").expect("the mirror is there");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>(), "{text}");
    let succeeded = lines.iter().filter(|line| line["kind"] == "step.succeeded").count();
    assert_eq!(succeeded, 2, "{text}");
    let last_status = lines.last().map(|line| &line["status"]);
    assert_eq!(last_status, Some(&Value::from("completed")), "{text}");
}
