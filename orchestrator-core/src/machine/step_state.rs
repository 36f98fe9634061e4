//! Where a step is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::machine::command::Fence;
use crate::machine::failure::StepError;
use crate::machine::fan::Items;
use crate::machine::hold::Hold;
use crate::machine::kind::StepKind;
use crate::machine::wait::{Arrival, WaitOn};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// Why a step was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// Its `if` is false.
    Condition,
    /// A step it needs has not completed.
    Need,
    /// The list was made anew, and this item is no longer part of it.
    Superseded,
    /// The run went by without it: nothing to undo, no failure to handle.
    NotNeeded,
}

/// Where a step is, with what that place needs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StepState {
    /// Some of its needs have not ended.
    Pending {
        /// How many.
        missing: u32,
    },
    /// Its needs have ended; it is to be prepared and begun.
    Ready,
    /// All that may hold a place under its key do: it begins, or goes on, once it is given one.
    Parked {
        /// The place.
        hold: Arc<Hold>,
        /// What its attempt has waited for, if it has waited.
        arrival: Option<Arc<Arrival>>,
    },
    /// Whoever executes such steps elsewhere may claim it, or has: the store knows.
    Offered {
        /// The attempt.
        attempt: u32,
        /// The right that a claim gives.
        epoch: u64,
        /// What the attempt waited for, if it has waited.
        arrival: Option<Arc<Arrival>>,
        /// Whether it is a task: whoever claims it comes from outside, by an event of the log, and until then it holds nothing.
        task: bool,
    },
    /// It runs once for each item of a list.
    Expanded(Items),
    /// An attempt is executed.
    Running {
        /// The attempt.
        attempt: u32,
        /// By whom, and under which right.
        fence: Fence,
        /// Whether it was offered, and its executor has claimed it: how it ends is delivered to the store.
        remote: bool,
        /// What the attempt waited for, if it has waited.
        arrival: Option<Arc<Arrival>>,
    },
    /// An attempt has failed, and the next one is not due yet.
    Backoff {
        /// When it is due.
        until: Timestamp,
    },
    /// It waits, without a slot.
    Waiting {
        /// The attempt that waits; 0 if the policy asks before one is begun.
        attempt: u32,
        /// For what.
        on: Arc<WaitOn>,
        /// Since when.
        since: Timestamp,
        /// When waiting ends.
        until: Option<Timestamp>,
    },
    /// What it waited for has come; the attempt is to go on.
    Arrived {
        /// The attempt.
        attempt: u32,
        /// What has come.
        arrival: Arc<Arrival>,
    },
    /// Nobody knows whether the attempt has had its effect.
    OutcomeUnknown {
        /// The attempt.
        attempt: u32,
    },
    /// It has killed its executor too often to be tried again unasked.
    Quarantined {
        /// The attempt.
        attempt: u32,
        /// What the attempt had waited for, if it had waited: nobody is asked for it again.
        arrival: Option<Arc<Arrival>>,
    },
    /// It has done its work.
    Succeeded {
        /// What it gave.
        output: ValueRef,
    },
    /// It has failed for good.
    Failed {
        /// Why.
        error: Arc<StepError>,
    },
    /// It did not begin, and will not.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// It was stopped, or never began, because the run was cancelled.
    Cancelled,
}

impl StepState {
    /// Its name.
    #[must_use]
    pub const fn kind(&self) -> StepKind {
        match self {
            Self::Pending { .. } => StepKind::Pending,
            Self::Ready => StepKind::Ready,
            Self::Parked { .. } => StepKind::Parked,
            Self::Offered { .. } => StepKind::Offered,
            Self::Expanded(_) => StepKind::Expanded,
            Self::Running { .. } => StepKind::Running,
            Self::Backoff { .. } => StepKind::Backoff,
            Self::Waiting { .. } => StepKind::Waiting,
            Self::Arrived { .. } => StepKind::Arrived,
            Self::OutcomeUnknown { .. } => StepKind::OutcomeUnknown,
            Self::Quarantined { .. } => StepKind::Quarantined,
            Self::Succeeded { .. } => StepKind::Succeeded,
            Self::Failed { .. } => StepKind::Failed,
            Self::Skipped { .. } => StepKind::Skipped,
            Self::Cancelled => StepKind::Cancelled,
        }
    }

    /// The run that it waits for, if one carries it out.
    #[must_use]
    pub fn child(&self) -> Option<RunId> {
        match self {
            Self::Waiting { on, .. } => on.child(),
            _ => None,
        }
    }

    /// Whether nothing more happens to the step in this generation.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.kind().is_terminal()
    }

    /// The word shown to users.
    #[must_use]
    pub fn shown(&self) -> &'static str {
        match self {
            Self::Waiting { on, .. } if matches!(**on, WaitOn::Qa { .. }) => "needs_qa",
            Self::Running { remote: true, .. } => "claimed",
            _ => self.kind().shown(),
        }
    }
}
