//! W4: jobs. A job is a run of one step that does nothing, with a small input. How many are left to workers in a second, one by
//! one and many in a call, and how many a worker of 64 slots carries out, against the same rows in the same database with the
//! same durability and nothing else around them.

mod postgres;
mod sqlite;
mod weight;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use orchestrator_core::port::store::{RunQuery, Store};
use orchestrator_core::spec::Workflow;
use orchestrator_core::{Engine, StartRun};
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::{Database, Server};
use orchestrator_sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::sample::{Figure, Must, interleaved, runtime};
use weight::Job;

/// How many jobs are carried out, and enqueued in batches.
const JOBS: usize = 10_000;

/// How many are enqueued one by one, by each caller.
const SINGLE: usize = 400;

/// As many as one transaction of ours takes.
const BATCH: usize = 256;

/// How many jobs are worked on at a time; the limit writes as many to a transaction.
const SLOTS: usize = 64;

/// How many callers enqueue on PostgreSQL, which writes for several at the same time; the limit has as many connections.
const CALLERS: usize = 16;

const FLOW: &str = "name: job\ninputs: { order: { type: object } }\nsteps:\n  a: { uses: noop, with: { order: \"${{ inputs.order }}\" } }\n";

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let job = Job::weigh();
    let server = runtime().block_on(Server::start());
    let file = Site::File;
    let base = Site::Base(&server);
    let figure = |name: &str, (measured, limit), times| Figure {
        name: format!("jobs: {name}"),
        measured,
        limit,
        unit: "jobs/s",
        must: Must::Reach(times),
    };
    let single = interleaved(repeat, || one_by_one(&file, 1), || sqlite::one_by_one(&job, SINGLE));
    let batch = interleaved(repeat, || in_batches(&file), || sqlite::in_batches(&job, JOBS, BATCH));
    let consume = interleaved(repeat, || consumed(&file), || sqlite::consumed(&job, JOBS, SLOTS));
    let mut figures = vec![
        figure("enqueue one by one, SQLite FULL", single, 0.4),
        figure("enqueue in batches, SQLite FULL", batch, 0.25),
        figure("consume 10000, 64 slots, SQLite FULL", consume, 0.2),
    ];
    let limit = postgres::Limit { server: &server, job: &job };
    let single = interleaved(repeat, || one_by_one(&base, CALLERS), || limit.one_by_one(CALLERS, SINGLE));
    let batch = interleaved(repeat, || in_batches(&base), || limit.in_batches(JOBS, BATCH));
    let consume = interleaved(repeat, || consumed(&base), || limit.consumed(JOBS, SLOTS));
    figures.extend([
        figure("enqueue one by one, 16 callers, PostgreSQL", single, 0.4),
        figure("enqueue in batches, PostgreSQL", batch, 0.25),
        figure("consume 10000, 64 slots, PostgreSQL", consume, 0.2),
    ]);
    figures
}

/// Where the jobs are kept.
enum Site<'s> {
    File,
    Base(&'s Server),
}

/// What goes with the store: it lasts as long as that.
enum Kept {
    File { _folder: TempDir },
    Base { _database: Database },
}

impl Site<'_> {
    async fn open(&self) -> (Arc<dyn Store>, Kept) {
        match self {
            Self::File => {
                let folder = tempfile::tempdir().expect("a folder");
                let path = folder.path().join("state.db").display().to_string();
                (
                    Arc::new(SqliteStore::connect(&path).await.expect("a store")),
                    Kept::File { _folder: folder },
                )
            }
            Self::Base(server) => {
                let database = server.database().await;
                let store = PostgresStore::connect(database.url()).await.expect("a store");
                (Arc::new(store), Kept::Base { _database: database })
            }
        }
    }
}

/// An engine that executes nothing of what it is handed.
async fn client(store: Arc<dyn Store>) -> (Engine, Arc<Workflow>) {
    let noop = |_: Value| async { Ok(()) };
    let client = Engine::builder().store(store).step("noop", noop).poll(None).start().await;
    let client = client.expect("an engine");
    let flow = client.parse(FLOW).expect("a workflow").workflow;
    (client, Arc::new(flow))
}

fn job(flow: &Arc<Workflow>, number: usize) -> StartRun {
    StartRun::new(flow.clone()).input("order", json!({ "number": number, "to": "ann@example.com" }))
}

/// Jobs a second, each handed in when the last one of its caller is durable.
fn one_by_one(site: &Site<'_>, callers: usize) -> f64 {
    runtime().block_on(async {
        let (store, _kept) = site.open().await;
        let (client, flow) = client(store).await;
        client.enqueue(job(&flow, 0)).await.expect("a run");
        let began = Instant::now();
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (client, flow) = (client.clone(), flow.clone());
                tokio::spawn(async move {
                    for number in 0..SINGLE {
                        client.enqueue(job(&flow, number)).await.expect("a run");
                    }
                })
            })
            .collect();
        let jobs = callers.len() * SINGLE;
        for caller in callers {
            caller.await.expect("a caller");
        }
        let spent = began.elapsed();
        client.stop(Duration::ZERO).await;
        jobs as f64 / spent.as_secs_f64()
    })
}

/// Enqueues all, and tells how long it takes.
async fn fill(store: Arc<dyn Store>, jobs: usize) -> Duration {
    let (client, flow) = client(store).await;
    client.enqueue(job(&flow, 0)).await.expect("a run");
    let began = Instant::now();
    let answers = client.enqueue_all((1..jobs).map(|number| job(&flow, number))).await;
    let spent = began.elapsed();
    assert!(answers.iter().all(Result::is_ok));
    client.stop(Duration::ZERO).await;
    spent
}

/// Jobs a second, all handed in at once.
fn in_batches(site: &Site<'_>) -> f64 {
    runtime().block_on(async {
        let (store, _kept) = site.open().await;
        JOBS as f64 / fill(store, JOBS).await.as_secs_f64()
    })
}

/// Jobs a second of those that wait for a worker, from its start to the end of the last.
fn consumed(site: &Site<'_>) -> f64 {
    runtime().block_on(async {
        let (store, _kept) = site.open().await;
        fill(store.clone(), JOBS).await;
        let spent = work(store, JOBS).await;
        JOBS as f64 / spent.as_secs_f64()
    })
}

/// How long one worker takes for all the jobs there are.
pub(crate) async fn work(store: Arc<dyn Store>, jobs: usize) -> Duration {
    let begun = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(Notify::new());
    let (count, tell) = (begun.clone(), last.clone());
    let builder = Engine::builder().store(store.clone()).slots(SLOTS).step("noop", move |_: Value| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == jobs {
            tell.notify_one();
        }
        async { Ok(()) }
    });
    let began = Instant::now();
    let worker = builder.start().await.expect("an engine");
    last.notified().await;
    // What has begun has still to end.
    let open = || RunQuery { open: true, limit: 1, ..RunQuery::default() };
    while !store.list_runs(open()).await.expect("an answer").items.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let spent = began.elapsed();
    worker.stop(Duration::from_secs(1)).await;
    assert_eq!(begun.load(Ordering::Relaxed), jobs, "each once");
    spent
}
