//! What a step waits for, and what comes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::OnExpiry;
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
}
