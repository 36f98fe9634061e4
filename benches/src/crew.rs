//! Several processes on one PostgreSQL database: what they do together, against one with as many slots.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::engine::EngineBuilder;
use orchestrator_core::port::store::{RunQuery, Serves, Store};
use orchestrator_core::spec::DEFAULT_QUEUE;
use orchestrator_core::{Engine, StartRun};
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::{Database, Server};
use serde_json::{Value, json};

use crate::chain::chain;
use crate::fleet::raw;
use crate::sample::{Figure, Must, interleaved, runtime};

/// How many processes share the work.
const PROCESSES: usize = 4;

/// The slots of all together.
const SLOTS: usize = 64;

/// How many workflows of ten steps are waiting for them.
const WORKFLOWS: usize = 400;

/// How many items one step has.
const ITEMS: usize = 100_000;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let server = runtime().block_on(Server::start());
    let (many, one) = interleaved(repeat, || backlog(&server, PROCESSES), || backlog(&server, 1));
    let (wide, limit) = interleaved(repeat.min(3), || wide(&server), || raw(&server, 64, 25_600));
    vec![
        Figure {
            name: format!("crew: {PROCESSES} processes, against one with all slots"),
            measured: many,
            limit: one,
            unit: "steps/s",
            must: Must::Reach(0.6),
        },
        Figure {
            name: format!("crew: {ITEMS} items of one step, {PROCESSES} processes"),
            measured: wide,
            limit,
            unit: "items/s",
            must: Must::Reach(0.1),
        },
    ]
}

fn noop(store: Arc<dyn Store>) -> EngineBuilder {
    Engine::builder().store(store).step("noop", |_: Value| async { Ok(()) })
}

pub(crate) async fn connect(url: &str) -> Arc<dyn Store> {
    Arc::new(PostgresStore::connect(url).await.expect("a store"))
}

/// One of the processes: waits for a line, works until its input ends.
pub(crate) fn work(url: &str, slots: usize) {
    runtime().block_on(async {
        let store = connect(url).await;
        println!("ready");
        line();
        let serves = Serves { queues: vec![DEFAULT_QUEUE.into()], ..Serves::default() };
        let engine = noop(store).slots(slots).serve(serves).share().start().await.expect("an engine");
        // Whoever waits for the end of the input must not hold up the engine.
        tokio::task::spawn_blocking(line).await.expect("an end");
        engine.stop(Duration::ZERO).await;
    });
}

/// Waits for a line, or the end of the input.
fn line() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("an input");
}

struct Crew(Vec<(Child, ChildStdin)>);

impl Crew {
    /// Starts them; none of them works yet.
    fn hire(database: &Database, processes: usize) -> Self {
        let own = std::env::current_exe().expect("this program");
        let hire = |_| {
            let mut child = Command::new(&own)
                .args(["--work", database.url(), "--slots", &(SLOTS / processes).to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process");
            let mut line = String::new();
            BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
            let input = child.stdin.take().expect("its input");
            (child, input)
        };
        Self((0..processes).map(hire).collect())
    }

    fn begin(&mut self) {
        self.0.iter_mut().for_each(|(_, input)| input.write_all(b"go\n").expect("a process that listens"));
    }

    fn dismiss(self) {
        for (mut child, input) in self.0 {
            drop(input);
            child.wait().expect("its end");
        }
    }
}

/// Has a crew carry out what is waiting, and tells how long it takes.
async fn carried_out(database: &Database, store: &Arc<dyn Store>, processes: usize) -> Duration {
    let mut crew = Crew::hire(database, processes);
    let began = Instant::now();
    crew.begin();
    loop {
        let open = RunQuery { open: true, limit: 1, ..RunQuery::default() };
        if store.list_runs(open).await.expect("an answer").items.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let spent = began.elapsed();
    crew.dismiss();
    spent
}

/// Steps a second of workflows that were waiting.
fn backlog(server: &Server, processes: usize) -> f64 {
    runtime().block_on(async {
        let database = server.database().await;
        let store = connect(database.url()).await;
        let client = noop(store.clone()).poll(None).start().await.expect("an engine");
        let flow = Arc::new(chain(&client));
        for _ in 0..WORKFLOWS {
            client.enqueue(StartRun::new(flow.clone())).await.expect("a run");
        }
        let spent = carried_out(&database, &store, processes).await;
        client.stop(Duration::ZERO).await;
        (WORKFLOWS * 10) as f64 / spent.as_secs_f64()
    })
}

/// Items a second of one step of one run.
fn wide(server: &Server) -> f64 {
    runtime().block_on(async {
        let database = server.database().await;
        let store = connect(database.url()).await;
        let client = noop(store.clone()).poll(None).start().await.expect("an engine");
        let text = "name: wide\ninputs: { list: { type: array } }\nsteps:\n  a: { uses: noop, for_each: \"${{ inputs.list }}\" }\n";
        let flow = client.parse(text).expect("a workflow").workflow;
        let list: Vec<usize> = (0..ITEMS).collect();
        client.enqueue(StartRun::new(flow).input("list", json!(list))).await.expect("a run");
        let spent = carried_out(&database, &store, PROCESSES).await;
        client.stop(Duration::ZERO).await;
        ITEMS as f64 / spent.as_secs_f64()
    })
}
