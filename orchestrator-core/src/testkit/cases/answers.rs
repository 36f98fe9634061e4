//! An engine whose store gives it bad answers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::port::store::{Commit, Member, Store};
use crate::testkit::Place;
use crate::testkit::between::{Behind, Way};
use crate::testkit::puppet::{Puppet, approve, blocked, log_of, workflow};
use crate::testkit::sample::{Story, run_id};

/// Gives no clear answer to one of the commits.
#[derive(Debug)]
struct Unclear {
    /// To which.
    at: usize,
    /// Whether it is written.
    applied: bool,
    commits: AtomicUsize,
    fired: AtomicBool,
}

#[async_trait]
impl Way for Arc<Unclear> {
    async fn commit(&self, store: &dyn Store, batch: Vec<Member>) -> Vec<Commit> {
        if self.commits.fetch_add(1, Ordering::Relaxed) != self.at {
            return store.commit(batch).await;
        }
        self.fired.store(true, Ordering::Relaxed);
        let members = batch.len();
        if self.applied {
            store.commit(batch).await;
        }
        vec![Commit::Ambiguous; members]
    }
}

/// Runs a chain with an approval; its log, and whether there was an unclear answer.
async fn told(store: Arc<dyn Store>, at: usize, applied: bool) -> (Vec<String>, bool) {
    let way = Arc::new(Unclear { at, applied, commits: AtomicUsize::new(0), fired: AtomicBool::new(false) });
    let behind = Arc::new(Behind { store: store.clone(), way: way.clone() });
    let puppet = Puppet::new("one");
    let engine = puppet.engine(behind).start().await.expect("an engine");
    let steps = [
        "a: { uses: puppet, with: { once: true } }",
        "b: { uses: puppet, needs: a, with: { do: ask } }",
        "c: { uses: puppet, needs: b, with: { once: true } }",
    ];
    let run = engine.start(workflow(&engine, &steps)).await.expect("a run");
    blocked(&run).await;
    engine.command(run.id(), approve(1)).await.expect("it is open");
    let report = run.wait().await.expect("a report");
    assert_eq!(report.status, "completed", "commit {at}, written: {applied}");
    let executed = ["a", "b", "c"].map(|step| puppet.executed(step));
    assert_eq!(executed, [1, 2, 1], "commit {at}, written: {applied}");
    (log_of(&*store, run.id()).await, way.fired.load(Ordering::Relaxed))
}

pub(super) async fn an_unclear_answer_to_any_commit_changes_nothing(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (expected, _) = told(store.clone(), usize::MAX, true).await;
    for applied in [true, false] {
        let mut at = 0;
        loop {
            let (log, fired) = told(store.clone(), at, applied).await;
            assert_eq!(log, expected, "commit {at}, written: {applied}");
            if !fired {
                break;
            }
            at += 1;
        }
        assert!(at >= 5, "only {at} commits had an unclear answer");
    }
}

/// Puts members that cannot be written into every batch.
#[derive(Debug)]
struct Poison {
    victim: Story,
    /// What such a member was answered that it must not be.
    wrong: Mutex<Vec<Commit>>,
}

#[async_trait]
impl Way for Arc<Poison> {
    async fn commit(&self, store: &dyn Store, batch: Vec<Member>) -> Vec<Commit> {
        let stale = Story { seq: 99, ..self.victim.clone() }.step_due();
        let mut empty = Story { run: run_id(), seq: 1 }.step_due();
        empty.events.clear();
        let half = batch.len() / 2;
        let mut poisoned = vec![stale];
        poisoned.extend(batch);
        poisoned.insert(1 + half, empty);
        let mut answers = store.commit(poisoned).await;
        let empty = answers.remove(1 + half);
        let stale = answers.remove(0);
        if !matches!(empty, Commit::Invalid(_)) || stale != Commit::Conflict {
            self.wrong.lock().unwrap_or_else(PoisonError::into_inner).extend([empty, stale]);
        }
        answers
    }
}

pub(super) async fn a_poisoned_batch_harms_no_run(place: Arc<dyn Place>) {
    let store = place.open().await;
    let victim = Story::begun(&*store).await;
    let way = Arc::new(Poison { victim: victim.clone(), wrong: Mutex::default() });
    let behind = Arc::new(Behind { store: store.clone(), way: way.clone() });
    let puppet = Puppet::new("one");
    let engine = puppet.engine(behind).start().await.expect("an engine");
    let steps = [
        "a: { uses: puppet, with: { do: gate } }",
        "b: { uses: puppet, needs: a }",
        "c: { uses: puppet, needs: b }",
    ];
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(engine.start(workflow(&engine, &steps)).await.expect("a run"));
    }
    // All at once: so they come into batches together.
    puppet.open_the_gate();
    for run in runs {
        assert_eq!(run.wait().await.expect("a report").status, "completed");
        log_of(&*store, run.id()).await;
    }
    assert_eq!(["a", "b", "c"].map(|step| puppet.executed(step)), [8; 3], "each once in each run");
    assert_eq!(*way.wrong.lock().expect("nobody panics with it"), [], "members that cannot be written");
    assert_eq!(store.run(victim.run).await.expect("an answer").expect("the run").seq, 1);
}
