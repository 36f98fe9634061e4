//! `queue …`.

use clap::{Args, Subcommand};

/// What can be asked of queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Every queue that somebody serves, that something waits for, or that is paused
    #[command(after_help = "\
Example:
  orchestrator queue list --json

WAITING are steps that were offered to workers and that none has claimed, and those that nobody can be offered: their \
queue is paused, or nobody serves it. CLAIMED are steps that a worker executes for another process. CLAIM WAIT is how \
long half of these had waited for their worker.

Exit codes: 0 listed (also if there are none), 4 there is no store yet, 7 store unavailable.")]
    List,
    /// Begin nothing more from a queue, until it is resumed
    #[command(after_help = "\
Examples:
  orchestrator queue pause gpu
  orchestrator queue pause default

Steps without `queue:` are of the queue `default`. Within about a second no process begins a step of the queue, or \
offers it to others, and no worker claims one. What runs goes on to its end. The pause holds until somebody resumes the \
queue, whoever is restarted meanwhile.

Exit codes: 0 paused (also if it was already), 3 no name of a queue, 4 there is no store yet, 6 somebody else changes \
it, 7 store unavailable.")]
    Pause(QueueRef),
    /// Begin steps of a queue again
    #[command(after_help = "\
Example:
  orchestrator queue resume gpu

Exit codes: 0 resumed (also if it was not paused), 3 no name of a queue, 4 there is no store yet, 6 somebody else \
changes it, 7 store unavailable.")]
    Resume(QueueRef),
}

/// A queue.
#[derive(Debug, Args)]
pub(crate) struct QueueRef {
    /// Name, as in `queue:` of a step
    #[arg(value_name = "NAME")]
    pub(crate) queue: String,
}
