//! Callers that go away at any moment, from any method: nobody afterwards finds a connection inside a transaction.
//!
//! `ORCHESTRATOR_BATTERY` (`smoke`, `change`, `release`) says how many go away, `ORCHESTRATOR_STORAGE_SEED` when.

use std::io::Write;
use std::time::Duration;

use crate::place::Folder;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::{
    ApprovalQuery, EventsAfter, NewOwner, Prune, RunQuery, Serves, Store, WorkflowQuery,
};
use orchestrator_core::testkit::{Story, poll_and_drop};
use orchestrator_core::time::Timestamp;
use orchestrator_sqlite::SqliteStore;
use sqlx::{Connection, Executor};
use uuid::Uuid;

const TTL: Duration = Duration::from_secs(60);

/// How many callers go away.
fn callers() -> usize {
    match std::env::var("ORCHESTRATOR_BATTERY").as_deref() {
        Ok("smoke") => 500,
        Ok("release") => 20_000,
        _ => 2_000,
    }
}

/// Numbers of one seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

/// Calls a method, one of many, and goes away.
async fn call_and_leave(store: &SqliteStore, story: &Story, which: usize, polls: usize) {
    let run = story.run;
    let owner = OwnerId::from_uuid(Uuid::now_v7());
    match which {
        // Written or not: both are fine, and so is a conflict after that.
        0..=4 => poll_and_drop(store.commit(vec![story.step_due()]), polls).await,
        5 => poll_and_drop(store.load(run), polls).await,
        6 => poll_and_drop(store.list_runs(RunQuery::default()), polls).await,
        7 => poll_and_drop(store.steps(run), polls).await,
        8 => {
            poll_and_drop(
                store.register(NewOwner {
                    id: owner,
                    ttl: TTL,
                    label: "x".to_owned(),
                    serves: Serves::default(),
                    outside: false,
                }),
                polls,
            )
            .await;
        }
        9 => poll_and_drop(store.sweep(), polls).await,
        10 => poll_and_drop(store.change_mark(), polls).await,
        11 => poll_and_drop(store.events_after(EventsAfter { run, after: 0, limit: 9 }), polls).await,
        12 => poll_and_drop(store.approvals(ApprovalQuery::default()), polls).await,
        13 => poll_and_drop(store.workflows(WorkflowQuery::default()), polls).await,
        14 => {
            let before = Timestamp::from_millis(0);
            poll_and_drop(store.prune(Prune { project: None, before, limit: 9, dry: false }), polls).await;
        }
        15 => poll_and_drop(store.claim_due(9), polls).await,
        _ => poll_and_drop(store.append_logs(run, Vec::new()), polls).await,
    }
}

/// Whether nobody writes, and nobody reads from an old state.
async fn is_free(folder: &Folder) -> bool {
    let mut bare = folder.bare().await;
    bare.execute("PRAGMA busy_timeout = 0").await.unwrap();
    let written = bare.execute("BEGIN IMMEDIATE; ROLLBACK").await.is_ok();
    let moved: Result<(i64, i64, i64), _> =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut bare).await;
    bare.close().await.unwrap();
    written && moved.is_ok_and(|(busy, _, _)| busy == 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_that_goes_away_leaves_a_transaction() {
    let folder = Folder::new();
    let store = folder.store().await;
    let seed = std::env::var("ORCHESTRATOR_STORAGE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chance = Chance(seed);
    let callers = callers();
    let mut probe = Story::begun(&store).await;
    let mut left = Story::begun(&store).await;
    for nth in 0..callers {
        call_and_leave(&store, &left, chance.below(17), chance.below(9)).await;
        if nth % 20 == 0 {
            // Waits for its turn behind everything that was begun.
            probe.write(&store, probe.step_due()).await;
            // In one look: what was left may still be under way.
            let log = store.load(left.run).await.unwrap().unwrap();
            left.seq = log.row.seq;
            assert_eq!(log.events.len() as u64, left.seq);
        }
    }
    for _ in 0..callers / 2 {
        probe.write(&store, probe.step_due()).await;
        assert_eq!(store.run(probe.run).await.unwrap().unwrap().seq, probe.seq);
    }
    assert!(is_free(&folder).await, "somebody is inside of a transaction");
    assert_eq!(store.faults().await.unwrap(), [""; 0]);

    // Faults of our own: one who writes, and one who reads.
    for (begin, what) in
        [("BEGIN IMMEDIATE", "writes"), ("BEGIN; SELECT count(*) FROM orchestrator_events", "reads")]
    {
        let mut other = folder.bare().await;
        other.execute(begin).await.unwrap();
        if what == "reads" {
            // Something that it does not see yet.
            probe.write(&store, probe.step_due()).await;
        }
        assert!(!is_free(&folder).await, "one who {what} is not noticed");
        other.execute("ROLLBACK").await.unwrap();
    }
    tell("F-14 callers that go away", callers, "2 planted faults, both found");
}

/// What is read first and written after that is never refused because somebody else was faster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_before_writing_is_never_told_to_be_locked() {
    let folder = Folder::new();
    let times = callers() / 2;
    let mut writers = Vec::new();
    for _ in 0..2 {
        let store = folder.store().await;
        writers.push(tokio::spawn(async move {
            let mut story = Story::begun(&store).await;
            for nth in 0..times {
                assert_eq!(store.run(story.run).await.unwrap().unwrap().seq, story.seq);
                // Fails on anything but `Applied`.
                story.write(&store, story.step_due()).await;
                if nth % 10 == 0 {
                    store.sweep().await.unwrap();
                }
            }
            // What is dropped without a word closes its connections when it comes to that.
            store.close().await.unwrap();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(is_free(&folder).await, "somebody is inside of a transaction");
    tell("F-16 reading before writing", 2 * times, "nobody was told that it is locked");
}

/// Appends what came of a part to the file that `ORCHESTRATOR_BATTERY_REPORT` names.
fn tell(part: &str, trials: usize, notes: &str) {
    let Some(path) = std::env::var_os("ORCHESTRATOR_BATTERY_REPORT") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let counts = "\"lost\":0,\"regressions\":0,\"duplicates\":0,\"unrecorded\":0,\"stuck\":0,\"survivors\":0";
    let row = format!("{{\"part\":\"{part}\",\"trials\":{trials},{counts},\"notes\":\"{notes}\"}}");
    writeln!(file, "{row}").unwrap();
}
