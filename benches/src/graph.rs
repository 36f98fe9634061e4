//! W7: a random DAG of no-op steps in memory, with the real machine and its events.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use orchestrator_core::engine::quick_step_fn;
use orchestrator_core::{Engine, StartRun};
use serde_json::Value;

use crate::sample::{Figure, Must, interleaved, runtime};

const STEPS: usize = 100_000;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let needs = needs(STEPS);
    let text = text(&needs);
    // First: memory that an earlier run has given back would not count.
    let (_, bytes) = engine(&text);
    let per_step = |spent: Duration| spent.as_secs_f64() * 1e6 / STEPS as f64;
    let (engine_time, bare_time) =
        interleaved(repeat, || per_step(engine(&text).0), || per_step(bare(&needs)));
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

/// What each step needs: up to two of the thousand before it.
fn needs(steps: usize) -> Vec<Vec<usize>> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let mut of = |step: usize| {
        let first = step.saturating_sub(1_000);
        let mut needs: Vec<usize> =
            (0..2).filter(|_| step > 0).map(|_| first + random() % (step - first)).collect();
        needs.sort_unstable();
        needs.dedup();
        needs
    };
    (0..steps).map(&mut of).collect()
}

fn text(needs: &[Vec<usize>]) -> String {
    let mut text = String::from("name: graph\nsteps:\n");
    for (step, needs) in needs.iter().enumerate() {
        let _ = write!(text, "  s{step}: {{ uses: noop");
        match needs[..] {
            [] => {}
            [need] => drop(write!(text, ", needs: s{need}")),
            _ => {
                let names: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
                let _ = write!(text, ", needs: [{}]", names.join(", "));
            }
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
            .slots(1_024)
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

/// A bare executor of the same graph: a task per step, spawned by whichever step ends the last of its needs. The fewest
/// moving parts that do the job; no state that could be asked, no log, no policy.
fn bare(needs: &[Vec<usize>]) -> Duration {
    struct Graph {
        successors: Vec<Vec<u32>>,
        missing: Vec<AtomicU32>,
        open: AtomicUsize,
        ended: tokio::sync::Notify,
    }
    fn step(graph: &Arc<Graph>, ix: u32) {
        let graph = graph.clone();
        tokio::spawn(async move {
            for successor in &graph.successors[ix as usize] {
                if graph.missing[*successor as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                    step(&graph, *successor);
                }
            }
            if graph.open.fetch_sub(1, Ordering::AcqRel) == 1 {
                graph.ended.notify_one();
            }
        });
    }
    runtime().block_on(async {
        let began = Instant::now();
        let mut successors = vec![Vec::new(); needs.len()];
        for (ix, needs) in needs.iter().enumerate() {
            needs.iter().for_each(|need| successors[*need].push(ix as u32));
        }
        let missing = needs.iter().map(|needs| AtomicU32::new(needs.len() as u32)).collect();
        let (open, ended) = (AtomicUsize::new(needs.len()), tokio::sync::Notify::new());
        let graph = Arc::new(Graph { successors, missing, open, ended });
        let first = needs.iter().enumerate().filter(|(_, needs)| needs.is_empty());
        first.for_each(|(ix, _)| step(&graph, ix as u32));
        graph.ended.notified().await;
        began.elapsed()
    })
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
