//! How a run ends, and how a step had ended in the run that another begins from.

use serde::{Deserialize, Serialize};

use crate::machine::failure::StepError;
use crate::machine::step_state::SkipReason;
use crate::value::ValueRef;

/// How a step had ended in the run that another begins from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeptAs {
    /// It had done its work.
    Succeeded {
        /// What it gave.
        output: ValueRef,
    },
    /// It had failed.
    Failed {
        /// Why.
        error: StepError,
    },
    /// It had not begun.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every step completed or was skipped.
    Completed,
    /// A step failed.
    Failed,
    /// Someone cancelled it.
    Cancelled,
}

impl Ending {
    /// The status shown to users.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
