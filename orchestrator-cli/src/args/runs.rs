//! `runs …`.

use clap::{Args, Subcommand};

use crate::args::report::Reports;
use crate::args::run::Drive;

/// Every status of a run.
pub(crate) const STATUSES: [&str; 10] = [
    "pending",
    "planning",
    "planned",
    "running",
    "paused",
    "blocked",
    "compensating",
    "completed",
    "failed",
    "cancelled",
];

/// What can be asked of runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, the newest first
    List(ListRuns),
    /// Show a run with its steps
    Show(Show),
    /// Print what steps wrote
    Logs(Logs),
    /// Print what happened, event by event
    Events(Events),
    /// Wait until a run has ended
    Wait(Wait),
    /// Watch a run as it moves, until it has ended
    Watch(Watch),
    /// Give a run a signal that a step of it waits for, or will
    Signal(Signal),
    /// Say whether what a step gave is good enough
    Qa(Qa),
    /// Stop a run for good
    Cancel(Cancel),
    /// Begin a run at once that was put off
    Begin(Begin),
    /// Begin nothing new until `runs resume`
    Pause(Ask),
    /// Go on with a run that was paused, stopped or killed
    Resume(Resume),
    /// Begin steps of an ended run again, and go on from there
    Retry(Retry),
    /// Start another run that begins where this one has been
    Fork(Fork),
    /// Undo what an ended run has done: run the compensations of its steps
    Compensate(Compensate),
    /// Say whether a step whose outcome nobody knows has had its effect
    Resolve(Resolve),
}

/// A run to be found.
#[derive(Debug, Args)]
pub(crate) struct RunRef {
    /// Run: its id, the beginning of one, or @last
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
}

/// Why something is asked.
#[derive(Debug, Args)]
pub(crate) struct Reason {
    /// Reason, kept with the run
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs list --open
  orchestrator runs list --status failed --limit 5 --json

Exit codes: 0 listed (also if there are none), 2 usage, 4 there is no store yet, 7 store unavailable.")]
pub(crate) struct ListRuns {
    /// Only runs in this status; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = STATUSES, hide_possible_values = true)]
    pub(crate) status: Vec<String>,

    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,

    /// Only runs that have not ended
    #[arg(long)]
    pub(crate) open: bool,

    /// Also runs that carry out a step of another
    #[arg(long)]
    pub(crate) children: bool,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,

    /// Go on after this run: `next` of the answer before
    #[arg(long, value_name = "RUN")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs show @last
  orchestrator runs show @last --report junit=report.xml

Exit codes: 0 shown, 4 no such run, 7 store unavailable.")]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) run: RunRef,

    #[command(flatten)]
    pub(crate) reports: Reports,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs logs @last --step build --tail 50
  orchestrator runs logs @last --level stderr --since 10m
  orchestrator runs logs @last --follow

With --step, only what the step wrote is printed. A time is a moment (2026-01-31T12:00:00Z) or how
long ago (10m). With --json, one object a line.

Exit codes: 0 printed, 2 a time makes no sense, 4 no such run or step, 7 store unavailable, 130 stopped by Ctrl-C (the run goes on).")]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// Only of this step
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,

    /// Only stdout, stderr, or system (what orchestrator says itself); may be repeated
    #[arg(long, value_name = "LEVEL", value_parser = ["stdout", "stderr", "system"], hide_possible_values = true)]
    pub(crate) level: Vec<String>,

    /// Only lines written at or after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,

    /// Only lines written before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,

    /// Only the last N lines of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) tail: Option<u32>,

    /// Go on until the run has ended
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs events @last
  orchestrator runs events @last --after 12 --follow --json

With --json, one object a line.

Exit codes: 0 printed, 4 no such run, 7 store unavailable, 130 stopped by Ctrl-C (the run goes on).")]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// Only events with a larger number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) after: u64,

    /// Only the last N events of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) tail: Option<u32>,

