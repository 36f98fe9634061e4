//! W2 and W3 on PostgreSQL, on a server of its own with its settings as they come (`fsync=on`, `synchronous_commit=on`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::port::store::Store;
use orchestrator_core::{Engine, StartRun};
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::{Database, Server};
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::{mpsc, oneshot};

use crate::chain::engine_on;
use crate::sample::{Figure, Must, interleaved, median, runtime};

/// How many steps stand side by side.
const WIDE: usize = 1_000;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let server = runtime().block_on(Server::start());
    let (one, writer) = interleaved(repeat, || chain(&server, 1, 30), || raw(&server, 1, 300));
    let (many, group) = interleaved(repeat, || chain(&server, 64, 20), || raw(&server, 64, 25_600));
    let wide = median((0..repeat).map(|_| fan(&server)).collect());
    let chained = |name: &str, measured, limit, times| Figure {
        name: format!("fleet: 10 steps on PostgreSQL, {name}"),
        measured,
        limit,
        unit: "steps/s",
        must: Must::Reach(times),
    };
    let wide = Figure {
        name: format!("fleet: {WIDE} steps side by side on PostgreSQL"),
        measured: wide,
        limit: 250.0,
        unit: "ms",
        must: Must::Within,
    };
    vec![chained("1 workflow", one, writer, 0.4), chained("64 workflows", many, group, 0.15), wide]
}

async fn store(server: &Server) -> Arc<dyn Store> {
    let database = server.database().await;
    Arc::new(PostgresStore::connect(database.url()).await.expect("a store"))
}

fn chain(server: &Server, workflows: usize, rounds: usize) -> f64 {
    engine_on(store(server), workflows, rounds)
}

/// From the start of a run to its end, in milliseconds.
fn fan(server: &Server) -> f64 {
    runtime().block_on(async {
        let engine = Engine::builder()
            .store(store(server).await)
            .step("noop", |_: Value| async { Ok(()) })
            .slots(64)
            .poll(None)
            .start()
            .await
            .expect("an engine");
        let mut text = String::from("name: wide\nsteps:\n  root: { uses: noop }\n");
        let names: Vec<String> = (0..WIDE).map(|step| format!("s{step}")).collect();
        for name in &names {
            text.push_str(&format!("  {name}: {{ uses: noop, needs: root }}\n"));
        }
        text.push_str(&format!("  join: {{ uses: noop, needs: [{}] }}\n", names.join(", ")));
        let flow = engine.parse(&text).expect("a workflow").workflow;
        let began = Instant::now();
        let run = engine.start(StartRun::new(flow)).await.expect("a run");
        let mut progress = run.progress();
        let ended = progress.wait_for(|progress| progress.ended).await.expect("an end").clone();
        let spent = began.elapsed();
        assert_eq!(ended.status, "completed");
        engine.stop(Duration::from_secs(1)).await;
        spent.as_secs_f64() * 1_000.0
    })
}

/// The limit: one insert for whatever `lanes` callers have handed in, each a transaction of its own.
pub(crate) fn raw(server: &Server, lanes: usize, steps: usize) -> f64 {
    runtime().block_on(async {
        let database = server.database().await;
        let (inbox, work) = mpsc::unbounded_channel::<(i64, oneshot::Sender<()>)>();
        let writer = tokio::spawn(write(database, work, lanes));
        let began = Instant::now();
        let callers: Vec<_> = (0..lanes)
            .map(|lane| {
                let inbox = inbox.clone();
                tokio::spawn(async move {
                    for step in 0..steps / lanes {
                        let (done, answer) = oneshot::channel();
                        inbox.send(((lane * steps + step) as i64, done)).expect("a writer");
                        answer.await.expect("an answer");
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("a caller");
        }
        let spent = began.elapsed();
        drop(inbox);
        writer.await.expect("the writer");
        steps as f64 / spent.as_secs_f64()
    })
}

async fn write(
    database: Database,
    mut work: mpsc::UnboundedReceiver<(i64, oneshot::Sender<()>)>,
    most: usize,
) {
    let mut connection = PgConnection::connect(database.url()).await.expect("a connection");
    connection.execute("CREATE TABLE log (id int8, body text)").await.expect("a table");
    while let Some(first) = work.recv().await {
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(next) = work.try_recv()
        {
            batch.push(next);
        }
        let ids: Vec<i64> = batch.iter().map(|(id, _)| *id).collect();
        let insert = "INSERT INTO log SELECT id, 'the result of a step that did nothing' FROM unnest($1::int8[]) AS id";
        sqlx::query(insert).bind(ids).execute(&mut connection).await.expect("insert");
        for (_, done) in batch {
            let _ = done.send(());
        }
    }
}
