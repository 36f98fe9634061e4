//! Being told to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::output::Problem;

/// Waits for the signals that end a process.
#[derive(Debug)]
pub(crate) struct Signals {
    kinds: Vec<(SignalKind, Signal)>,
}

impl Signals {
    /// From here on these signals do not end the process by themselves. One that is ignored (as under `nohup`) stays
    /// ignored.
    pub(crate) fn catch() -> Result<Self, Problem> {
        let ignored = ignored_signals();
        let mut kinds = Vec::with_capacity(3);
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            if ignored & (1 << (kind.as_raw_value() - 1)) == 0 {
                kinds.push((kind, signal(kind).map_err(|error| uncatchable(&error))?));
            }
        }
        Ok(Self { kinds })
    }

    /// The next signal, as the exit that it means.
    pub(crate) async fn next(&mut self) -> Exit {
        std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.kinds {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(Exit::Signal(
                        u8::try_from(kind.as_raw_value()).unwrap_or(2),
                    ));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// The signals this process was told to ignore when it was started: bit 0 is signal 1. Nothing where the system does
/// not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn uncatchable(error: &io::Error) -> Problem {
    Problem::new(Exit::Unavailable, "signals", format!("cannot listen to signals: {error}"))
}
