//! Which wrong backend fails which case: for the kit's own tests.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;

use super::kit::Case;

/// How long a wrong backend may keep a case waiting for what will never come.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How many cases are tried at once: most wait for nothing, some for what never comes.
const AT_ONCE: usize = 48;

/// Tries every case on every wrong backend, which each come with the case that is there for it. `fails` tells whether one
/// fails another.
///
/// # Panics
/// Where a wrong backend is not noticed by its case, or a case notices none.
pub(super) async fn hold<W, B, F>(
    all: &'static [(W, &'static str)],
    cases: &'static [Case<B>],
    fails: impl Fn(W, Case<B>) -> F,
) where
    W: Copy + Debug + PartialEq + Send + 'static,
    B: ?Sized + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let mut pairs = all.iter().flat_map(|(wrong, _)| cases.iter().map(|case| (*wrong, *case)));
    let mut failed: BTreeMap<&str, Vec<W>> = cases.iter().map(|case| (case.name, Vec::new())).collect();
    let mut trials = JoinSet::new();
    loop {
        while trials.len() < AT_ONCE
            && let Some((wrong, case)) = pairs.next()
        {
            let trial = fails(wrong, case);
            trials.spawn(async move { (wrong, case.name, trial.await) });
        }
        let Some(trial) = trials.join_next().await else { break };
        let (wrong, case, has_failed) = trial.expect("a trial ends");
        failed.entry(case).or_default().extend(has_failed.then_some(wrong));
    }
    let idle: Vec<&str> =
        failed.iter().filter(|(_, wrongs)| wrongs.is_empty()).map(|(case, _)| *case).collect();
    let passed: Vec<_> =
        all.iter().filter(|(wrong, case)| !failed.get(case).is_some_and(|by| by.contains(wrong))).collect();
    // Seen with `--no-capture`.
    failed.iter().for_each(|(case, by)| println!("{case} is failed by {by:?}"));
    assert!(idle.is_empty() && passed.is_empty(), "failed by none: {idle:#?}; not noticed: {passed:#?}");
}
