//! W1: ten no-op steps in sequence, each durable before the next, on SQLite with `synchronous=FULL`.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use orchestrator_core::port::store::Store;
use orchestrator_core::spec::Workflow;
use orchestrator_core::{Engine, StartRun};
use orchestrator_sqlite::SqliteStore;
use serde_json::Value;

use crate::sample::{Figure, Must, interleaved, runtime};

pub(crate) const STEPS: usize = 10;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let (one, writer) = interleaved(repeat, || engine(1, 30), || raw_commits(1, 300));
    let (many, group) = interleaved(repeat, || engine(64, 5), || raw_commits(64, 3_200));
    let figure = |name: &str, measured, limit, times| Figure {
        name: format!("chain: {name}"),
        measured,
        limit,
        unit: "steps/s",
        must: Must::Reach(times),
    };
    vec![
        figure("10 steps on SQLite FULL, 1 workflow", one, writer, 0.5),
        figure("10 steps on SQLite FULL, 64 workflows", many, group, 0.12),
    ]
}

/// Steps per second of `workflows` at once, each lane running `rounds` workflows one after the other.
fn engine(workflows: usize, rounds: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db").display().to_string();
    engine_on(
        async { Arc::new(SqliteStore::connect(&path).await.expect("a store")) as Arc<dyn Store> },
        workflows,
        rounds,
    )
}

/// As [`engine`], on a store of any kind.
pub(crate) fn engine_on(store: impl Future<Output = Arc<dyn Store>>, workflows: usize, rounds: usize) -> f64 {
    runtime().block_on(async {
        let engine = Engine::builder()
            .store(store.await)
            .step("noop", |_: Value| async { Ok(()) })
            .slots(workflows)
            .poll(None)
            .start()
            .await
            .expect("an engine");
        let flow = Arc::new(chain(&engine));
        drive(&engine, &flow, 1).await;
        let began = Instant::now();
        let lanes: Vec<_> = (0..workflows)
            .map(|_| {
                let (engine, flow) = (engine.clone(), flow.clone());
                tokio::spawn(async move { drive(&engine, &flow, rounds).await })
            })
            .collect();
        for lane in lanes {
            lane.await.expect("a lane");
        }
        let spent = began.elapsed();
        engine.stop(std::time::Duration::from_secs(1)).await;
        (workflows * rounds * STEPS) as f64 / spent.as_secs_f64()
    })
}

async fn drive(engine: &Engine, flow: &Arc<Workflow>, rounds: usize) {
    for _ in 0..rounds {
        let run = engine.start(StartRun::new(flow.clone())).await.expect("a run");
        let mut progress = run.progress();
        let ended = progress.wait_for(|progress| progress.ended).await.expect("an end").clone();
        assert_eq!(ended.status, "completed");
    }
}

pub(crate) fn chain(engine: &Engine) -> Workflow {
    let mut text = String::from("name: chain\nsteps:\n  s0: { uses: noop }\n");
    for step in 1..STEPS {
        text.push_str(&format!("  s{step}: {{ uses: noop, needs: s{} }}\n", step - 1));
    }
    engine.parse(&text).expect("a workflow").workflow
}

/// The limit: one insert a step through a writer thread, a commit for whatever `lanes` callers have handed in.
pub(crate) fn raw_commits(lanes: usize, steps: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let (inbox, work) = mpsc::channel::<(i64, tokio::sync::oneshot::Sender<()>)>();
    let path = folder.path().join("raw.db");
    let writer = std::thread::spawn(move || write(&path, &work, lanes));
    let spent = runtime().block_on(async {
        let began = Instant::now();
        let callers: Vec<_> = (0..lanes)
            .map(|lane| {
                let inbox = inbox.clone();
                tokio::spawn(async move {
                    for step in 0..steps / lanes {
                        let (done, answer) = tokio::sync::oneshot::channel();
                        inbox.send(((lane * steps + step) as i64, done)).expect("a writer");
                        answer.await.expect("an answer");
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("a caller");
        }
        began.elapsed()
    });
    drop(inbox);
    writer.join().expect("the writer");
    steps as f64 / spent.as_secs_f64()
}

fn write(path: &Path, work: &mpsc::Receiver<(i64, tokio::sync::oneshot::Sender<()>)>, most: usize) {
    let database = rusqlite::Connection::open(path).expect("a database");
    database
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE log (id INTEGER, body TEXT);",
        )
        .expect("a table");
    let mut insert = database.prepare("INSERT INTO log VALUES (?1, ?2)").expect("a statement");
    while let Ok(first) = work.recv() {
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(next) = work.try_recv()
        {
            batch.push(next);
        }
        database.execute_batch("BEGIN IMMEDIATE").expect("begin");
        for (id, _) in &batch {
            insert.execute(rusqlite::params![id, "the result of a step that did nothing"]).expect("insert");
        }
        database.execute_batch("COMMIT").expect("commit");
        for (_, done) in batch {
            let _ = done.send(());
        }
    }
}
