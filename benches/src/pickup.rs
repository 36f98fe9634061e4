//! How soon who has nothing to do begins what is handed in: a worker on PostgreSQL, and the engine of one process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::port::store::Store;
use orchestrator_core::{Engine, StartRun};
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::Server;
use orchestrator_sqlite::SqliteStore;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::sample::{Figure, Must, Waits, runtime};

/// How many runs are handed in, one after the other, for each repetition.
const RUNS: usize = 300;

/// How long whoever has executed a run is left alone, so that it is idle again.
const REST: Duration = Duration::from_millis(30);

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let figure = |name: &str, measured, limit| Figure {
        name: format!("pickup: an idle worker begins, {name}"),
        measured,
        limit,
        unit: "ms",
        must: Must::Within,
    };
    runtime().block_on(async {
        let fleet = fleet(repeat * RUNS).await;
        let alone = alone(repeat * RUNS).await;
        vec![
            figure("p50, PostgreSQL", fleet.half, 3.0),
            figure("p99, PostgreSQL", fleet.most, 10.0),
            figure("p99, one process", alone.most, 5.0),
        ]
    })
}

/// The worker is another engine than the one that is handed the runs, and has connections of its own.
async fn fleet(runs: usize) -> Waits {
    let server = Server::start().await;
    let database = server.database().await;
    let connect = || async { Arc::new(PostgresStore::connect(database.url()).await.expect("a store")) };
    let (worker, begun) = engine(connect().await, true).await;
    let (client, _) = engine(connect().await, false).await;
    let waits = waits(&client, begun, runs).await;
    for engine in [worker, client] {
        engine.stop(Duration::from_secs(1)).await;
    }
    Waits::of(waits)
}

/// One engine on SQLite is handed the runs, and executes them.
async fn alone(runs: usize) -> Waits {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db").display().to_string();
    let store = Arc::new(SqliteStore::connect(&path).await.expect("a store"));
    let (engine, begun) = engine(store, true).await;
    let waits = waits(&engine, begun, runs).await;
    engine.stop(Duration::from_secs(1)).await;
    Waits::of(waits)
}

/// An engine, and when each of its steps has begun. It looks for runs that nobody drives, or leaves them to others.
async fn engine(store: Arc<dyn Store>, looks: bool) -> (Engine, mpsc::UnboundedReceiver<Instant>) {
    let (began, begun) = mpsc::unbounded_channel();
    let builder = Engine::builder().store(store).step("noop", move |_: Value| {
        // Whoever listens ends after the engine.
        let _ = began.send(Instant::now());
        async { Ok(()) }
    });
    let builder = if looks { builder } else { builder.poll(None) };
    (builder.start().await.expect("an engine"), begun)
}

/// From handing in a run to the beginning of its step, in milliseconds.
async fn waits(client: &Engine, mut begun: mpsc::UnboundedReceiver<Instant>, runs: usize) -> Vec<f64> {
    let flow = client.parse("name: one\nsteps:\n  a: { uses: noop }\n").expect("a workflow").workflow;
    let flow = Arc::new(flow);
    let mut waits = Vec::with_capacity(runs);
    for _ in 0..runs {
        let handed = Instant::now();
        client.enqueue(StartRun::new(flow.clone())).await.expect("a run");
        let at = begun.recv().await.expect("a beginning");
        waits.push(at.duration_since(handed).as_secs_f64() * 1_000.0);
        tokio::time::sleep(REST).await;
    }
    waits
}
