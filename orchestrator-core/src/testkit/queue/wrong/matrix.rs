//! Which wrong queue fails which case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::list::{ALL, RIGHT, Wrong};
use super::place::{WrongBackend, lock};
use crate::testkit::QUEUE_CASES;
use crate::testkit::kit::attempt;
use crate::testkit::queue::{QueueBackend, queue_failures};

/// How long a wrong queue may keep a case waiting for what will never come.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many cases are tried at once: most wait for nothing, some for what never comes.
const AT_ONCE: usize = 48;

/// The wrong queues that fail each case.
async fn matrix() -> BTreeMap<&'static str, Vec<Wrong>> {
    let mut pairs = ALL.iter().flat_map(|(wrong, _)| QUEUE_CASES.iter().map(|case| (*wrong, *case)));
    let mut found: BTreeMap<&str, Vec<Wrong>> =
        QUEUE_CASES.iter().map(|case| (case.name, Vec::new())).collect();
    let mut trials = JoinSet::new();
    loop {
        while trials.len() < AT_ONCE
            && let Some((wrong, case)) = pairs.next()
        {
            trials.spawn(async move {
                let backend: Arc<dyn QueueBackend> = Arc::new(WrongBackend::new(wrong));
                (wrong, case.name, attempt(&case, backend, PATIENCE).await.is_err())
            });
        }
        let Some(trial) = trials.join_next().await else { return found };
        let (wrong, case, failed) = trial.expect("a trial ends");
        found.entry(case).or_default().extend(failed.then_some(wrong));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_queue_is_noticed_by_its_case_and_every_case_notices_one() {
    let failed = matrix().await;
    let idle: Vec<&str> =
        failed.iter().filter(|(_, wrongs)| wrongs.is_empty()).map(|(case, _)| *case).collect();
    let passed: Vec<_> =
        ALL.iter().filter(|(wrong, case)| !failed.get(case).is_some_and(|by| by.contains(wrong))).collect();
    // Seen with `--no-capture`.
    failed.iter().for_each(|(case, by)| println!("{case} is failed by {by:?}"));
    assert!(idle.is_empty() && passed.is_empty(), "failed by none: {idle:#?}; not noticed: {passed:#?}");
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
