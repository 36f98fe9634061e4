//! Values, revisions and lines of output.

use std::sync::Arc;

use crate::id::StepIx;
use crate::port::plugin::Stream;
use crate::port::store::{LogLine, LogQuery, Prune, StoreError, Summary};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, line, new_run, run_id, summary, value};
use crate::value::Digest;

pub(super) async fn a_value_given_twice_is_kept_once(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let (_, stored) = value(format!("\"{}\"", "m".repeat(70)));
    let mut member = story.step_due();
    member.values = vec![stored.clone(), stored.clone()];
    story.write(&*store, member).await;
    // Once more, by another member: it is there already.
    let mut again = story.step_due();
    again.values = vec![stored.clone()];
    again.summary = Summary { status: "completed", finished_at: Some(at(1)), ..summary() };
    story.write(&*store, again).await;
    assert_eq!(store.value(story.run, stored.digest).await.unwrap(), Some(stored.body));
    let all = Prune { project: None, before: at(2), limit: 1, dry: true };
    assert_eq!(store.prune(all).await.unwrap().values, 1);
}

pub(super) async fn a_value_belongs_to_its_run(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut one, other) = (Story::begun(&*store).await, Story::begun(&*store).await);
    let (_, stored) = value(format!("\"{}\"", "z".repeat(70)));
    let mut member = one.step_due();
    member.values = vec![stored.clone()];
    one.write(&*store, member).await;
    assert!(store.value(one.run, stored.digest).await.unwrap().is_some());
    assert_eq!(store.value(other.run, stored.digest).await.unwrap(), None);
    assert_eq!(store.value(one.run, Digest::of(b"unknown")).await.unwrap(), None);
}

pub(super) async fn a_revision_is_kept_once(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (one, two) = (Story::begun(&*store).await, Story::begun(&*store).await);
    let new = new_run();
    assert_eq!(store.revision(new.revision).await.unwrap().as_deref(), Some(&*new.text));
    for story in [one, two] {
        let log = store.load(story.run).await.unwrap().expect("the run");
        assert_eq!((log.row.new.revision, &*log.text), (new.revision, &*new.text));
    }
    assert_eq!(store.revision(Digest::of(b"unknown")).await.unwrap(), None);
}

const fn all(run: crate::id::RunId) -> LogQuery {
    LogQuery { run, step: None, after: 0, tail: false, limit: usize::MAX }
}

pub(super) async fn lines_are_numbered_per_run(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (one, other) = (Story::begun(&*store).await, Story::begun(&*store).await);
    let mut odd = line(2, "tab\t, ünïcode 🦀, ' \" \\ ; -- \u{1}");
    (odd.stream, odd.attempt) = (Stream::Stderr, 12);
    let mut system = line(0, "");
    system.stream = Stream::System;
    store.append_logs(one.run, vec![line(0, "a"), line(1, "b")]).await.unwrap();
    store.append_logs(other.run, vec![line(0, "x")]).await.unwrap();
    store.append_logs(one.run, Vec::new()).await.unwrap();
    store.append_logs(one.run, vec![odd.clone(), system.clone()]).await.unwrap();

    let lines = store.logs(all(one.run)).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let expected: Vec<LogLine> = vec![line(0, "a"), line(1, "b"), odd, system];
    assert_eq!(lines.into_iter().map(|line| line.line).collect::<Vec<_>>(), expected);
    assert_eq!(store.logs(all(other.run)).await.unwrap().len(), 1);
    assert!(store.logs(all(run_id())).await.unwrap().is_empty());
}

pub(super) async fn lines_can_be_filtered_and_cut(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let lines = (0..10).map(|n| line(n % 2, &format!("line {n}"))).collect();
    store.append_logs(story.run, lines).await.unwrap();
    let numbers = |query: LogQuery| {
        let store = store.clone();
        async move { store.logs(query).await.unwrap().iter().map(|line| line.number).collect::<Vec<_>>() }
    };
    let base = all(story.run);
    assert_eq!(numbers(LogQuery { limit: 3, ..base }).await, [1, 2, 3]);
    assert_eq!(numbers(LogQuery { limit: 3, tail: true, ..base }).await, [8, 9, 10]);
    assert_eq!(numbers(LogQuery { after: 8, ..base }).await, [9, 10]);
    assert_eq!(numbers(LogQuery { after: 9, tail: true, limit: 5, ..base }).await, [10]);
    assert_eq!(numbers(LogQuery { step: Some(StepIx(1).into()), limit: 2, ..base }).await, [2, 4]);
    assert_eq!(
        numbers(LogQuery { step: Some(StepIx(1).into()), tail: true, limit: 2, ..base }).await,
        [8, 10]
    );
    assert_eq!(numbers(LogQuery { step: Some(StepIx(7).into()), ..base }).await, [] as [u64; 0]);
    assert_eq!(numbers(LogQuery { limit: 0, ..base }).await, [] as [u64; 0]);
    assert_eq!(numbers(LogQuery { after: u64::MAX, ..base }).await, [] as [u64; 0]);
}

pub(super) async fn lines_of_a_member_are_numbered_with_the_others(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut one, other) = (Story::begun(&*store).await, Story::begun(&*store).await);
    store.append_logs(one.run, vec![line(0, "a")]).await.unwrap();
    let mut member = one.step_due();
    member.logs = vec![line(0, "b"), line(0, "c")];
    let mut also = other.step_due();
    also.logs = vec![line(0, "x")];
    one.seq += 1;
    assert!(
        store
            .commit(vec![member, also])
            .await
            .iter()
            .all(|answer| *answer == crate::port::store::Commit::Applied)
    );
    store.append_logs(one.run, vec![line(0, "d")]).await.unwrap();
    let lines = store.logs(all(one.run)).await.unwrap();
    let read: Vec<(u64, &str)> = lines.iter().map(|line| (line.number, &*line.line.text)).collect();
    assert_eq!(read, [(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    assert_eq!(store.logs(all(other.run)).await.unwrap()[0].number, 1);
}

pub(super) async fn lines_of_no_run_are_refused(place: Arc<dyn Place>) {
    let store = place.open().await;
    let answer = store.append_logs(run_id(), vec![line(0, "a")]).await;
    assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
}
