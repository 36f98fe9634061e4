//! The kit on the memory store, and the kit itself.

use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::machine::Event;
use crate::memory::MemoryStore;
use crate::port::store::Store;

#[derive(Debug)]
struct Memory(Arc<MemoryStore>);

#[async_trait]
impl Place for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

struct Memories;

#[async_trait]
impl Backend for Memories {
    async fn fresh(&self) -> Arc<dyn Place> {
        Arc::new(Memory(Arc::new(MemoryStore::new())))
    }
}

#[tokio::test]
async fn the_memory_store_conforms() {
    run(&Memories).await;
}

#[test]
fn every_method_of_the_port_has_a_case() {
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
    let covers = |method: &str| CASES.iter().any(|case| case.covers.contains(&method));
    let missing: Vec<&&str> = methods.iter().filter(|method| !covers(method)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let unknown = CASES.iter().flat_map(|case| case.covers).find(|name| !methods.contains(name));
    assert_eq!(unknown, None, "a case covers what is no method");
}

#[test]
fn the_samples_have_every_kind_of_event() {
    let kinds: Vec<&str> = every_event().iter().map(Event::kind).collect();
    let missing: Vec<&&str> = Event::KINDS.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "no sample of {missing:?}");
}
