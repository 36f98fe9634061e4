//! Which wrong queue fails which case.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::list::{ALL, RIGHT, Wrong};
use super::place::{WrongBackend, lock};
use crate::testkit::QUEUE_CASES;
use crate::testkit::kit::attempt;
use crate::testkit::matrix::{PATIENCE, hold};
use crate::testkit::queue::{QueueBackend, queue_failures};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_queue_is_noticed_by_its_case_and_every_case_notices_one() {
    hold(ALL, QUEUE_CASES, |wrong, case| async move {
        let backend: Arc<dyn QueueBackend> = Arc::new(WrongBackend::new(wrong));
        attempt(&case, backend, PATIENCE).await.is_err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_right_passes_whatever_it_can_do() {
    for right in RIGHT {
        let failed = queue_failures(WrongBackend::new(right)).await;
        let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
        assert!(failed.is_empty(), "{right:?}: {}", told.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_calls_what_it_says_it_covers() {
    let mut lies = Vec::new();
    for case in QUEUE_CASES {
        let backend = WrongBackend::new(Wrong::Nothing);
        let right: Arc<dyn QueueBackend> = Arc::new(backend.clone());
        attempt(case, right, PATIENCE * 6).await.expect("what is right passes");
        let worlds = lock(&backend.worlds);
        let called: BTreeSet<&str> = worlds.iter().flat_map(|world| lock(&world.called).clone()).collect();
        let not_called = case.covers.iter().filter(|method| !called.contains(**method));
        lies.extend(not_called.map(|method| format!("{}: {method}", case.name)));
    }
    assert!(lies.is_empty(), "said to be covered, and not called: {lies:#?}");
}
