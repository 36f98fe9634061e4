//! Steps that call tools: of a server by the official SDK of the protocol, and of servers that behave as none should.

#[path = "../alive/mod.rs"]
mod alive;
#[path = "../listener/mod.rs"]
mod listener;
#[path = "../server/mod.rs"]
mod server;
#[path = "../stage/mod.rs"]
mod stage;

mod hostile;
mod odd;
mod real;

use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Outcome;
use orchestrator_plugins::Executable;

/// Longer than anything here takes; reached only by what hangs.
const HANG: Duration = Duration::from_secs(60);

/// The interpreter that has the official SDK. `./test` installs it.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../mcp/bin/python");
    assert!(
        python.exists(),
        "there is no {}: run `./test --only format`, which installs the SDK of the protocol there",
        python.display()
    );
    python
}

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp").join(name).display().to_string()
}

/// A server that behaves as none should.
fn hostile(how: &str) -> Executable {
    Executable::new("python3").args([file("hostile.py"), how.to_owned()])
}

/// The real one, over its standard streams.
fn real() -> Executable {
    Executable::new(python().display().to_string()).args([file("server.py"), "stdio".to_owned()])
}

fn unknown(outcome: Outcome) -> StepError {
    match outcome {
        Outcome::Unknown { error } => error,
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}
