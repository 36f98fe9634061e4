//! Removing runs that have ended.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::id::{DocumentId, RunId};
use crate::port::store::{
    ApprovalQuery, Commit, EventsAfter, LogQuery, NewRevision, NewRun, Prune, Pruned, RunQuery, Store,
};
use crate::testkit::Place;
use crate::testkit::sample::{
    Story, approval, at, decision, key, line, new_run, owner, step_row, summary, value,
};
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue};

/// All runs that ended before a moment of the cases.
const fn all(before: Timestamp) -> Prune {
    Prune { project: None, before, limit: usize::MAX, dry: false }
}

/// A run with one of everything, which ended at a moment, or not at all.
async fn whole(store: &dyn Store, new: NewRun, ended: Option<i64>) -> (Story, StoredValue) {
    let mut story = Story::new();
    story.write(store, story.create(new)).await;
    let (_, stored) = value(format!("\"{}\"", "v".repeat(80)));
    let mut member = story.step_due();
    member.summary.finished_at = ended.map(at);
    member.summary.status = if ended.is_some() { "completed" } else { "running" };
    member.steps = vec![step_row(0), step_row(1)];
    member.values = vec![stored.clone()];
    member.decisions = vec![decision(story.run, 0)];
    member.approvals = vec![approval(story.run, 0, 1)];
    member.logs = vec![line(0, "a"), line(0, "b"), line(1, "c")];
    story.write(store, member).await;
    (story, stored)
}

/// How much there is of a run, of each kind.
async fn left(store: &dyn Store, run: RunId, stored: &StoredValue) -> [usize; 8] {
    let approvals = ApprovalQuery { run: Some(run), ..Default::default() };
    let lines = LogQuery { run, step: None, after: 0, tail: false, limit: 99 };
    [
        usize::from(store.run(run).await.unwrap().is_some()),
        usize::from(store.load(run).await.unwrap().is_some()),
        store.events_after(EventsAfter { run, after: 0, limit: 99 }).await.unwrap().len(),
        store.steps(run).await.unwrap().len(),
        usize::from(store.value(run, stored.digest).await.unwrap().is_some()),
        store.decisions(run).await.unwrap().len(),
        store.approvals(approvals).await.unwrap().items.len(),
        store.logs(lines).await.unwrap().len(),
    ]
}

pub(super) async fn runs_that_have_ended_go_whole(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (story, stored) = whole(&*store, new_run(), Some(10)).await;
    assert_eq!(left(&*store, story.run, &stored).await, [1, 1, 2, 2, 1, 1, 1, 3]);
    let pruned = store.prune(all(at(11))).await.unwrap();
    assert_eq!(pruned, Pruned { runs: 1, events: 2, lines: 3, values: 1, strays: 0, more: false });
    assert_eq!(left(&*store, story.run, &stored).await, [0; 8]);
    assert!(store.list_runs(RunQuery::default()).await.unwrap().items.is_empty());
    assert_eq!(store.prune(all(at(11))).await.unwrap(), Pruned::default(), "there is nothing more");
}

pub(super) async fn open_and_younger_runs_stay_whole(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (old, _) = whole(&*store, new_run(), Some(10)).await;
    let mut stay = Vec::new();
    for ended in [None, Some(11), Some(12)] {
        stay.push(whole(&*store, new_run(), ended).await);
    }
    assert_eq!(store.prune(all(at(11))).await.unwrap().runs, 1);
    assert_eq!(store.run(old.run).await.unwrap(), None);
    for (mut story, stored) in stay {
        assert_eq!(left(&*store, story.run, &stored).await, [1, 1, 2, 2, 1, 1, 1, 3]);
        story.write(&*store, story.step_due()).await;
    }
    let other = Prune { project: Some("other".into()), ..all(at(99)) };
    assert_eq!(store.prune(other).await.unwrap(), Pruned::default(), "another project's runs");
}

pub(super) async fn a_dry_run_counts_and_removes_nothing(place: Arc<dyn Place>) {
    let store = place.open().await;
    for ended in [Some(1), Some(2), Some(3), None] {
        whole(&*store, new_run(), ended).await;
    }
    let dry = |limit| Prune { dry: true, limit, ..all(at(9)) };
    let expected = Pruned { runs: 3, events: 6, lines: 9, values: 3, strays: 0, more: false };
    assert_eq!(store.prune(dry(usize::MAX)).await.unwrap(), expected);
    assert_eq!(store.prune(dry(3)).await.unwrap(), expected);
    let two = Pruned { runs: 2, events: 4, lines: 6, values: 2, strays: 0, more: true };
    assert_eq!(store.prune(dry(2)).await.unwrap(), two);
    assert_eq!(store.list_runs(RunQuery::default()).await.unwrap().items.len(), 4);
    assert_eq!(store.prune(Prune { dry: false, ..dry(usize::MAX) }).await.unwrap(), expected);
}

