//! A host's own tables and transactions.

use crate::place::Base;
use orchestrator_core::port::store::{Commit, IdempotencyKey, Member, Store};
use orchestrator_core::testkit::{Story, new_run};
use orchestrator_core::value::Digest;
use orchestrator_postgres::PostgresStore;
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use sqlx::postgres::{PgPool, PgPoolOptions};

/// A host with a pool of one connection: a store that took it would wait for ever.
async fn host(base: &Base) -> (PgPool, DatabaseConnection) {
    let pool = PgPoolOptions::new().max_connections(1).connect(base.database.url()).await.unwrap();
    let table = "CREATE TABLE orders (id bigserial PRIMARY KEY, item text)";
    sqlx::query(table).execute(&pool).await.unwrap();
    (pool.clone(), pool.into())
}

/// The member that starts a run as a host would: due at once, driven by nobody.
async fn start(store: &PostgresStore, story: &Story, key: Option<(&str, &str)>) -> Member {
    let mut new = new_run();
    new.key =
        key.map(|(key, content)| IdempotencyKey { key: key.into(), content: Digest::of(content.as_bytes()) });
    let mut member = story.create(new);
    member.summary.due_at = Some(store.now().await.unwrap());
    member
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_started_in_a_hosts_transaction_shares_its_fate() {
    let base = Base::new().await;
    let (pool, db) = host(&base).await;
    let store = PostgresStore::from_pool(pool).await.unwrap();
    for commits in [false, true] {
        let story = Story::new();
        let member = start(&store, &story, None).await;
        let transaction = db.begin().await.unwrap();
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_start_leaves_the_hosts_transaction_usable() {
    let base = Base::new().await;
    let (pool, db) = host(&base).await;
    let store = PostgresStore::from_pool(pool).await.unwrap();
    let first = Story::new();
    let transaction = db.begin().await.unwrap();
    let member = start(&store, &first, Some(("order-1", "a"))).await;
    assert_eq!(store.create_in(&transaction, &member).await.unwrap(), Commit::Applied);
    assert_eq!(store.create_in(&transaction, &member).await.unwrap(), Commit::Conflict);
    for (content, same) in [("a", true), ("b", false)] {
        let member = start(&store, &Story::new(), Some(("order-1", content))).await;
        let duplicate = Commit::Duplicate { run: first.run, same };
        assert_eq!(store.create_in(&transaction, &member).await.unwrap(), duplicate);
    }
    transaction.commit().await.unwrap();
    assert_eq!(store.list_runs(Default::default()).await.unwrap().items.len(), 1);
    assert_eq!(store.find_key("default", "order-1").await.unwrap(), Some(first.run));
    assert_eq!(store.load(first.run).await.unwrap().unwrap().events.len(), 1);
}
