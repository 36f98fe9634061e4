//! `approval …`.

use clap::{Args, Subcommand};

use crate::args::runs::RunRef;

/// What can be asked of approvals.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalCommand {
    /// List what waits for a decision, the oldest first
    List(ListApprovals),
    /// Say yes
    Approve(Decision),
    /// Say no
    Reject(Decision),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orchestrator approval list

Exit codes: 0 listed (also if there are none), 4 no such run or no store yet, 7 store unavailable.")]
pub(crate) struct ListApprovals {
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,

    /// Those already decided as well
    #[arg(long)]
    pub(crate) all: bool,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orchestrator approval approve @last
  orchestrator approval reject @last review --comment \"wrong version\"

What is decided on is shown. The decision is bound to it: if it has changed meanwhile, nothing is decided.

Exit codes: 0 decided, 2 several are open and none was named, 4 no such run or step, 6 nothing is open
(decided, expired or ended), 7 store unavailable.")]
pub(crate) struct Decision {
    #[command(flatten)]
    pub(crate) run: RunRef,

    /// The step; may be left out if only one waits
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,

    /// Words, kept with the decision
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) comment: Option<String>,

    /// Decide only on exactly this content, as `approval list --json` gave it
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
}
