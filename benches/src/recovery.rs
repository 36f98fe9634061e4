//! How long it takes until work goes on that something has interrupted, on PostgreSQL.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orchestrator_core::{Engine, StartRun};
use orchestrator_postgres::testkit::Server;
use serde_json::Value;

use crate::chain::chain;
use crate::crew::connect;
use crate::sample::{Figure, Must, runtime};

/// How long a process counts as alive that says nothing.
const TTL: Duration = Duration::from_secs(3);

/// How many processes die, and how many of them at a time: most of it is waiting.
const DEATHS: usize = 16;
const AT_ONCE: usize = 4;

/// How often the server is restarted.
const RESTARTS: usize = 6;

/// How many workflows are driven meanwhile.
const LANES: usize = 4;

/// What a step that is to be orphaned says when it begins.
const BEGUN: &str = "begun";

pub(crate) fn measure(_: usize) -> Vec<Figure> {
    let server = runtime().block_on(Server::start());
    let orphaned = std::thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..AT_ONCE).map(|_| scope.spawn(|| worst(DEATHS / AT_ONCE, || orphan(&server)))).collect();
        lanes.into_iter().map(|lane| lane.join().expect("a lane")).fold(0.0, f64::max)
    });
    let restarted = restarts(&server);
    let within = |name: String, measured, limit: Duration| Figure {
        name,
        measured,
        limit: millis(limit),
        unit: "ms",
        must: Must::Within,
    };
    vec![
        within(
            format!("recovery: a step of a killed worker, worst of {DEATHS}"),
            orphaned,
            TTL + Duration::from_secs(2),
        ),
        within(format!("recovery: after a restart, worst of {RESTARTS}"), restarted, Duration::from_secs(10)),
    ]
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

fn worst(times: usize, measure: impl Fn() -> f64) -> f64 {
    (0..times).map(|_| measure()).fold(0.0, f64::max)
}

/// A process that takes up runs whose step never ends.
struct Holder {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Holder {
    fn begin(url: &str) -> Self {
        let own = std::env::current_exe().expect("this program");
        let mut child =
            Command::new(own).args(["--hold", url]).stdout(Stdio::piped()).spawn().expect("a process");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        let mut holder = Self { child, said };
        holder.says("ready");
        holder
    }

    fn says(&mut self, word: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), word);
    }

    fn die(mut self) {
        self.child.kill().expect("a process that lives");
        self.child.wait().expect("its end");
    }
}

/// What such a process does, until it is killed.
pub(crate) fn hold(url: &str) {
    runtime().block_on(async {
        let _engine = Engine::builder()
            .store(connect(url).await)
            .step("hold", |_: Value| async {
                println!("{BEGUN}");
                std::future::pending::<()>().await;
                Ok(())
            })
            .ttl(TTL)
            .start()
            .await
            .expect("an engine");
        println!("ready");
        std::future::pending::<()>().await;
    });
}

/// From the death of the process that executes a step to the step's beginning in another one, in milliseconds.
fn orphan(server: &Server) -> f64 {
    let runtime = runtime();
    let database = runtime.block_on(server.database());
    runtime.block_on(async {
        let client = Engine::builder()
            .store(connect(database.url()).await)
            .step("hold", |_: Value| async { Ok(()) })
            .poll(None)
            .start()
            .await
            .expect("an engine");
        let text = "name: held\nsteps:\n  a: { uses: hold, effect: idempotent }\n";
        let flow = client.parse(text).expect("a workflow").workflow;
        client.enqueue(StartRun::new(flow)).await.expect("a run");
        client.stop(Duration::ZERO).await;
    });
    let mut first = Holder::begin(database.url());
    first.says(BEGUN);
    let mut second = Holder::begin(database.url());
    first.die();
    let died = Instant::now();
    second.says(BEGUN);
    let spent = died.elapsed();
    second.die();
    millis(spent)
}

/// From when a restarted server answers to the next step that is executed, in milliseconds: the worst.
fn restarts(server: &Server) -> f64 {
    let runtime = runtime();
    runtime.block_on(async {
        let database = server.database().await;
        let executed = Arc::new(AtomicU64::new(0));
        let counted = executed.clone();
        let engine = Engine::builder()
            .store(connect(database.url()).await)
            .step("noop", move |_: Value| {
                counted.fetch_add(1, Ordering::Relaxed);
                async { Ok(()) }
            })
            .start()
            .await
            .expect("an engine");
        let flow = Arc::new(chain(&engine));
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                let (engine, flow) = (engine.clone(), flow.clone());
                tokio::spawn(async move {
                    loop {
                        match engine.start(StartRun::new(flow.clone())).await {
                            Ok(run) => {
                                let mut progress = run.progress();
                                let _ =
                                    progress.wait_for(|progress| progress.ended || !progress.driven).await;
                            }
                            // The server is away.
                            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                        }
                    }
                })
            })
            .collect();
        let mut worst = Duration::ZERO;
        for _ in 0..RESTARTS {
            goes_on(&executed).await;
            tokio::task::block_in_place(|| {
                server.crash();
                server.resume();
            });
            server.answers().await;
            let answers = Instant::now();
            goes_on(&executed).await;
            worst = worst.max(answers.elapsed());
        }
        lanes.iter().for_each(tokio::task::JoinHandle::abort);
        engine.stop(Duration::ZERO).await;
        millis(worst)
    })
}

/// Returns when another step was executed.
async fn goes_on(executed: &AtomicU64) {
    let before = executed.load(Ordering::Relaxed);
    while executed.load(Ordering::Relaxed) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
