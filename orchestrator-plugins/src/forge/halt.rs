//! Why an action does not go on.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Awaited, Outcome, Reconciled, StopReason};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::Value;

use crate::config;

/// Why an action does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// It has failed.
    Failed {
        error: StepError,
        /// How long the other side asks to wait.
        retry_after: Option<Duration>,
    },
    /// It cannot tell whether it has changed what it was to change.
    Unknown(StepError),
    /// It was told to stop.
    Stopped(StopReason),
    /// It goes on after this time.
    Wait(Duration),
}

impl From<StepError> for Halt {
    fn from(error: StepError) -> Self {
        Self::Failed { error, retry_after: None }
    }
}

impl Halt {
    /// A failure of the work itself.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        StepError::new(ErrorClass::Failed, message).into()
    }
}

/// How an attempt has ended.
pub(super) fn outcome(result: Result<Value, Halt>) -> Outcome {
    match result {
        Ok(mut output) => {
            // No store can keep it, and names of checks come from anywhere.
            config::replace_nul(&mut output);
            Outcome::Succeeded { output }
        }
        Err(Halt::Failed { error, retry_after }) => Outcome::Failed { error, retry_after },
        Err(Halt::Unknown(error)) => Outcome::Unknown { error },
        Err(Halt::Stopped(StopReason::TimedOut)) => {
            Outcome::failed(ErrorClass::Timeout, "no answer within the step's `timeout`")
        }
        Err(Halt::Stopped(_)) => Outcome::Stopped,
        Err(Halt::Wait(pause)) => Outcome::Wait { on: Awaited::Pause(pause) },
    }
}

/// What a look has found.
pub(super) fn reconciled(result: Result<Option<Value>, Halt>) -> Reconciled {
    match result {
        Ok(Some(mut output)) => {
            config::replace_nul(&mut output);
            Reconciled::Applied(output)
        }
        Ok(None) => Reconciled::NotApplied,
        Err(_) => Reconciled::Unknown,
    }
}
