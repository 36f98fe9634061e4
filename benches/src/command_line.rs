//! W6: `orchestrator run` of a one-step echo on an existing store, from process start to exit, above the bare shell.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::sample::{Figure, Must, beside, interleaved, time};

/// How many processes one repetition starts.
const PROCESSES: usize = 20;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let Some(binary) = beside("orchestrator") else {
        eprintln!(
            "command: `orchestrator` is not built beside this program: cargo build --release -p orchestrator-cli"
        );
        return Vec::new();
    };
    let folder = tempfile::tempdir().expect("a folder");
    let flow = folder.path().join("echo.yaml");
    std::fs::write(&flow, "name: echo\nsteps:\n  hello:\n    run: echo hello\n    effect: pure\n")
        .expect("a file");
    let orchestrator = || {
        let mut command = Command::new(&binary);
        command.args(["run", "echo.yaml"]);
        command
    };
    let shell = || {
        let mut command = Command::new("sh");
        command.args(["-c", "echo hello"]);
        command
    };
    // The first one makes the store.
    once(orchestrator(), folder.path());
    let mean = |command: &dyn Fn() -> Command| {
        let (_, spent) = time(|| (0..PROCESSES).for_each(|_| once(command(), folder.path())));
        spent.as_secs_f64() * 1e3 / PROCESSES as f64
    };
    let (ours, bare) = interleaved(repeat, || mean(&orchestrator), || mean(&shell));
    vec![Figure {
        name: "command: run of a one-step echo, above sh -c".to_owned(),
        measured: ours,
        limit: bare,
        unit: "ms",
        must: Must::WithinAbove(15.0),
    }]
}

fn once(mut command: Command, folder: &Path) {
    let done =
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(done.is_ok_and(|status| status.success()), "{command:?} failed");
}
