//! W3 at size: a step over 100,000 items, each of which does nothing and is durable, on SQLite with `synchronous=FULL`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::engine::quick_step_fn;
use orchestrator_core::{Engine, StartRun};
use orchestrator_sqlite::SqliteStore;
use serde_json::Value;

use crate::chain::raw_commits;
use crate::sample::{Figure, Must, interleaved, runtime};

/// How many items the step has.
const ITEMS: usize = 100_000;

/// How many items are executed at once: what an engine has if nobody says otherwise, and as many callers as share a
/// commit of the limit.
const SLOTS: usize = 64;

/// How many commits' worth of steps the limit is measured over.
const RAW: usize = 200;

/// A repetition takes seconds, and its parts even out what is uneven about the machine.
const REPEAT: usize = 3;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let (measured, limit) = interleaved(repeat.min(REPEAT), engine, || raw_commits(SLOTS, SLOTS * RAW));
    vec![Figure {
        name: format!("fan: for_each over {ITEMS} items on SQLite FULL"),
        measured,
        limit,
        unit: "items/s",
        must: Must::Reach(0.12),
    }]
}

/// Items per second, from the start of the run to its end.
fn engine() -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    runtime().block_on(async {
        let path = folder.path().join("state.db");
        let store = SqliteStore::connect(&path.display().to_string()).await.expect("a store");
        let engine = Engine::builder()
            .store(Arc::new(store))
            .plugin(quick_step_fn("noop", |_: Value| async { Ok(()) }))
            .slots(SLOTS)
            .poll(None)
            .start()
            .await
            .expect("an engine");
        let text = "name: fan\ninputs: { all: { type: array } }\nsteps:\n  each:\n    uses: noop\n    \
                    for_each: ${{ inputs.all }}\n    with: { item: \"${{ item }}\" }\n";
        let flow = engine.parse(text).expect("a workflow").workflow;
        let all: Vec<usize> = (0..ITEMS).collect();
        let began = Instant::now();
        let run = engine.start(StartRun::new(flow).input("all", all)).await.expect("a run");
        let mut progress = run.progress();
        let ended = progress.wait_for(|progress| progress.ended).await.expect("an end").clone();
        let spent = began.elapsed();
        assert_eq!(ended.status, "completed");
        engine.stop(Duration::from_secs(1)).await;
        ITEMS as f64 / spent.as_secs_f64()
    })
}
