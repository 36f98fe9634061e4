//! W7: a random DAG of no-op steps in memory, with the real machine and its events.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::random_graph::{STEPS, needs, run, text};
use crate::sample::{Figure, Must, beside, interleaved, runtime};

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let needs = needs(STEPS);
    let text = text(&needs);
    let per_step = |spent: Duration| spent.as_secs_f64() * 1e6 / STEPS as f64;
    let engine = || per_step(runtime().block_on(run(&text, || ())));
    let (engine_time, bare_time) = interleaved(repeat, engine, || per_step(bare(&needs)));
    let mut figures = vec![Figure {
        name: format!("graph: {STEPS} no-op steps in memory, per step"),
        measured: engine_time,
        limit: bare_time,
        unit: "µs",
        must: Must::WithinTimes(5.0),
    }];
    figures.extend(footprint().map(|bytes| Figure {
        name: format!("graph: {STEPS} no-op steps, memory held per step"),
        measured: bytes,
        limit: 1024.0,
        unit: "B",
        must: Must::Within,
    }));
    figures
}

/// What a step holds in memory, counted by a program of its own: counting would slow down what is measured here.
fn footprint() -> Option<f64> {
    let Some(program) = beside("footprint") else {
        eprintln!(
            "graph: `footprint` is not built beside this program; it comes with `cargo build -p orchestrator-benches`"
        );
        return None;
    };
    let told = Command::new(program).output().expect("a figure").stdout;
    Some(String::from_utf8_lossy(&told).trim().parse().expect("a number of bytes"))
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
