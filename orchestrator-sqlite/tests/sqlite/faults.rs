//! Callers that go away, other writers, and rows that cannot be written.

use std::time::Duration;

use crate::place::Folder;
use orchestrator_core::port::store::{Commit, Member, Store};
use orchestrator_core::testkit::{Story, new_run, poll_and_drop};
use orchestrator_sqlite::{Options, SqliteStore};
use sqlx::{Connection, Executor};

/// Nobody has a transaction open.
async fn assert_free(folder: &Folder) {
    let mut bare = folder.bare().await;
    bare.execute("PRAGMA busy_timeout = 0").await.unwrap();
    bare.execute("BEGIN IMMEDIATE; ROLLBACK").await.expect("no transaction is left open");
    bare.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_transaction() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut probe = Story::begun(&store).await;
    let mut story = Story::begun(&store).await;
    for round in 0..120 {
        let polls = round % 6;
        poll_and_drop(store.commit(vec![story.step_due()]), polls).await;
        // Once begun, it runs to its end; never begun, it writes nothing.
        story.seq += u64::from(polls > 0);
        let arrived = async {
            loop {
                probe.write(&store, probe.step_due()).await;
                if store.run(story.run).await.unwrap().unwrap().seq == story.seq {
                    break;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), arrived).await;
        waited.unwrap_or_else(|_| panic!("not written after {polls} polls"));
        assert_free(&folder).await;
    }
    assert_eq!(store.load(story.run).await.unwrap().unwrap().events.len() as u64, story.seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_writers_take_turns() {
    let folder = Folder::new();
    let mut writers = Vec::new();
    for _ in 0..4 {
        let store = folder.store().await;
        writers.push(tokio::spawn(async move {
            let mut story = Story::begun(&store).await;
            for _ in 0..50 {
                // Fails on anything but `Applied`: being busy must not reach the caller.
                story.write(&store, story.step_due()).await;
            }
            story
        }));
    }
    let store = folder.store().await;
    for writer in writers {
        let story = writer.await.unwrap();
        assert_eq!(store.load(story.run).await.unwrap().unwrap().events.len(), 51);
    }
}

#[tokio::test]
async fn a_writer_that_holds_on_makes_others_busy_and_nothing_worse() {
    let folder = Folder::new();
    let options = Options::default().busy_timeout(Duration::ZERO);
    let store = SqliteStore::open(folder.file().to_str().unwrap(), options).await.unwrap();
    let mut story = Story::begun(&store).await;
    let mut other = folder.bare().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(store.commit(vec![story.step_due()]).await, [Commit::Busy]);
    assert_eq!(store.run(story.run).await.unwrap().unwrap().seq, 1, "reading goes on");
    other.execute("ROLLBACK").await.unwrap();
    story.write(&store, story.step_due()).await;
    assert_free(&folder).await;
}

#[tokio::test]
async fn what_only_the_database_refuses_harms_its_own_member_alone() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut stories = Vec::new();
    for _ in 0..4 {
        stories.push(Story::begun(&store).await);
    }
    // An event where the next one should go: as after a bug, or a hand in the file.
    sqlx::query("INSERT INTO orchestrator_events (run, seq, at, kind, transition, body) VALUES (?, 2, 0, 'x', x'00', '')")
        .bind(stories[2].run.as_uuid().as_bytes().as_slice())
        .execute(&mut folder.bare().await)
        .await
        .unwrap();
    let batch: Vec<Member> = stories.iter().map(Story::step_due).collect();
    let answers = store.commit(batch).await;
    for (place, answer) in answers.iter().enumerate() {
        if place == 2 {
            assert!(matches!(answer, Commit::Invalid(why) if why.contains("UNIQUE")), "{answer:?}");
        } else {
            assert_eq!(*answer, Commit::Applied, "member {place}");
        }
    }
    assert_eq!(store.run(stories[2].run).await.unwrap().unwrap().seq, 1);
    assert_free(&folder).await;
}

#[tokio::test]
async fn a_log_with_a_gap_is_not_read() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    for _ in 0..3 {
        story.write(&store, story.step_due()).await;
    }
    folder.bare().await.execute("DELETE FROM orchestrator_events WHERE seq = 3").await.unwrap();
    let error = store.load(story.run).await.unwrap_err();
    assert!(error.to_string().contains("gap"), "{error}");
}

#[tokio::test]
async fn a_store_works_on_a_runtime_with_one_thread() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::new();
    story.write(&store, story.create(new_run())).await;
    store.close().await.unwrap();
}
