//! What a step of a random graph holds in memory at the end of its run: the live bytes of workflow, plan, state, log,
//! rows and decisions, divided by the steps. Prints the number of bytes. Part of the `graph` workload of `benches`.

#[path = "../random_graph.rs"]
mod random_graph;

use peak_alloc::PeakAlloc;
use random_graph::{STEPS, needs, run, text};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    let text = text(&needs(STEPS));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let before = ALLOCATOR.current_usage();
    let mut at_end = 0;
    runtime.block_on(run(&text, || at_end = ALLOCATOR.current_usage()));
    println!("{}", at_end.saturating_sub(before) / STEPS);
}
