//! `task …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use orchestrator_core::engine::TaskType;

/// What can be asked of tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Create a task, for whoever claims it
    Create(CreateTask),
    /// List tasks, the newest first
    List(ListTasks),
    /// List what can be claimed now, in the order in which `task claim` takes it
    Ready(ReadyTasks),
    /// Show a task
    #[command(after_help = "\
Example:
  orchestrator task show @last

Exit codes: 0 shown, 3 the run is no task, 4 no such task, 7 store unavailable.")]
    Show(TaskRef),
    /// Claim a task: the first that can be, or this one
    Claim(ClaimTaskArgs),
    /// Renew a claim
    Heartbeat(HeartbeatTask),
    /// Say that a claimed task is done, or has failed
    Complete(CompleteTask),
    /// Give a claimed task back
    #[command(after_help = "\
Example:
  orchestrator task release --claim claim.json

Whoever comes next can claim it; it is another attempt.

Exit codes: 0 given back, 4 no such task, 6 the claim is over, 7 store unavailable.")]
    Release(ClaimedRef),
    /// Cancel a task; whoever has claimed it is told to stop
    #[command(after_help = "\
Example:
  orchestrator task cancel @last

Whoever has claimed it hears so with the next heartbeat, and has until the claim ends: what is completed before counts, and \
what is released then is cancelled.

Exit codes: 0 cancelled, or whoever has claimed it hears so, 4 no such task, 6 it has ended, 7 store unavailable.")]
    Cancel(TaskRef),
    /// Tell what happens to tasks, until all are done
    Watch(WatchTasks),
}

/// A task.
#[derive(Debug, Args)]
pub(crate) struct TaskRef {
    /// Task: the id of its run, a unique beginning of it, or `@last`
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
}

/// A claim of a task.
#[derive(Debug, Args)]
pub(crate) struct ClaimedRef {
    /// Task: the id of its run, a unique beginning of it, or `@last`
    #[arg(value_name = "TASK", required_unless_present = "claim")]
    pub(crate) task: Option<String>,

    /// The `token` that `task claim` gave
    #[arg(
        long,
        value_name = "TOKEN",
        required_unless_present = "claim",
        env = "ORCHESTRATOR_TASK_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// File with what `task claim --json` said, in place of task and token
    #[arg(long, value_name = "FILE", conflicts_with = "task")]
    pub(crate) claim: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task create 'Mend the login page' --type bug --priority 5 --writes 'web/login/**'
  orchestrator task create 'Write it up' --prompt @brief.md --after run_01a22da7e8ed7000a241b0bbce0f9e34
  git diff | orchestrator task create 'Review this' --prompt @- --requires agent=claude --json

While a task is claimed, nobody else's claim, and no step of any run, writes what it reads or touches what it writes: \
see `paths` in docs/yaml.md. A claim that is not renewed for --claim-ttl is over, and others can claim the task.

Exit codes: 0 created, 2 usage, 3 something cannot be kept, 4 no such task to come after, 6 the key has created \
another, 7 store unavailable.")]
pub(crate) struct CreateTask {
    /// What is to be done, in a line
    #[arg(value_name = "TITLE")]
    pub(crate) title: String,

    /// All that whoever claims it has to know: a text, @FILE, or @- for standard input
    #[arg(long, short = 'p', value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// What kind of work it is: feature, bug, refactor, test, docs, review, research, chore or other
    #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "other")]
    pub(crate) kind: TaskType,

    /// Larger is sooner: each point is a minute's head start
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,

    /// Word to find it by; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,

    /// What whoever claims it must have; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) requires: Vec<String>,

    /// Task or run that has to complete before; may be repeated
    #[arg(long, value_name = "TASK")]
    pub(crate) after: Vec<String>,

    /// Paths that it reads; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) reads: Vec<String>,

    /// Paths that it writes; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) writes: Vec<String>,

    /// Workspace of these paths
    #[arg(long, value_name = "NAME", default_value = orchestrator_core::spec::DEFAULT_WORKSPACE)]
    pub(crate) workspace: String,

    /// How long a claim lasts that nobody renews
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub(crate) claim_ttl: String,

    /// How often it can be tried: lost claims and failures [default: a failure is its end, three lost claims need a look]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) attempts: Option<u32>,

    /// How long after its creation it has to have ended
    #[arg(long, value_name = "DURATION")]
    pub(crate) deadline: Option<String>,

    /// Anything else that whoever claims it is given: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Option<String>,

    /// Queue in which it waits
    #[arg(long, value_name = "NAME", default_value = orchestrator_core::engine::TASK_QUEUE)]
    pub(crate) queue: String,

