//! A member is there whole or not at all: for those who look while it is written, whose caller has gone away, and who
//! have not heard the answer.

use std::sync::Arc;

use crate::id::StepIx;
use crate::machine::{Event, StepSucceeded};
use crate::port::store::{Commit, EventsAfter, LogQuery, Member, RunLog, StepRow, Store};
use crate::testkit::Place;
use crate::testkit::caller::poll_and_drop;
use crate::testkit::sample::{Story, at, decision, due_runs, line, new_run, step_row, value};

/// A member each part of which tells the number of its event.
fn telling(story: &Story) -> Member {
    let number = story.seq + 1;
    let (output, stored) = value(format!("\"{number:0>80}\""));
    let step = StepIx(0);
    let mut member = story.next(vec![StepSucceeded { step: step.into(), attempt: 1, output }.into()]);
    // Long ago: so the run is always due.
    member.summary.due_at = Some(at(number as i64));
    member.steps = vec![StepRow { epoch: number, ..step_row(0) }];
    member.values = vec![stored];
    member.decisions = vec![decision(story.run, 0)];
    member.logs = vec![line(0, &number.to_string())];
    member
}

async fn begun(store: &dyn Store) -> Story {
    let mut story = Story::new();
    let mut member = story.create(new_run());
    member.summary.due_at = Some(at(1));
    story.write(store, member).await;
    story
}

/// The number that each kind of row tells of.
async fn told(store: &dyn Store, story: &Story) -> [(&'static str, u64); 3] {
    let steps = store.steps(story.run).await.unwrap();
    let decisions = store.decisions(story.run).await.unwrap();
    let lines = LogQuery { run: story.run, step: None, after: 0, tail: false, limit: usize::MAX };
    let lines = store.logs(lines).await.unwrap();
    [
        ("steps", steps.first().map_or(1, |row| row.epoch)),
        ("decisions", decisions.len() as u64 + 1),
        ("logs", lines.len() as u64 + 1),
    ]
}

async fn whole(store: &dyn Store, story: &Story) -> RunLog {
    let log = store.load(story.run).await.unwrap().expect("the run");
    assert_eq!(log.row.seq, log.events.len() as u64, "the row and the log are of one moment");
    assert_eq!(log.row.due_at, Some(at(log.row.seq as i64)), "what is due is of the same moment");
    if let Some(Event::StepSucceeded(last)) = log.events.last().map(|recorded| &recorded.event) {
        let output = store.value(story.run, last.output.digest()).await.unwrap();
        assert!(output.is_some(), "event {} is there, and the value that it names is not", log.row.seq);
    }
    assert_eq!(due_runs(store, 9).await.unwrap(), [story.run], "it is due at every moment");
    log
}

pub(super) async fn a_member_is_never_seen_in_part(place: Arc<dyn Place>) {
    let (writes, reads) = (place.open().await, place.open().await);
    let story = begun(&*writes).await;
    let mut written = story.clone();
    let writer = tokio::spawn(async move {
        for _ in 0..60 {
            written.write(&*writes, telling(&written)).await;
            tokio::task::yield_now().await;
        }
    });
    while !writer.is_finished() {
        let before = told(&*reads, &story).await;
        let seq = whole(&*reads, &story).await.row.seq;
        for (kind, number) in before {
            assert!(number <= seq, "{kind} of member {number} were there before its events");
        }
        for (kind, number) in told(&*reads, &story).await {
            assert!(number >= seq, "the events of member {seq} were there before its {kind}");
        }
        tokio::task::yield_now().await;
    }
    writer.await.expect("every member is written");
    assert_eq!(whole(&*reads, &story).await.row.seq, 61);
}

pub(super) async fn a_caller_that_goes_away_leaves_a_member_whole(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = begun(&*store).await;
    for round in 0..30 {
        poll_and_drop(store.commit(vec![telling(&story)]), round % 6).await;
        // Whatever has become of it, the next one is taken: at the second time, if it was written meanwhile.
        let mut tries = 0..100;
        loop {
            story.seq = whole(&*store, &story).await.row.seq;
            match store.commit(vec![telling(&story)]).await.as_slice() {
                [Commit::Applied] => break,
                [Commit::Conflict | Commit::Busy] if tries.next().is_some() => tokio::task::yield_now().await,
                other => panic!("after {} polls, and nobody else writes: {other:?}", round % 6),
            }
        }
        story.seq = whole(&*store, &story).await.row.seq;
        for (kind, number) in told(&*store, &story).await {
            assert_eq!(number, story.seq, "{kind} after {} polls", round % 6);
        }
    }
}

pub(super) async fn an_answer_that_was_lost_is_found_by_reading(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    for applied in [true, false, true] {
        let member = story.step_due();
        if applied {
            // The answer is lost on its way.
            drop(store.commit(vec![member.clone()]).await);
        }
        let query = EventsAfter { run: story.run, after: member.expected, limit: 1 };
        let found = store.events_after(query).await.unwrap();
        let mine = found.first().is_some_and(|recorded| {
            recorded.seq == member.expected + 1 && recorded.transition == member.transition
        });
        assert_eq!(mine, applied, "event {} tells whether it was written: {found:?}", member.expected + 1);
        let again = store.commit(vec![member]).await;
        assert_eq!(
            again,
            [if applied { Commit::Conflict } else { Commit::Applied }],
            "the same member again"
        );
        story.seq += 1;
    }
    let log = store.load(story.run).await.unwrap().expect("the run");
    assert_eq!(log.events.len(), 4, "each once");
}
