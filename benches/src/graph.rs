//! W7: a random DAG of no-op steps in memory, with the real machine and its events.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::engine::quick_step_fn;
use orchestrator_core::{Engine, StartRun};
use serde_json::Value;

use crate::sample::{Figure, Must, interleaved, runtime};

const STEPS: usize = 100_000;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let text = text(STEPS);
    // First: memory that an earlier run has given back would not count.
    let (_, bytes) = engine(&text);
    let per_step = |spent: Duration| spent.as_secs_f64() * 1e6 / STEPS as f64;
    let (engine_time, bare_time) = interleaved(repeat, || per_step(engine(&text).0), || per_step(bare()));
    vec![
        Figure {
            name: format!("graph: {STEPS} no-op steps in memory, per step"),
            measured: engine_time,
            limit: bare_time,
            unit: "µs",
            must: Must::WithinTimes(5.0),
        },
        Figure {
            name: format!("graph: {STEPS} no-op steps in memory, per step"),
            measured: bytes,
            limit: 1024.0,
            unit: "B",
            must: Must::Within,
        },
    ]
}

/// Each step needs up to two of the thousand before it.
fn text(steps: usize) -> String {
    let mut text = String::from("name: graph\nsteps:\n");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for step in 0..steps {
        let _ = write!(text, "  s{step}: {{ uses: noop");
        let mut needs = [0; 2].map(|_: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let first = step.saturating_sub(1_000);
            if step == 0 { 0 } else { first + (seed % (step - first) as u64) as usize }
        });
        needs.sort_unstable();
        if step > 0 && needs[0] == needs[1] {
            let _ = write!(text, ", needs: s{}", needs[0]);
        } else if step > 0 {
            let _ = write!(text, ", needs: [s{}, s{}]", needs[0], needs[1]);
        }
        text.push_str(" }\n");
    }
    text
}

/// How long the run takes from start to end, and how much memory it holds at its end, per step.
fn engine(text: &str) -> (Duration, f64) {
    runtime().block_on(async {
        let engine = Engine::builder()
            .plugin(quick_step_fn("noop", |_: Value| async { Ok(()) }))
            .poll(None)
            .start()
            .await
            .expect("an engine");
        let before = resident();
        let flow = Arc::new(engine.parse(text).expect("a workflow").workflow);
        let began = Instant::now();
        let run = engine.start(StartRun::new(flow.clone())).await.expect("a run");
        let mut progress = run.progress();
        let ended = progress.wait_for(|progress| progress.ended).await.expect("an end").clone();
        let spent = began.elapsed();
        assert_eq!((ended.status, ended.done as usize), ("completed", STEPS));
        let bytes = resident().saturating_sub(before) as f64 / STEPS as f64;
        engine.stop(Duration::from_secs(1)).await;
        (spent, bytes)
    })
}

/// A bare executor: a task per step, each awaited.
fn bare() -> Duration {
    runtime().block_on(async {
        let began = Instant::now();
        let steps: Vec<_> = (0..STEPS).map(|_| tokio::spawn(async {})).collect();
        for step in steps {
            step.await.expect("a step");
        }
        began.elapsed()
    })
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
