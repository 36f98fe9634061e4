//! Why a queue could not answer.

/// Why a queue could not answer. None of them needs care: whatever was asked may be asked again, for a ticket that comes
/// twice harms nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// It cannot be reached, or is closed; what was asked may have been done or not. Trying again may help.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// It cannot do that, and says so in its [`Capabilities`](super::Capabilities); nothing was done. The text is the name
    /// of what it lacks.
    #[error("this queue has no `{0}`: look at its capabilities before asking for it")]
    Unsupported(&'static str),
    /// It was asked for something that cannot be; nothing was done.
    #[error("invalid: {0}")]
    Invalid(String),
}

impl QueueError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
