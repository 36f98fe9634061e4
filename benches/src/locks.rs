//! How long it takes to claim a task that wants paths, where ten others hold paths of the same workspace and ten that cannot be
//! claimed stand before it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::Engine;
use orchestrator_core::engine::{ClaimTask, ClaimedTask, NewTask, TaskEnd, TaskRight};
use orchestrator_core::port::store::Store;
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::Server;
use orchestrator_sqlite::SqliteStore;
use serde_json::json;

use crate::sample::{Figure, Must, Waits, runtime};

/// How many hold paths, and how many wait for what these hold.
const OTHERS: usize = 10;

/// How many claims are measured for each repetition.
const CLAIMS: usize = 100;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let figure = |name: &str, measured| Figure {
        name: format!("locks: a claim among ten that hold paths, {name}"),
        measured,
        limit: 2.0,
        unit: "ms",
        must: Must::Within,
    };
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db").display().to_string();
        let file = SqliteStore::connect(&path).await.expect("a store");
        let file = Waits::of(claims(Arc::new(file), repeat * CLAIMS).await);
        let server = Server::start().await;
        let database = server.database().await;
        let base = PostgresStore::connect(database.url()).await.expect("a store");
        let base = Waits::of(claims(Arc::new(base), repeat * CLAIMS).await);
        vec![
            figure("SQLite", file.half),
            figure("PostgreSQL", base.half),
            figure("p99, SQLite", file.most),
            figure("p99, PostgreSQL", base.most),
        ]
    })
}

/// How long each claim takes, in milliseconds.
async fn claims(store: Arc<dyn Store>, many: usize) -> Vec<f64> {
    let engine = Engine::builder().store(store).poll(None).start().await.expect("an engine");
    for number in 0..OTHERS {
        create(&engine, format!("src/part{number}")).await;
        claim(&engine).await.expect("nobody is in its way");
    }
    for number in 0..OTHERS {
        create(&engine, format!("src/part{number}/lib.rs")).await;
    }
    create(&engine, "docs".to_owned()).await;
    let mut waits = Vec::with_capacity(many);
    for _ in 0..many {
        let asked = Instant::now();
        let claimed = claim(&engine).await.expect("it is in nobody's way");
        waits.push(asked.elapsed().as_secs_f64() * 1_000.0);
        let right = TaskRight { run: claimed.task.ticket.run, token: claimed.token };
        engine.end_task(right, TaskEnd::Done(json!({}))).await.expect("it is ours");
        create(&engine, "docs".to_owned()).await;
    }
    engine.stop(Duration::ZERO).await;
    waits
}

async fn create(engine: &Engine, path: String) {
    let mut new = NewTask::new(format!("work on {path}"));
    new.writes = vec![path];
    engine.create_task(new).await.expect("a task");
}

async fn claim(engine: &Engine) -> Option<ClaimedTask> {
    let ttl = Some(Duration::from_secs(3_600));
    let wish = ClaimTask { by: "bench".to_owned(), ttl, ..ClaimTask::default() };
    engine.claim_task(&wish).await.expect("an answer")
}
