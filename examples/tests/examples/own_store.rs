//! `own_store`

// The store itself, as the program has it.
#[path = "../../own_store/mirror.rs"]
mod mirror;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::MemoryStore;
use orchestrator_core::port::store::Store;
use orchestrator_core::testkit::{self, Backend, Place};
use serde_json::Value;

use crate::bench::Bench;
use mirror::Mirrored;

#[derive(Debug)]
struct Here(Arc<Mirrored<MemoryStore>>);

#[async_trait]
impl Place for Here {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

struct Mirrors(PathBuf);

#[async_trait]
impl Backend for Mirrors {
    async fn fresh(&self) -> Arc<dyn Place> {
        let store = Mirrored::new(MemoryStore::new(), &self.0).expect("a file");
        Arc::new(Here(Arc::new(store)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_kit() {
    let bench = Bench::new();
    testkit::run(&Mirrors(bench.path().join("changes.jsonl"))).await;
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
