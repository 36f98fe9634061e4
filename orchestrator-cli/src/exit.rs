//! The exit codes, in one place.

use std::process::ExitCode;

/// How the process ends. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for has been done.
    Ok,
    /// The run has failed; or `doctor` has found something broken.
    Failed,
    /// The command line, the environment or the configuration file is wrong.
    Usage,
    /// The workflow or its inputs are invalid.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// Policy or permission refuses it.
    Denied,
    /// It does not fit the present state: decided already, ended already, driven by someone else.
    Conflict,
    /// The store cannot be reached, is not whole, or is of another version.
    Unavailable,
    /// Time is up, or the run was cancelled.
    Cancelled,
    /// The run waits for someone; the next command has been printed.
    Waiting,
    /// Ended by a signal.
    Signal(u8),
}

impl Exit {
    /// The number given to the shell.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::NotFound => 4,
            Self::Denied => 5,
            Self::Conflict => 6,
            Self::Unavailable => 7,
            Self::Cancelled => 8,
            Self::Waiting => 9,
            // The shells' convention for a process that a signal has ended.
            Self::Signal(number) => 128u8.saturating_add(number),
        }
    }

    /// The status that the same problem has over HTTP (RFC 9457), so that a problem object is one shape everywhere.
    pub(crate) const fn http_status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Failed => 500,
            Self::Usage => 400,
            Self::Invalid => 422,
            Self::NotFound => 404,
            Self::Denied => 403,
            Self::Conflict | Self::Waiting => 409,
            Self::Unavailable => 503,
            Self::Cancelled | Self::Signal(_) => 408,
        }
    }

    /// What a run's end means to the caller: `completed`, `failed`, `cancelled`; any other status waits for someone.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "completed" => Self::Ok,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => Self::Waiting,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
