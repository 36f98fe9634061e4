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
long half of these had waited for their worker. With a bell, RUNG are tickets that nobody has heard yet, and DEAD those \
that nobody could use.

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
    /// Tickets of the bell that nobody could use
    #[command(subcommand, arg_required_else_help = true)]
    Dead(DeadCommand),
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// Dead letters, the newest first
    #[command(after_help = "\
Examples:
  orchestrator queue dead list --bell redis://localhost
  orchestrator queue dead list --of runs --oldest --limit 20

A ticket is buried when nobody can read it, when the store does not know its run, or when it has come more than 16 times and \
whoever was given it has not lived to settle it. No run is harmed by that: the store says what there is to do. At most \
10,000 are kept of each queue; the oldest go first.

Exit codes: 0 listed (also if there are none), 2 there is no bell, 3 no name of a queue or of a letter, 7 bell \
unavailable.")]
    List(ListDead),
    /// Ring for it once more
    #[command(after_help = "\
Example:
  orchestrator queue dead retry 1767225600000001:runs

Exit codes: 0 rung for, 2 there is no bell, 3 what is on it cannot be read, 4 there is no such letter, 7 bell unavailable.")]
    Retry(LetterRef),
    /// Forget it
    #[command(after_help = "\
Example:
  orchestrator queue dead drop 1767225600000001:runs

Exit codes: 0 gone, 2 there is no bell, 4 there is no such letter, 7 bell unavailable.")]
    Drop(LetterRef),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct ListDead {
    /// Only those of this queue: `runs`, that of a step, or that of a process
    #[arg(long, value_name = "QUEUE")]
    pub(crate) of: Option<String>,
    /// The oldest first
    #[arg(long)]
    pub(crate) oldest: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) limit: u16,
    /// Go on behind this one: what `next` said
    #[arg(long, value_name = "LETTER")]
    pub(crate) after: Option<String>,
}

/// A dead letter.
#[derive(Debug, Args)]
pub(crate) struct LetterRef {
    /// What it is called, as `queue dead list` shows it
    #[arg(value_name = "LETTER")]
    pub(crate) letter: String,
}

/// A queue.
#[derive(Debug, Args)]
pub(crate) struct QueueRef {
    /// Name, as in `queue:` of a step
    #[arg(value_name = "NAME")]
    pub(crate) queue: String,
}
