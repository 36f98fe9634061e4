//! Why there is no answer, as the layer that knows has seen it. The protocol's library tells only that something went wrong.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Outcome;
use orchestrator_core::spec::retry::ErrorClass;
use reqwest::StatusCode;

use crate::outbound::{self, NoAnswer};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// None came over HTTP.
    NoAnswer(NoAnswer),
    /// It was a status that stands for a failure, with the beginning of what came with it.
    Status(StatusCode, String, Option<Duration>),
    /// It was none of this protocol.
    Odd(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(error) => write!(f, "{error:?}"),
            Self::Status(status, quoted, _) => write!(f, "unexpected status {status}{quoted}"),
            Self::Odd(what) => f.write_str(what),
        }
    }
}

impl Error for Trouble {}

/// The last trouble of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<Option<Trouble>>>);

impl Troubles {
    /// Remembers it.
    pub(super) fn note(&self, trouble: Trouble) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    pub(super) fn take(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Trouble {
    /// What an attempt ends with because of it; `called` if the call may have been sent.
    pub(super) fn outcome(self, called: bool, what: &str) -> Outcome {
        match self {
            Self::NoAnswer(error) => outbound::no_answer(&error, called, what),
            Self::Status(status, quoted, retry_after) => Outcome::Failed {
                error: StepError::new(
                    outbound::class(status),
                    format!("{what}: unexpected status {status}{quoted}"),
                ),
                retry_after,
            },
            Self::Odd(cause) => lost(&cause, called, what),
        }
    }
}

/// The connection is gone; `called` if the call may have been sent.
pub(super) fn lost(cause: &str, called: bool, what: &str) -> Outcome {
    let error = StepError::new(ErrorClass::Transient, format!("{what}: {cause}"));
    if called { Outcome::Unknown { error } } else { Outcome::Failed { error, retry_after: None } }
}