    /// Go on until the run has ended
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator runs wait @last --timeout 5m

Ctrl-C ends the waiting; the run goes on. Where only a person can move the run, the command is printed; it goes
on waiting if a terminal is watching or --timeout is given, and else exits with 9.

Exit codes: 0 completed, 1 failed, 4 no such run, 7 store unavailable, 8 cancelled or timed out,
9 waits for someone, 130 stopped by Ctrl-C.")]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// At most this long: 90s, 5m, 1h
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,

    #[command(flatten)]
    pub(crate) reports: Reports,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator runs watch @last

At a terminal: what runs, waits and has failed, with a timeline and the last lines of output,
redrawn as it moves. q or Ctrl-C leaves; the run goes on. Elsewhere: a line for each thing that
happens. With --json: an event a line, then the run.

Exit codes: 0 completed (or left with q), 1 failed, 4 no such run, 7 store unavailable,
8 cancelled, 9 waits for someone and no terminal is watching, 130 left with Ctrl-C.")]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) run: RunRef,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator runs begin @last --reason \"the others are done\"

Of a run that was started with `run --in` or `run --at`: its deadline counts from now. It begins where it is driven:
by a worker, by the command that waits for it, or by `runs resume`. One that is not put off goes on as it does.

Exit codes: 0 it begins (also if it had), 4 no such run, 6 the run has ended, 7 store unavailable.")]
pub(crate) struct Begin {
    #[command(flatten)]
    pub(crate) run: RunRef,

    #[command(flatten)]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator runs pause @last --reason \"deploy freeze\"

Running attempts are left to end. Works whoever drives the run.

Exit codes: 0 paused (also if it was), 4 no such run, 6 the run has ended or is being cancelled,
7 store unavailable.")]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) run: RunRef,

    #[command(flatten)]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs signal @last paid
  orchestrator runs signal @last paid --data '{\"amount\": 12}'
  orchestrator runs signal @last paid --data @payment.json

The step that has waited longest for a signal of this name goes on with it; its output has the data. If none waits,
the signal is kept for the next that does. Works whoever drives the run. Given twice, it is two signals.

Exit codes: 0 given, 3 the data is not JSON, or not what the step says, 4 no such run, or no step ever waits for
such a signal, 6 the run has ended or keeps too many signals, 7 store unavailable.")]
pub(crate) struct Signal {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// What the signal is called
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// What comes with it: JSON, @FILE, or - for stdin [default: null]
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,

    #[command(flatten)]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("verdict").required(true).args(["pass", "fail"]),
    after_help = "\
Examples:
  orchestrator runs qa @last draft --pass
  orchestrator runs qa @last 'draft[2]' --fail --comment \"the second paragraph is wrong\"

A step with `qa` does not count until someone has passed what it gave, which is shown. With --fail the attempt has
failed; where the step has `retry`, it runs again, and sees the comment as ORCHESTRATOR_FEEDBACK. The verdict is bound
to what was shown: if the step has run again meanwhile, nothing is judged.

Exit codes: 0 judged, 2 neither or both verdicts, 4 no such run or step, 6 there is nothing to judge, 7 store
unavailable."
)]
pub(crate) struct Qa {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// The step, or an item of it
    #[arg(value_name = "STEP")]
    pub(crate) step: String,

    /// It is good: the step has completed
    #[arg(long)]
    pub(crate) pass: bool,

    /// It is not: the attempt has failed
    #[arg(long)]
    pub(crate) fail: bool,

    /// Words, kept with the verdict and shown to the next attempt
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) comment: Option<String>,

    /// Judge only exactly this content, as `runs show --json` gave it
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator runs cancel @last --reason \"wrong branch\"

Running attempts are stopped, and the steps of `finally` run; cancelled once more, the run stops those too. Works
whoever drives the run; a run that nobody drives is brought to its end here. What has been done stays done: `runs
compensate` undoes it.

Exit codes: 0 cancelled or being cancelled, 4 no such run, 6 the run has ended, 7 store unavailable.")]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) run: RunRef,

    #[command(flatten)]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator runs resume @last

A finished step is not repeated. The run is driven here, as `run` does, in the folder in which it was started.

Exit codes: as `run`; 4 no such run, 6 somebody else drives it.")]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) run: RunRef,

