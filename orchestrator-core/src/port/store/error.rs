//! Why a store could not answer.

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or is closed. Trying again may help.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// Someone else holds it. Trying again helps.
    #[error("the store is busy")]
    Busy,
    /// What it holds is not what this version writes.
    #[error("the store is damaged or was written by another version: {0}")]
    Corrupt(String),
    /// This version cannot work with it.
    #[error("the store is not compatible: {0}")]
    Incompatible(String),
    /// It was asked for something that cannot be.
    #[error("invalid: {0}")]
    Invalid(String),
}

impl StoreError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy)
    }
}
