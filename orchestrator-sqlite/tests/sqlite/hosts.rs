//! A host's own tables and transactions, and the owners of one host.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::place::Folder;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::{Commit, IdempotencyKey, Member, NewOwner, Renewal, Serves, Store};
use orchestrator_core::testkit::{Story, new_run};
use orchestrator_core::value::Digest;
use orchestrator_sqlite::SqliteStore;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(3600);

/// A host with a pool of one connection: a store that took it would wait for ever.
async fn host(folder: &Folder) -> (SqlitePool, DatabaseConnection) {
    let options = SqliteConnectOptions::new().filename(folder.file()).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)").execute(&pool).await.unwrap();
    (pool.clone(), pool.into())
}

async fn begin(db: &DatabaseConnection) -> sea_orm::DatabaseTransaction {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    db.begin_with_options(options).await.unwrap()
}

/// The member that starts a run as a host would: due at once, driven by nobody.
async fn start(store: &SqliteStore, story: &Story, key: Option<(&str, &str)>) -> Member {
    let mut new = new_run();
    new.key =
        key.map(|(key, content)| IdempotencyKey { key: key.into(), content: Digest::of(content.as_bytes()) });
    let mut member = story.create(new);
    member.summary.due_at = Some(store.now().await.unwrap());
    member
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_started_in_a_hosts_transaction_shares_its_fate() {
    let folder = Folder::new();
    let (pool, db) = host(&folder).await;
    let store = SqliteStore::from_pool(pool).await.unwrap();
    for commits in [false, true] {
        let story = Story::new();
        let member = start(&store, &story, None).await;
        let transaction = begin(&db).await;
        transaction.execute_unprepared("INSERT INTO orders (item) VALUES ('tea')").await.unwrap();
        assert_eq!(store.create_in(&transaction, &member).await.unwrap(), Commit::Applied);
        assert_eq!(store.run(story.run).await.unwrap(), None, "not before the host commits");
        if commits {
            transaction.commit().await.unwrap();
            let log = store.load(story.run).await.unwrap().unwrap();
            assert_eq!((log.events.len(), &*log.text), (1, &*new_run().text));
            let due = store.claim_due(9).await.unwrap();
            assert_eq!(due.iter().map(|due| due.run).collect::<Vec<_>>(), [story.run]);
        } else {
            transaction.rollback().await.unwrap();
            assert_eq!(store.run(story.run).await.unwrap(), None);
            assert_eq!(store.claim_due(9).await.unwrap(), []);
        }
    }
    let orders =
        db.query_all_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT * FROM orders"));
    assert_eq!(orders.await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_start_leaves_the_hosts_transaction_usable() {
    let folder = Folder::new();
    let (pool, db) = host(&folder).await;
    let store = SqliteStore::from_pool(pool).await.unwrap();
    let first = Story::new();
    let transaction = begin(&db).await;
    let member = start(&store, &first, Some(("order-1", "a"))).await;
    assert_eq!(store.create_in(&transaction, &member).await.unwrap(), Commit::Applied);
    assert_eq!(store.create_in(&transaction, &member).await.unwrap(), Commit::Conflict);
    for (content, same) in [("a", true), ("b", false)] {
        let member = start(&store, &Story::new(), Some(("order-1", content))).await;
        let duplicate = Commit::Duplicate { run: first.run, same };
        assert_eq!(store.create_in(&transaction, &member).await.unwrap(), duplicate);
    }
    let mut late = start(&store, &Story::new(), None).await;
    late.create = None;
    assert!(matches!(store.create_in(&transaction, &late).await.unwrap(), Commit::Invalid(_)));
    transaction.commit().await.unwrap();
    assert_eq!(store.list_runs(Default::default()).await.unwrap().items.len(), 1);
    assert_eq!(store.find_key("default", "order-1").await.unwrap(), Some(first.run));
    assert_eq!(store.load(first.run).await.unwrap().unwrap().events.len(), 1);
}

fn owner() -> NewOwner {
    NewOwner {
        id: OwnerId::from_uuid(Uuid::now_v7()),
        ttl: LONG,
        label: "host pid 1".to_owned(),
        serves: Serves::default(),
        outside: false,
    }
}

fn lock_files(folder: &Folder) -> usize {
    std::fs::read_dir(folder.file().with_file_name("state.db-owners")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn the_death_of_an_owner_of_this_host_is_proved_at_once() {
    let folder = Folder::new();
    let (one, other) = (folder.store().await, folder.store().await);
    let new = owner();
    let id = new.id;
    one.register(new).await.unwrap();
    assert_eq!(lock_files(&folder), 1);
    assert_eq!(one.sweep().await.unwrap(), [], "alive, as it sees itself");
    assert_eq!(other.sweep().await.unwrap(), [], "alive, as others see it");

    // A child that outlives the store must not keep the lock.
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    drop(one);
    let newly = other.sweep().await.unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(newly, [id], "its lock is free long before its time is over");
    assert_eq!(other.renew(id, LONG).await.unwrap(), Renewal::Dead);
    assert_eq!(lock_files(&folder), 0);
}

#[tokio::test]
async fn who_retires_or_is_past_its_time_leaves_no_file() {
    let folder = Folder::new();
    let (one, other) = (folder.store().await, folder.store().await);
    let (retires, mut late) = (owner(), owner());
    late.ttl = Duration::ZERO;
    let (retired, past) = (retires.id, late.id);
    one.register(retires).await.unwrap();
    one.register(late).await.unwrap();
    one.retire(retired).await.unwrap();
    assert_eq!(lock_files(&folder), 1);
    assert_eq!(other.sweep().await.unwrap(), [past], "by its time: its process still holds the lock");
    assert_eq!(lock_files(&folder), 1);
    drop(one);
    assert_eq!(other.sweep().await.unwrap(), []);
    assert_eq!(lock_files(&folder), 0, "what a dead owner has left is cleared away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosts_store_proves_deaths_too() {
    let folder = Folder::new();
    let (pool, _db) = host(&folder).await;
    let store = SqliteStore::from_pool(pool).await.unwrap();
    let new = owner();
    let id = new.id;
    store.register(new).await.unwrap();
    drop(store);
    assert_eq!(folder.store().await.sweep().await.unwrap(), [id]);
}
