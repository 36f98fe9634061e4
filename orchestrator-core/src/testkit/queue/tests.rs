//! The kit for queues on the queue in memory, and the kit itself.

use std::sync::Arc;

use super::*;
use crate::memory::MemoryQueue;
use crate::testkit::kit::wanted;
use crate::testkit::{CASES, Failure, HandClock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_queue_conforms() {
    run_queue(|| async {
        let clock = Arc::new(HandClock::default());
        let queue = MemoryQueue::with_clock(clock.clone()).with_letters(8);
        ClockedQueue { queue: Arc::new(queue), clock }
    })
    .await;
}

/// The methods of the port, read from its source.
fn methods() -> Vec<&'static str> {
    let source = include_str!("../../port/queue/contract.rs");
    let port =
        source.split_once("pub trait Queue:").expect("the trait").1.split_once("\n}\n").expect("its end").0;
    let names = port.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")?.split_once('(').map(|(name, _)| name)
    });
    names.collect()
}

#[test]
fn every_method_of_the_port_has_a_case() {
    let methods = methods();
    assert_eq!(
        methods,
        ["describe", "publish", "receive", "settle", "letters", "clear", "count", "wait", "close"]
    );
    let covered = |method: &str| QUEUE_CASES.iter().any(|case| case.covers.contains(&method));
    let missing: Vec<&&str> = methods.iter().filter(|method| !covered(method)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let unknown = QUEUE_CASES.iter().flat_map(|case| case.covers).find(|name| !methods.contains(name));
    assert_eq!(unknown, None, "a case covers what is no method");
}

#[test]
fn cases_are_found_by_name_and_not_confused_with_those_for_stores() {
    let mut names: Vec<&str> = QUEUE_CASES.iter().map(|case| case.name).collect();
    names.extend(CASES.iter().map(|case| case.name));
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "one variable names them all");
    assert_eq!(wanted("queue", QUEUE_CASES).len(), QUEUE_CASES.len());
    assert_eq!(wanted("queue, store", CASES).len(), wanted("store", CASES).len());
    assert_eq!(wanted("queue", CASES).len(), 0);
    let one = wanted("what_is_done_is_gone,a_key_starts_one_run", QUEUE_CASES);
    assert_eq!(one.iter().map(|case| case.name).collect::<Vec<_>>(), ["what_is_done_is_gone"]);
}

#[test]
fn a_failure_says_how_to_run_it_alone() {
    let told = Failure { case: QUEUE_CASES[0], found: "nothing".to_owned() }.to_string();
    let expected = "a_published_ticket_comes_as_it_was (queue; publish, receive, settle)\n  \
                    expected: a published ticket comes as it was\n  found: nothing\n  \
                    this one alone: ORCHESTRATOR_KIT=a_published_ticket_comes_as_it_was cargo test\n";
    assert_eq!(told, expected);
}