    #[command(flatten)]
    pub(crate) reason: Reason,

    #[command(flatten)]
    pub(crate) drive: Drive,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs retry @last
  orchestrator runs retry @last build 'test[3]'
  orchestrator runs retry run_0193 --from fetch

Without a step, all that has failed or was cancelled begins again; of a step with items, the items that have not
succeeded. What depends on it is repeated with it; what has succeeded otherwise is kept, also inside of a step that
another workflow carries out. --from repeats a step whatever has become of it, as a whole, and all that depends on it.
The run is driven here, as `run` does.

Where a compensation has failed, those that are left are executed first; what was undone is done again with the rest.

Exit codes: as `run`; 4 no such run or step, 6 there is nothing to retry, or the run has not ended.")]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// Steps that have failed or were cancelled, or items of them
    #[arg(value_name = "STEP")]
    pub(crate) steps: Vec<String>,

    /// Begin again from this step, whatever has become of it
    #[arg(long, value_name = "STEP", conflicts_with = "steps")]
    pub(crate) from: Option<String>,

    #[command(flatten)]
    pub(crate) reason: Reason,

    #[command(flatten)]
    pub(crate) drive: Drive,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs fork @last --from notes -i model=large
  orchestrator runs fork run_0193 --from 'test[3]' --from 'test[7]'
  orchestrator runs fork @last --from 'deploy[2]/smoke'
  orchestrator runs fork @last

A new run of the same revision: the steps named and all that depends on them are done again, with the inputs that are
given here; everything else is kept as it has ended, also where it has failed. Without --from, what has failed or was
cancelled is done again. STEP/INNER names a step of the workflow that carries out STEP: what does not depend on that is
kept there too, and so on for STEP/INNER/DEEPER. The first run stays as it is. The new one is driven here, as `run` does;
it undoes only what it has done itself.

Exit codes: as `run`; 3 an input does not fit, 4 no such run or step, 6 no run can begin there.")]
pub(crate) struct Fork {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// Do this step or item again, or a step inside of it, and what depends on it; may be repeated
    #[arg(long, value_name = "STEP[/INNER]")]
    pub(crate) from: Vec<String>,

    /// Value of an input that is to be another; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE")]
    pub(crate) inputs: Vec<String>,

    #[command(flatten)]
    pub(crate) drive: Drive,

    #[command(flatten)]
    pub(crate) reports: Reports,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator runs compensate @last
  orchestrator runs compensate run_0193 --reason \"ordered by mistake\"

Executes the `compensate` of every step that has succeeded and is not undone yet, the last to end first. A run that
had completed is cancelled then; one that had failed stays so. `runs retry` begins the steps again.

Exit codes: as `run`, whose 8 here says that it was undone; 4 no such run, 6 there is nothing to undo, or the run has
not ended.")]
pub(crate) struct Compensate {
    #[command(flatten)]
    pub(crate) run: RunRef,

    #[command(flatten)]
    pub(crate) reason: Reason,

    #[command(flatten)]
    pub(crate) drive: Drive,
}

#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("outcome").required(true).args(["applied", "not_applied"]),
    after_help = "\
Examples:
  orchestrator runs resolve @last publish --applied --output '{\"url\": \"https://example.org/7\"}'
  orchestrator runs resolve @last publish --not-applied

A step of class at_most_once whose executor died is never repeated by itself: look whether it has had its effect,
then say so here. With --not-applied it begins again.

Exit codes: 0 resolved, 3 the output is not JSON, 4 no such run or step, 6 the step is not in doubt,
7 store unavailable."
)]
pub(crate) struct Resolve {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// The step
    #[arg(value_name = "STEP")]
    pub(crate) step: String,

    /// Its effect has happened: go on after it
    #[arg(long)]
    pub(crate) applied: bool,

    /// Its effect has not happened: begin it again
    #[arg(long)]
    pub(crate) not_applied: bool,

    /// With --applied: its output, as JSON [default: null]
    #[arg(long, value_name = "JSON", conflicts_with = "not_applied")]
    pub(crate) output: Option<String>,

    #[command(flatten)]
    pub(crate) reason: Reason,
}
