//! A random graph of steps that do nothing, and its run by an engine in memory.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::engine::quick_step_fn;
use orchestrator_core::{Engine, StartRun};
use serde_json::Value;

/// How many steps the graph has.
pub(crate) const STEPS: usize = 100_000;

/// What each step needs: up to two of the thousand before it.
pub(crate) fn needs(steps: usize) -> Vec<Vec<usize>> {
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

pub(crate) fn text(needs: &[Vec<usize>]) -> String {
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

/// How long the run takes from start to end. `at_end` is called while the run is still held.
pub(crate) async fn run(text: &str, at_end: impl FnOnce()) -> Duration {
    let engine = Engine::builder()
        .plugin(quick_step_fn("noop", |_: Value| async { Ok(()) }))
        // The bare executor knows no bound either.
        .slots(1_024)
        .poll(None)
        .start()
        .await
        .expect("an engine");
    let flow = Arc::new(engine.parse(text).expect("a workflow").workflow);
    let began = Instant::now();
    let run = engine.start(StartRun::new(flow.clone())).await.expect("a run");
    let mut progress = run.progress();
    let ended = progress.wait_for(|progress| progress.ended).await.expect("an end").clone();
    let spent = began.elapsed();
    assert_eq!((ended.status, ended.done as usize), ("completed", STEPS));
    at_end();
    engine.stop(Duration::from_secs(1)).await;
    spent
}