pub(super) async fn the_oldest_go_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut runs = Vec::new();
    // More than one transaction's worth.
    for _ in 0..600 {
        let mut story = Story::new();
        let mut member = story.create(new_run());
        member.summary = crate::port::store::Summary { finished_at: Some(at(1)), ..summary() };
        story.write(&*store, member).await;
        runs.push(story.run);
    }
    let some = |limit| Prune { limit, ..all(at(2)) };
    let pruned = store.prune(some(2)).await.unwrap();
    assert_eq!((pruned.runs, pruned.more), (2, true));
    assert_eq!(store.run(runs[1]).await.unwrap(), None);
    assert!(store.run(runs[2]).await.unwrap().is_some());
    assert!(store.prune(some(0)).await.unwrap().more, "asking for none removes none");
    let pruned = store.prune(some(597)).await.unwrap();
    assert_eq!((pruned.runs, pruned.more), (597, true));
    let pruned = store.prune(some(1)).await.unwrap();
    assert_eq!((pruned.runs, pruned.more), (1, false));
}

pub(super) async fn keys_of_what_is_gone_are_free(place: Arc<dyn Place>) {
    let store = place.open().await;
    let with_key = |name: &str| NewRun { key: key(name, "content"), ..new_run() };
    let (gone, _) = whole(&*store, with_key("gone"), Some(1)).await;
    let (open, _) = whole(&*store, with_key("open"), None).await;
    store.prune(all(at(2))).await.unwrap();
    assert_eq!(store.find_key("default", "gone").await.unwrap(), None);
    assert_eq!(store.find_key("default", "open").await.unwrap(), Some(open.run));
    let again = Story::new();
    let answer = store.commit(vec![again.create(with_key("gone"))]).await;
    assert_eq!(answer, [Commit::Applied]);
    assert_ne!(again.run, gone.run);
}

pub(super) async fn what_nothing_names_goes_at_the_end(place: Arc<dyn Place>) {
    let store = place.open().await;
    let of = |text: &str| NewRun { revision: Digest::of(text.as_bytes()), text: text.into(), ..new_run() };
    for (text, ended) in [("gone", Some(1)), ("registered", Some(2)), ("open", None)] {
        whole(&*store, of(text), ended).await;
    }
    let registered = NewRevision {
        id: DocumentId::from_uuid(Uuid::now_v7()),
        project: "default".into(),
        name: "w".into(),
        revision: Digest::of(b"registered"),
        text: "registered".into(),
        by: "someone".into(),
        at: at(0),
        expected: None,
    };
    store.register_workflow(registered).await.unwrap();
    let mut owners = Vec::new();
    for retires in [true, true, false] {
        let new = owner(Duration::ZERO);
        let id = new.id;
        store.register(new).await.unwrap();
        if retires {
            store.retire(id).await.unwrap();
        }
        owners.push(id);
    }
    // The second still drives an open run.
    let mut driven = Story::begun(&*store).await;
    let mut member = driven.step_due();
    (member.summary.driver, member.summary.driver_epoch) = (Some(owners[1]), 1);
    driven.write(&*store, member).await;
    let late = store.now().await.unwrap() + Duration::from_secs(3600);
    let left = store.prune(Prune { limit: 1, ..all(late) }).await.unwrap();
    assert!(left.more && store.revision(Digest::of(b"gone")).await.unwrap().is_some(), "not yet the end");
    assert!(!store.prune(all(late)).await.unwrap().more);
    let known = |text: &'static str| {
        let store = store.clone();
        async move { store.revision(Digest::of(text.as_bytes())).await.unwrap().is_some() }
    };
    assert_eq!((known("gone").await, known("registered").await, known("open").await), (false, true, true));
    let mut there = Vec::new();
    for id in owners {
        there.push(store.owner(id).await.unwrap().is_some());
    }
    assert_eq!(there, [false, true, true], "gone is who is dead and drives nothing");
}
