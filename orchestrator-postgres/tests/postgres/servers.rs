//! Servers that are restarted, that lose answers, that promise too little, that something stands in front of.

use std::sync::Arc;
use std::time::Duration;

use crate::place::Base;
use orchestrator_core::port::store::{Commit, Member, Store, StoreError};
use orchestrator_core::testkit::{Story, new_run, poll_and_drop};
use orchestrator_postgres::testkit::{Pooler, Proxy, Server, Way};
use orchestrator_postgres::{Options, PostgresStore};
use sqlx::{AssertSqlSafe, Executor};

/// Longer than anything here takes.
const HANG: Duration = Duration::from_secs(60);

/// Commits a step, however long it takes; an answer that was lost is looked for.
async fn persist(store: &PostgresStore, story: &mut Story, member: Member) {
    loop {
        match store.commit(vec![member.clone()]).await.remove(0) {
            Commit::Applied => break,
            Commit::Busy | Commit::Unavailable(_) => {}
            Commit::Ambiguous => {
                let log = loop {
                    match store.load(story.run).await {
                        Ok(log) => break log,
                        Err(StoreError::Unavailable(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                let found =
                    log.and_then(|log| log.events.get(story.seq as usize).map(|event| event.transition));
                match found {
                    Some(found) => {
                        assert_eq!(found, member.transition, "nobody else writes");
                        break;
                    }
                    None => continue,
                }
            }
            other => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    story.seq += member.events.len() as u64;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_after_restarts_of_the_server() {
    let server = Arc::new(Server::start().await);
    let base = Base { database: server.database().await };
    let store = base.store().await;
    let mut story = Story::new();
    let create = story.create(new_run());
    persist(&store, &mut story, create).await;
    let other = server.clone();
    let restarts = tokio::task::spawn_blocking(move || {
        for _ in 0..4 {
            other.crash();
            other.resume();
            tokio::runtime::Handle::current().block_on(other.answers());
        }
    });
    let mut steps = 0;
    while !restarts.is_finished() || steps < 20 {
        let due = story.step_due();
        persist(&store, &mut story, due).await;
        steps += 1;
    }
    restarts.await.unwrap();
    let log = store.load(story.run).await.unwrap().unwrap();
    assert_eq!(log.events.len(), steps + 1, "nothing acknowledged is lost, nothing is there twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_connection_is_killed_finds_another() {
    let base = Base::new().await;
    let store = base.store().await;
    let mut story = Story::begun(&store).await;
    let mut bare = base.database.bare().await;
    for _ in 0..10 {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        bare.execute(kill).await.unwrap();
        let due = story.step_due();
        persist(&store, &mut story, due).await;
    }
    assert_eq!(store.load(story.run).await.unwrap().unwrap().events.len(), 11);
}

/// As where something in between has forgotten the connections: nobody says no, nobody says anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_network_that_is_silent_is_told_so_and_can_close() {
    let base = Base::new().await;
    let proxy = Proxy::to(base.database.port());
    let options = Options::default().answer_timeout(Duration::from_millis(300));
    let store = PostgresStore::open(&proxy.url(&base.database), options).await.unwrap();
    let story = Story::begun(&store).await;
    store.now().await.unwrap();
    for _ in 0..3 {
        proxy.forget();
        let answered = async {
            // What is asked in the moment before gets its answer.
            for _ in 0..20 {
                if store.now().await.is_err() {
                    break;
                }
            }
            // Others are opened, until all that were forgotten are given up.
            while store.now().await.is_err() || store.load(story.run).await.is_err() {}
        };
        tokio::time::timeout(HANG, answered).await.expect("a question hangs");
    }
    proxy.set(Way::Held, Way::Held);
    let asked = store.now();
    let closed = async {
        let (now, closed) = tokio::join!(asked, store.close());
        assert!(matches!(now, Err(StoreError::Unavailable(_))), "{now:?}");
        closed.unwrap();
    };
    tokio::time::timeout(HANG, closed).await.expect("closing hangs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_transaction() {
    let base = Base::new().await;
    let store = base.store().await;
    let mut story = Story::begun(&store).await;
    for round in 0..60 {
        let polls = round % 6;
        poll_and_drop(store.commit(vec![story.step_due()]), polls).await;
        story.seq += u64::from(polls > 0);
        while store.run(story.run).await.unwrap().unwrap().seq != story.seq {
            tokio::task::yield_now().await;
        }
    }
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    .fetch_one(&mut base.database.bare().await)
    .await
    .unwrap();
    assert_eq!(open, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_are_not_synced_are_asked_for_or_refused() {
    let base = Base::new().await;
    let (_, name) = base.database.url().rsplit_once('/').unwrap();
    let text = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    base.database.bare().await.execute(AssertSqlSafe(text)).await.unwrap();
    let refused = PostgresStore::connect(base.database.url()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Incompatible(_)), "{refused:?}");
    assert!(refused.to_string().contains("synchronous_commit = off"), "{refused}");
    let store = PostgresStore::open(base.database.url(), Options::default().relaxed()).await.unwrap();
    assert!(!store.describe().durable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn makers_of_one_store_do_not_stand_in_each_others_way() {
    let base = Base::new().await;
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let url = base.database.url().to_owned();
            tokio::spawn(async move { PostgresStore::connect(&url).await.map(drop) })
        })
        .collect();
    for maker in makers {
        maker.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_or_read_is_told_without_its_password() {
    let nowhere = "postgres://me:s3cret@127.0.0.1:1/flows";
    let error = PostgresStore::connect(nowhere).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("postgres://me@127.0.0.1:1/flows") && !told.contains("s3cret"), "{told}");
    let base = Base::new().await;
    let missing = format!("{}x", base.database.url());
    let error = PostgresStore::connect(&missing).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_changes_connections_between_transactions_is_refused() {
    let base = Base::new().await;
    let pooler = Pooler::start(&base.database, "transaction").await;
    let refused = PostgresStore::connect(pooler.url()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Incompatible(_)), "{refused:?}");
    assert!(refused.to_string().contains("pool_mode = session"), "{refused}");
    let pooler = Pooler::start(&base.database, "session").await;
    let store = PostgresStore::connect(pooler.url()).await.unwrap();
    let mut story = Story::begun(&store).await;
    let due = story.step_due();
    persist(&store, &mut story, due).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_commits_the_same_run_twice_at_once_wins_once() {
    let base = Base::new().await;
    let stores = [base.store().await, base.store().await];
    let mut stories = Vec::new();
    for _ in 0..8 {
        stories.push(Story::begun(&stores[0]).await);
    }
    for round in 0..20 {
        // Each hands in all runs, in its own order: whoever waits for locks in that order would wait for the other.
        let batches = [0, 1].map(|which| {
            let mut batch: Vec<Member> = stories.iter().map(Story::step_due).collect();
            if which == 1 {
                batch.reverse();
            }
            batch
        });
        let [one, other] = batches;
        let (won, lost) = tokio::join!(stores[0].commit(one), stores[1].commit(other));
        let mut lost = lost;
        lost.reverse();
        for (at, pair) in won.iter().zip(&lost).enumerate() {
            let applied = [pair.0, pair.1].iter().filter(|answer| ***answer == Commit::Applied).count();
            let row = stores[0].run(stories[at].run).await.unwrap().unwrap();
            assert_eq!(row.seq, stories[at].seq + applied as u64, "round {round}, run {at}: {pair:?}");
            assert!(applied <= 1, "round {round}, run {at}: {pair:?}");
            stories[at].seq = row.seq;
        }
    }
}
