//! Whether one project with very many runs holds up the others: how long these wait for a worker that has nothing else to do,
//! and for one that has all of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use orchestrator_core::port::store::Store;
use orchestrator_core::spec::Workflow;
use orchestrator_core::{Engine, StartRun};
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::Server;
use orchestrator_sqlite::SqliteStore;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::sample::{Figure, Must, median, runtime};

/// How many runs of others are handed in, one after the other, for each repetition.
const RUNS: usize = 100;

/// How long it is waited between them.
const REST: Duration = Duration::from_millis(10);

/// How many projects they are of.
const PROJECTS: usize = 5;

/// How many runs of the flood are handed in at the same time.
const HANDS: usize = 64;

/// How many due runs are asked for.
const LOOK: usize = 64;

/// How many times others may wait longer.
const TIMES: f64 = 3.0;

/// One database: on PostgreSQL with a worker and a client that have connections of their own; on SQLite one process is both.
enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(Box<orchestrator_postgres::testkit::Database>),
}

impl Place {
    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(folder) => {
                let path = folder.path().join("state.db").display().to_string();
                Arc::new(SqliteStore::connect(&path).await.expect("a store"))
            }
            Self::Postgres(database) => {
                Arc::new(PostgresStore::connect(database.url()).await.expect("a store"))
            }
        }
    }
}

/// What was measured of one place, in milliseconds.
#[derive(Default)]
struct Waits {
    unloaded: Vec<f64>,
    loaded: Vec<f64>,
    /// How long a look for what is due takes, with few runs and with all.
    few: Vec<f64>,
    many: Vec<f64>,
}

pub(crate) fn measure(repeat: usize, flood: usize) -> Vec<Figure> {
    runtime().block_on(async {
        let server = Server::start().await;
        let mut figures = Vec::new();
        for name in ["PostgreSQL", "one process"] {
            let mut waits = Waits::default();
            for _ in 0..repeat {
                let place = match name {
                    "one process" => Place::Sqlite(tempfile::tempdir().expect("a folder")),
                    _ => Place::Postgres(Box::new(server.database().await)),
                };
                once(&place, flood, &mut waits).await;
            }
            let figure = |what: &str, measured, limit| Figure {
                name: format!("flood: {what} of {flood}, {name}"),
                measured,
                limit,
                unit: "ms",
                must: Must::WithinTimes(TIMES),
            };
            let [half, most] = [50, 95]
                .map(|percent| (rank(&mut waits.loaded, percent), rank(&mut waits.unloaded, percent)));
            figures.push(figure("others wait, p50", half.0, half.1));
            figures.push(figure("others wait, p95", most.0, most.1));
            figures.push(figure("a look", median(waits.many), median(waits.few)));
        }
        figures
    })
}

async fn once(place: &Place, flood: usize, waits: &mut Waits) {
    let (client, _) = engine(place.open().await, false, &Arc::default()).await;
    let parse = |text: &str| Arc::new(client.parse(text).expect("a workflow").workflow);
    let other = parse("name: other\nsteps:\n  a: { uses: noop }\n");
    let many = parse("name: flood\nsteps:\n  a: { uses: fill }\n");

    let done = Arc::new(AtomicUsize::new(0));
    let (worker, mut begun) = engine(place.open().await, true, &done).await;
    let starter = |worker: &Engine| match place {
        Place::Sqlite(_) => worker.clone(),
        Place::Postgres(_) => client.clone(),
    };
    waits.unloaded.extend(wait_for(&starter(&worker), &other, &mut begun).await);
    worker.stop(Duration::from_secs(5)).await;

    let store = place.open().await;
    hand_in(&client, &many, LOOK).await;
    waits.few.push(look(&*store).await);
    hand_in(&client, &many, flood.saturating_sub(LOOK)).await;
    waits.many.push(look(&*store).await);
    store.close().await.expect("a close");

    let (worker, mut begun) = engine(place.open().await, true, &done).await;
    while done.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(REST).await;
    }
    let (before, since) = (done.load(Ordering::Relaxed), Instant::now());
    waits.loaded.extend(wait_for(&starter(&worker), &other, &mut begun).await);
    let after = done.load(Ordering::Relaxed);
    assert!(after < flood, "the flood was over before the others were");
    let rate = (after - before) as f64 / since.elapsed().as_secs_f64();
    eprintln!("flood: beside the others, {rate:.0} runs/s of it");
    worker.stop(Duration::from_secs(5)).await;
    client.stop(Duration::from_secs(5)).await;
}

/// An engine, and when each step of the others has begun. It looks for runs that nobody drives, or leaves them to others.
async fn engine(
    store: Arc<dyn Store>,
    looks: bool,
    done: &Arc<AtomicUsize>,
) -> (Engine, mpsc::UnboundedReceiver<Instant>) {
    let (began, begun) = mpsc::unbounded_channel();
    let done = done.clone();
    let noop = move |_: Value| {
        // Whoever listens ends after the engine.
        let _ = began.send(Instant::now());
        async { Ok(()) }
    };
    let fill = move |_: Value| {
        done.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    };
    let builder = Engine::builder().store(store).step("noop", noop).step("fill", fill);
    let builder = if looks { builder } else { builder.poll(None) };
    (builder.start().await.expect("an engine"), begun)
}

/// From handing in each run to the beginning of its step, in milliseconds.
async fn wait_for(
    client: &Engine,
    flow: &Arc<Workflow>,
    begun: &mut mpsc::UnboundedReceiver<Instant>,
) -> Vec<f64> {
    let mut waits = Vec::with_capacity(RUNS);
    for number in 0..RUNS {
        let project = format!("other {}", number % PROJECTS);
        let handed = Instant::now();
        client.enqueue(StartRun::new(flow.clone()).project(project)).await.expect("a run");
        let at = begun.recv().await.expect("a beginning");
        waits.push(at.duration_since(handed).as_secs_f64() * 1_000.0);
        tokio::time::sleep(REST).await;
    }
    waits
}

/// Hands in runs of one project, many at the same time.
async fn hand_in(client: &Engine, flow: &Arc<Workflow>, count: usize) {
    let mut hands = tokio::task::JoinSet::new();
    for hand in 0..HANDS {
        let (client, flow) = (client.clone(), flow.clone());
        hands.spawn(async move {
            for _ in (hand..count).step_by(HANDS) {
                client.enqueue(StartRun::new(flow.clone()).project("flood")).await.expect("a run");
            }
        });
    }
    while let Some(hand) = hands.join_next().await {
        hand.expect("all are handed in");
    }
}

/// How long a look for what is due takes, in milliseconds.
async fn look(store: &dyn Store) -> f64 {
    let mut looks = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        let due = store.claim_due(LOOK).await.expect("what is due");
        looks.push(began.elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(due.len(), LOOK);
    }
    median(looks)
}

fn rank(waits: &mut [f64], percent: usize) -> f64 {
    waits.sort_by(f64::total_cmp);
    waits[waits.len() * percent / 100]
}
