//! What a step waits for, and what comes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::spec::OnExpiry;
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitOn {
    /// A person's word on exactly this.
    Approval {
        /// Digest of what is decided on.
        digest: Digest,
        /// The question.
        message: Arc<str>,
        /// What the decider is shown, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        show: Option<ValueRef>,
        /// What happens when nobody decides in time.
        then: OnExpiry,
    },
    /// A moment.
    Until,
    /// A person's judgement of what the attempt gave.
    Qa {
        /// Digest of what is judged.
        digest: Digest,
        /// The question.
        message: Arc<str>,
        /// What the judge is shown.
        show: ValueRef,
        /// What the attempt gave; the step's output, if it passes.
        output: ValueRef,
        /// What happens when nobody judges in time.
        then: OnExpiry,
    },
    /// A signal of this name.
    Signal {
        /// The name.
        name: Arc<str>,
    },
    /// The end of the run that carries out the step.
    Child {
        /// The run.
        run: RunId,
        /// Whether the time to wait for it is over: it is being stopped.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
}

impl WaitOn {
    /// The run that is waited for, if it is one.
    #[must_use]
    pub const fn child(&self) -> Option<RunId> {
        match self {
            Self::Child { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// Whether it is the wait for the same run, now that the time for that is over: from here on it is its end that is
    /// waited for.
    pub(crate) fn is_overdue_of(&self, before: &Self) -> bool {
        match (before, self) {
            (Self::Child { run, late: false }, Self::Child { run: same, late: true }) => run == same,
            _ => false,
        }
    }
}

/// What has come for a waiting step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arrival {
    /// Someone has decided.
    Decision {
        /// Yes or no.
        approved: bool,
        /// Who.
        by: Arc<str>,
        /// Through which channel.
        via: Arc<str>,
        /// With what words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<Arc<str>>,
    },
    /// The moment has come.
    Due,
    /// Nobody decided in time.
    Expired {
        /// What that means.
        then: OnExpiry,
    },
    /// A signal.
    Signal(Signal),
}

/// A signal that was given to a run: taken by one step that waits for its name, or kept until there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Its name.
    pub name: Arc<str>,
    /// What came with it; `null` if nothing. A plugin finds it inline, however long it is.
    pub data: ValueRef,
    /// Who gave it.
    pub by: Arc<str>,
    /// When it was given.
    pub at: Timestamp,
}
