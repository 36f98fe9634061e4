//! A store that moves into another database.

use orchestrator_core::port::store::{Commit, Store, StoreError};
use orchestrator_core::testkit::Story;
use orchestrator_postgres::{Options, PostgresStore};
use orchestrator_sql::CopyError;

use crate::place::Base;

async fn target(base: &Base) -> PostgresStore {
    PostgresStore::open(base.database.url(), Options::default().as_it_is()).await.unwrap()
}

async fn copy(here: &Base, there: &Base) -> Result<u64, CopyError> {
    let copied = here.store().await.copy_to(&target(there).await, &|_| ()).await?;
    Ok(copied.iter().map(|table| table.rows).sum())
}

async fn url(base: &Base) -> String {
    base.store().await.describe().location
}

async fn is_unfinished(base: &Base) -> bool {
    let opened = PostgresStore::connect(base.database.url()).await;
    matches!(&opened, Err(StoreError::Invalid(why)) if why.contains("unfinished copy"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_had_it_open_for_long_writes_nothing_more() {
    let (here, there) = (Base::new().await, Base::new().await);
    let store = here.store().await;
    let story = Story::begun(&store).await;
    copy(&here, &there).await.unwrap();
    let answers = store.commit(vec![story.step_due()]).await;
    assert!(matches!(&answers[..], [Commit::Unavailable(why)] if why.contains("sealed")), "{answers:?}");
    assert!(store.load(story.run).await.unwrap().is_some(), "it can be looked at");
    assert_eq!(there.store().await.commit(vec![story.step_due()]).await, [Commit::Applied]);
}

/// Cut short after the target was filled and before the source was sealed: it is as if nothing had been copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_was_filled_and_not_opened_is_filled_anew() {
    let (here, there) = (Base::new().await, Base::new().await);
    let store = here.store().await;
    let mut story = Story::begun(&store).await;
    let rows = copy(&here, &there).await.unwrap();
    unmark(&here).await;
    mark(&there, &format!("unfinished copy of {}", url(&here).await)).await;
    assert!(is_unfinished(&there).await);
    let member = story.step_due();
    story.write(&store, member).await;
    let more = copy(&here, &there).await.unwrap();
    assert!(more > rows, "{more} {rows}");
    let there = there.store().await.load(story.run).await.unwrap().unwrap();
    let here = store.load(story.run).await.unwrap().unwrap();
    assert_eq!((there.row, there.events), (here.row, here.events));
}

/// Cut short after the source was sealed and before the target was opened: copying again opens it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_whose_source_is_sealed_is_opened() {
    let (here, there) = (Base::new().await, Base::new().await);
    let story = Story::begun(&here.store().await).await;
    let rows = copy(&here, &there).await.unwrap();
    let unfinished = format!("unfinished copy of {}", url(&here).await);
    mark(&there, &unfinished).await;
    there.database.tell("UPDATE orchestrator_runs SET priority = priority + 1").await;
    let differs = copy(&here, &there).await.unwrap_err();
    assert!(matches!(&differs, CopyError::Differs { table: "runs", .. }), "{differs}");
    assert!(is_unfinished(&there).await);
    there.database.tell("UPDATE orchestrator_runs SET priority = priority - 1").await;
    assert_eq!(copy(&here, &there).await.unwrap(), rows);
    assert!(there.store().await.load(story.run).await.unwrap().is_some());
    let moved = copy(&here, &there).await.unwrap_err();
    assert!(matches!(&moved, CopyError::Moved { .. }), "{moved}");
}

async fn mark(base: &Base, name: &str) {
    base.database.tell(&format!("INSERT INTO orchestrator_migrations VALUES ('{name}', 0)")).await;
}

/// Takes back what says that a store has moved.
async fn unmark(base: &Base) {
    base.database.tell("DELETE FROM orchestrator_migrations WHERE version LIKE 'moved to %'").await;
    base.database.tell("DROP FUNCTION orchestrator_refuses() CASCADE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_go_in_pages() {
    let (here, there) = (Base::new().await, Base::new().await);
    let story = Story::begun(&here.store().await).await;
    let run = story.run.as_uuid();
    here.database
        .tell(&format!(
            "INSERT INTO orchestrator_logs (run, number, step, item, attempt, stream, at, text) \
             SELECT '{run}', n, 0, 0, 1, 'stdout', n, repeat('x', n % 80) FROM generate_series(1, 2500) AS n"
        ))
        .await;
    let heard = std::sync::Mutex::new(Vec::new());
    let store = here.store().await;
    let copied = store.copy_to(&target(&there).await, &|progress| heard.lock().unwrap().push(progress)).await;
    let rows: u64 = copied.unwrap().iter().map(|table| table.rows).sum();
    let heard = heard.into_inner().unwrap();
    let pages = heard.iter().filter(|progress| progress.all == rows && !progress.comparing).count();
    assert!(pages > 3, "{heard:?}");
    assert_eq!(heard.last().map(|progress| (progress.done, progress.comparing)), Some((rows, true)));
    assert_eq!(there.database.ask("SELECT count(*) FROM orchestrator_logs").await, 2500);
}
