//! `schedule …`.

use clap::{Args, Subcommand, ValueEnum};
use orchestrator_core::schedule::{Missed, Overlap};

/// What can be asked of schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Start runs of a registered workflow at certain times
    Create(CreateSchedule),
    /// List schedules
    List(ListSchedules),
    /// Show a schedule, its last run and its next times
    #[command(after_help = "\
Example:
  orchestrator schedule show nightly

Exit codes: 0 shown, 4 no such schedule, 7 store unavailable.")]
    Show(ScheduleRef),
    /// Start no runs until it is resumed
    #[command(after_help = "\
Example:
  orchestrator schedule pause nightly

Runs that it has started go on.

Exit codes: 0 paused (also if it was already), 4 no such schedule, 6 somebody else changes it, 7 store unavailable.")]
    Pause(ScheduleRef),
    /// Go on with the next of its times
    #[command(after_help = "\
Example:
  orchestrator schedule resume nightly

What it has missed meanwhile is not made up for.

Exit codes: 0 resumed (also if it was not paused), 3 its times cannot be reckoned, 4 no such schedule, 6 somebody \
else changes it, 7 store unavailable.")]
    Resume(ScheduleRef),
    /// Remove a schedule; its runs stay
    #[command(after_help = "\
Example:
  orchestrator schedule delete nightly

One that stands in the text of a workflow comes back when that text is registered again: remove it there.

Exit codes: 0 removed, 4 no such schedule, 6 somebody else changes it, 7 store unavailable.")]
    Delete(ScheduleRef),
    /// Print the next times of a schedule
    Next(NextTimes),
}

/// A schedule.
#[derive(Debug, Args)]
pub(crate) struct ScheduleRef {
    /// Name
    #[arg(value_name = "NAME")]
    pub(crate) schedule: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator schedule create nightly --workflow report --cron '30 2 * * *' --zone Europe/Berlin
  orchestrator schedule create sync --workflow sync --cron '*/10 * * * *' --overlap skip
  orchestrator schedule create weekly --workflow digest --cron '0 9 * * 1' --time-input at

A cron expression is minute, hour, day of the month, month, day of the week; with six fields, the second comes \
first. A time of day comes once a day, also on days on which clocks are changed; anything else is a distance \
between times.

`orchestrator worker` starts the runs: one for each time, however many workers there are. What is found more than \
a minute late was missed: --missed says whether one run makes up for all (run_once), each has its own (run_all, at \
most 100), or none is started (skip).

Exit codes: 0 created, 2 usage, 3 invalid cron, zone or input, 4 no such workflow, 6 there is one of this name, \
7 store unavailable.")]
pub(crate) struct CreateSchedule {
    /// Name to call it by
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Registered workflow that is started, in its latest revision at that time
    #[arg(long, short = 'w', value_name = "NAME")]
    pub(crate) workflow: String,

    /// Times, as a cron expression
    #[arg(long, value_name = "CRON", allow_hyphen_values = true)]
    pub(crate) cron: String,

    /// Time zone in which they are meant
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: String,

    /// Value of an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE")]
    pub(crate) inputs: Vec<String>,

    /// Input that is given the time for which a run is started
    #[arg(long, value_name = "NAME")]
    pub(crate) time_input: Option<String>,

    /// What becomes of times at which no worker was there
    #[arg(long, value_enum, default_value_t = MissedArg::RunOnce)]
    pub(crate) missed: MissedArg,

    /// What happens at a time when the last run has not ended
    #[arg(long, value_enum, default_value_t = OverlapArg::Allow)]
    pub(crate) overlap: OverlapArg,

    /// How far back missed times are made up for [default: as far as there are any]
    #[arg(long, value_name = "DURATION")]
    pub(crate) window: Option<String>,

    /// Make it, and let it rest until it is resumed
    #[arg(long)]
    pub(crate) paused: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MissedArg {
    #[value(name = "skip")]
    Skip,
    #[value(name = "run_once")]
    RunOnce,
    #[value(name = "run_all")]
    RunAll,
}

impl From<MissedArg> for Missed {
    fn from(missed: MissedArg) -> Self {
        match missed {
            MissedArg::Skip => Self::Skip,
            MissedArg::RunOnce => Self::RunOnce,
            MissedArg::RunAll => Self::RunAll,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OverlapArg {
    Allow,
    Skip,
    #[value(name = "cancel_oldest")]
    CancelOldest,
}

impl From<OverlapArg> for Overlap {
    fn from(overlap: OverlapArg) -> Self {
        match overlap {
            OverlapArg::Allow => Self::Allow,
            OverlapArg::Skip => Self::Skip,
            OverlapArg::CancelOldest => Self::CancelOldest,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator schedule list

Exit codes: 0 listed (also if there are none), 4 there is no store yet, 7 store unavailable.")]
pub(crate) struct ListSchedules {
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,

    /// Go on after this name: `next` of the answer before
    #[arg(long, value_name = "NAME")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator schedule next nightly -n 3

Exit codes: 0 printed, 3 its times cannot be reckoned, 4 no such schedule, 7 store unavailable.")]
pub(crate) struct NextTimes {
    #[command(flatten)]
    pub(crate) schedule: ScheduleRef,

    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
}
