//! Validating long workflows: as a host program does it, and on the command line from process start to exit.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use orchestrator_core::engine::Registry;

use crate::sample::{Figure, Must, beside, median, time};

/// How many steps an ordinary long workflow has.
const STEPS: usize = 20_000;

/// How many steps the longest workflow has: the most that are taken.
const MOST: usize = 100_000;

/// The memory that `validate` of the longest may take at its peak, in MiB.
const MEMORY: f64 = 1024.0;

/// The time that `validate` of the longest may take, in milliseconds.
const LIMIT: f64 = 2_000.0;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let text = text(STEPS);
    let registry: Registry = orchestrator_plugins::builtin().into_iter().collect();
    let spent = (0..repeat).map(|_| {
        let (parsed, spent) = time(|| orchestrator_core::spec::parse(&text, &registry));
        assert_eq!(parsed.expect("a workflow").workflow.steps.len(), STEPS);
        spent.as_secs_f64() * 1e3
    });
    let mut figures = vec![Figure {
        name: format!("validation: {STEPS} steps"),
        measured: median(spent.collect()),
        limit: 1_000.0,
        unit: "ms",
        must: Must::Within,
    }];
    figures.extend(command(repeat));
    figures
}

/// `orchestrator validate` of the longest workflow there can be.
fn command(repeat: usize) -> Vec<Figure> {
    let Some(binary) = beside("orchestrator") else {
        eprintln!(
            "validation: `orchestrator` is not built beside this program: cargo build --release -p orchestrator-cli"
        );
        return Vec::new();
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("longest.yaml");
    std::fs::write(&file, text(MOST)).expect("a file");
    let spent = (0..repeat).map(|_| validate(&binary, &file)).collect();
    vec![
        Figure {
            name: format!("validation: `validate` of {MOST} steps"),
            measured: median(spent),
            limit: LIMIT,
            unit: "ms",
            must: Must::Within,
        },
        Figure {
            name: format!("validation: `validate` of {MOST} steps, memory"),
            measured: most_of_a_child(),
            limit: MEMORY,
            unit: "MiB",
            must: Must::Within,
        },
    ]
}

fn validate(binary: &Path, file: &Path) -> f64 {
    let mut command = Command::new(binary);
    command.arg("validate").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, spent) = time(|| command.status());
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    spent.as_secs_f64() * 1e3
}

/// The most memory that any child of this process has had so far, in MiB: the system tells it of the largest, so that
/// what another workload has started may stand here instead. It is never less than what is asked for.
fn most_of_a_child() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts what children use");
    // Linux counts kilobytes here, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    used.max_rss() as f64 * unit / f64::from(1 << 20)
}

/// Scripts with an environment that refers to the step before. Written as short as it can be: the longest workflow has
/// to fit into the bytes that are taken.
fn text(steps: usize) -> String {
    let mut text = String::from("name: long\ninputs: { who: { type: string, default: you } }\nsteps:\n");
    text.push_str("  s0: {run: echo $W, effect: pure, env: {W: \"${{inputs.who}}\"}}\n");
    for (before, step) in (1..steps).enumerate() {
        let _ = writeln!(
            text,
            "  s{step}: {{run: echo $W, needs: s{before}, env: {{W: \"${{{{steps.s{before}.stdout}}}}\"}}}}"
        );
    }
    text
}
