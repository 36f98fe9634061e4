//! What comes back: bodies with an end, and what a failure means.

use std::fmt;
use std::time::Duration;

use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::wall_clock;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::cause;

/// The longest wait that a `Retry-After` can ask for: one day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// The header that carries a step's idempotency key, as the IETF draft of that name has it.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There was no connection, so nothing was sent.
    NotSent(String),
    /// It took too long; the request may have been carried out.
    TimedOut,
    /// It may not be reached; nothing was sent there.
    Denied(String),
    /// The host has failed again and again and is left alone for so long; nothing was sent.
    Resting(String, Duration),
    /// The answer was a redirect that is not followed.
    Redirected(String),
    /// The answer is longer than the limit, in bytes.
    TooLong(u64),
    /// The connection broke; the request may have been carried out.
    Broken(String),
}

impl NoAnswer {
    /// What it says about trying again.
    pub(crate) const fn class(&self) -> ErrorClass {
        match self {
            Self::Denied(_) => ErrorClass::Denied,
            Self::Resting(..) | Self::NotSent(_) | Self::Broken(_) => ErrorClass::Transient,
            Self::TimedOut => ErrorClass::Timeout,
            Self::Redirected(_) => ErrorClass::Failed,
            Self::TooLong(_) => ErrorClass::Invalid,
        }
    }

    /// The least that a retry waits, if that is known.
    pub(crate) const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Resting(_, wait) => Some(*wait),
            _ => None,
        }
    }

    /// Whether the request may have been carried out all the same.
    #[cfg(any(feature = "http", feature = "llm", feature = "forge"))]
    pub(crate) const fn may_be_done(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Broken(_))
    }
}

/// As messages say it, behind what was asked for.
impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(cause) => write!(f, "cannot connect: {cause}"),
            Self::TimedOut => f.write_str("no complete answer in time"),
            Self::Denied(refused) => f.write_str(refused),
            Self::Resting(origin, wait) => {
                write!(f, "{origin} has failed again and again and is left alone for {wait:?}")
            }
            Self::Redirected(cause) => write!(f, "redirected without end or reason: {cause}"),
            Self::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Self::Broken(cause) => write!(f, "the connection broke: {cause}"),
        }
    }
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NotSent(cause(&error))
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Broken(cause(&error))
        }
    }
}

/// Reads a body of at most `limit` bytes. What is longer is not read.
///
/// # Errors
/// [`NoAnswer`].
pub(crate) async fn body(response: &mut Response, limit: u64) -> Result<Vec<u8>, NoAnswer> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(NoAnswer::TooLong(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(NoAnswer::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an unexpected status says about trying again.
pub(crate) fn class(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        429 => ErrorClass::RateLimited,
        408 | 500..=599 => ErrorClass::Transient,
        401 | 403 => ErrorClass::Denied,
        400..=499 => ErrorClass::Invalid,
        _ => ErrorClass::Failed,
    }
}

/// How long the other side asks to wait, in seconds or as a date; at most a day.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            orchestrator_core::time::Timestamp::from_millis(then).since(wall_clock())
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let value = value.parse().unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_date() {
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked(" 0 "), Some(Duration::ZERO));
        assert_eq!(asked("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("Tue, 31 Dec 2199 23:59:59 GMT"), Some(RETRY_AFTER_MAX));
        for nonsense in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