    /// Create at most one task per key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// Which tasks.
#[derive(Debug, Args)]
pub(crate) struct TaskWhich {
    /// Only of this type; may be repeated
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    pub(crate) kinds: Vec<TaskType>,

    /// Only with this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,

    /// Only of this queue; may be repeated
    #[arg(long = "queue", value_name = "NAME")]
    pub(crate) queues: Vec<String>,

    /// What you have, for tasks that require it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) has: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task list
  orchestrator task list --status queued --status blocked --json

A task is queued while somebody can claim it, blocked while something is in the way (WHY or `task show` says what), then \
claimed, and in the end completed, failed or cancelled. Tasks of workflows are not listed here, but by `task ready --all`.

Exit codes: 0 listed (also if there are none), 4 there is no store yet, 7 store unavailable.")]
pub(crate) struct ListTasks {
    /// Only with this status: queued, blocked, claimed, paused, completed, failed or cancelled; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = ["queued", "blocked", "claimed", "paused", "completed", "failed", "cancelled"])]
    pub(crate) status: Vec<String>,

    /// Only of this type; may be repeated
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    pub(crate) kinds: Vec<TaskType>,

    /// Only with this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,

    /// Go on after this task: `next` of the answer before
    #[arg(long, value_name = "TASK")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task ready
  orchestrator task ready --type docs --has agent=claude --json

Tasks of workflows, steps that say `uses: task`, are listed too.

Exit codes: 0 listed (also if there are none), 4 there is no store yet, 7 store unavailable.")]
pub(crate) struct ReadyTasks {
    #[command(flatten)]
    pub(crate) which: TaskWhich,

    /// Also what cannot be claimed now, and why
    #[arg(long)]
    pub(crate) all: bool,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task claim --by ana --json >claim.json
  orchestrator task claim --wait --type bug --has agent=claude --json
  orchestrator task claim run_01a22da7e8ed7000a241b0bbce0f9e34

The answer holds the token that renews the claim, ends the task or gives it back. Of all who claim, one gets it; \
what it says in `paths` is nobody else's until then.

Exit codes: 0 claimed, 2 usage, 3 no time that a claim can last, 4 there is no open task (of these), 6 this one cannot be claimed now, 7 store \
unavailable, 8 none could be claimed in time, 9 there are some, and none can be claimed now.")]
pub(crate) struct ClaimTaskArgs {
    /// Task [default: the first that can be claimed]
    #[arg(value_name = "TASK")]
    pub(crate) task: Option<String>,

    #[command(flatten)]
    pub(crate) which: TaskWhich,

    /// Who claims it [default: the user, the host and the process]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,

    /// How long the claim lasts without renewal [default: as the task says]
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,

    /// Wait until one can be claimed, or none is open any more; at most this long, if it is given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) wait: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task heartbeat --claim claim.json
  orchestrator task heartbeat @last --token own_01a22da7e8ed7000a241b0bbce0f9e34

Exit codes: 0 renewed, 2 usage, 3 no claim in that file, or no time that one can last, 4 no such task, 6 the claim is over, 7 store unavailable, 8 renewed, and the task is to be \
stopped: somebody has cancelled it, or it is past its deadline.")]
pub(crate) struct HeartbeatTask {
    #[command(flatten)]
    pub(crate) claimed: ClaimedRef,

    /// For how long [default: as the claim said (--claim), else as the task says]
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task complete --claim claim.json --output '{\"commit\": \"c0ffee\"}'
  orchestrator task complete @last --token own_01a22da7e8ed7000a241b0bbce0f9e34 --failed 'the tests do not pass'

Said again, also by whoever has not heard the answer, it succeeds; said otherwise, it is refused. So is whoever comes when \
somebody has noticed that the claim was over.

Exit codes: 0 said, 2 usage, 3 the output is no JSON object, 4 no such task, 6 the claim is over, 7 store unavailable.")]
pub(crate) struct CompleteTask {
    #[command(flatten)]
    pub(crate) claimed: ClaimedRef,

    /// What it gives: a JSON object, or @FILE
    #[arg(long, short = 'o', value_name = "JSON", conflicts_with = "failed")]
    pub(crate) output: Option<String>,

    /// It has failed, and why
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) failed: Option<String>,

    /// Nobody else is to try
    #[arg(long, requires = "failed")]
    pub(crate) for_good: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator task watch
  orchestrator task watch --follow --json

With --json, a line for each change: the task as `task list` has it, and the time.

Exit codes: 0 no task is open any more, 4 there is no store yet, 7 store unavailable, 130 stopped by Ctrl-C.")]
pub(crate) struct WatchTasks {
    /// Go on when no task is open
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
}
