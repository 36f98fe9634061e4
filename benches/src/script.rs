//! A script above a bare spawn of its interpreter, in the sandbox and outside of it; and what a script that never stops writing
//! costs in memory.

use std::path::Path;
use std::process::{Command, Stdio};

use orchestrator_core::id::RunId;
use orchestrator_core::port::plugin::{Context, Outcome, Plugin, Request};
use orchestrator_core::spec::Sandbox;
use orchestrator_plugins::Script;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::sample::{Figure, Must, interleaved, time};

/// How many scripts one repetition runs, one after the other.
const SCRIPTS: usize = 50;

/// How much the script that never stops is let write, in bytes: far more than all that is kept of it.
const ENDLESS: u64 = 256 << 20;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    // As it is by default: there is a store to hide in the folder of the run.
    let store = folder.path().join(".orchestrator");
    std::fs::create_dir(&store).expect("a folder");
    let file = folder.path().join("bare.sh");
    std::fs::write(&file, "echo hello\n").expect("a file");
    let run = |sandbox: &Sandbox, text: &str| {
        let mut context = Context::detached(
            "run_0193b5a0000070008000000000000001".parse::<RunId>().expect("an id"),
            "a",
            folder.path(),
        );
        context.sandbox = sandbox.clone();
        context.protected = [store.clone()].into();
        let request = Request { with: json!({ "run": text, "shell": "sh" }), ..Request::default() };
        let outcome = runtime.block_on(Script.execute(context, request));
        assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    };
    let mean = |one: &dyn Fn()| {
        let (_, spent) = time(|| (0..SCRIPTS).for_each(|_| one()));
        spent.as_secs_f64() * 1e3 / SCRIPTS as f64
    };
    let mut figures = Vec::new();
    for (name, sandbox, must) in [
        ("script: in the sandbox, above a bare sh", Sandbox::strict(), 3.0),
        ("script: with sandbox: none, above a bare sh", Sandbox::None, 3.0),
    ] {
        // Starts the watchdog.
        run(&sandbox, "true");
        let (measured, limit) =
            interleaved(repeat, || mean(&|| run(&sandbox, "echo hello")), || mean(&|| bare(&file)));
        figures.push(Figure {
            name: name.to_owned(),
            measured,
            limit,
            unit: "ms",
            must: Must::WithinAbove(must),
        });
    }
    let before = resident();
    run(&Sandbox::strict(), &format!("head -c {ENDLESS} /dev/zero | tr '\\0' x"));
    let measured = resident().saturating_sub(before) as f64 / f64::from(1 << 20);
    figures.push(Figure {
        name: "script: memory for 256 MiB of output".to_owned(),
        measured,
        limit: 8.0,
        unit: "MiB",
        must: Must::Within,
    });
    figures
}

fn bare(file: &Path) {
    let done = Command::new("sh").arg("-e").arg(file).stdin(Stdio::null()).output();
    assert!(done.is_ok_and(|done| done.stdout == b"hello\n"), "sh failed");
}

/// The most memory that this process has had, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or_default() << 10
}
