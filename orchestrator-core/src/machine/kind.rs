//! The names of the states of a step.

use std::fmt;

/// The name of a [`crate::machine::StepState`], without its data: what the transition table speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names are those of the states.
pub enum StepKind {
    Pending,
    Ready,
    Parked,
    Offered,
    Expanded,
    Running,
    Backoff,
    Waiting,
    Arrived,
    OutcomeUnknown,
    Quarantined,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

impl StepKind {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::Pending,
        Self::Ready,
        Self::Parked,
        Self::Offered,
        Self::Expanded,
        Self::Running,
        Self::Backoff,
        Self::Waiting,
        Self::Arrived,
        Self::OutcomeUnknown,
        Self::Quarantined,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// Whether nothing more happens to such a step in its generation.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled)
    }

    /// Whether only an outsider can move such a step.
    #[must_use]
    pub const fn needs_outsider(self) -> bool {
        matches!(self, Self::OutcomeUnknown | Self::Quarantined)
    }

    /// The word shown to users (one of the step statuses of the command line's JSON).
    #[must_use]
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready | Self::Parked | Self::Offered | Self::Backoff | Self::Arrived => "queued",
            Self::Running | Self::Expanded => "running",
            Self::Waiting => "waiting",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Quarantined => "blocked",
            Self::Succeeded => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}
