//! What is told of copying.

use orchestrator_core::port::store::{OwnerRow, StoreError};
use orchestrator_core::value::Digest;

/// How far copying is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// The rows that have been copied, or compared.
    pub done: u64,
    /// All rows.
    pub all: u64,
    /// Whether they are being compared: all have been copied.
    pub comparing: bool,
}

/// A table that was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Its name, without what all the names begin with.
    pub table: &'static str,
    /// How many rows were copied.
    pub rows: u64,
    /// A digest over those rows in the order of their keys: that of both stores.
    pub digest: Digest,
}

/// Why a store was not copied. The source is as it was, unless said otherwise; the target is refused by everybody until it
/// was copied to again, if anything has been written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Source and target are one.
    #[error("{place} cannot be copied into itself")]
    Itself {
        /// The URL of the store.
        place: String,
    },
    /// One is alive who works with the source (the target, if not `is_source`).
    #[error("{} is using {place}", owner.label)]
    InUse {
        /// The URL of the store.
        place: String,
        /// Whether it is the source.
        is_source: bool,
        /// Who.
        owner: OwnerRow,
    },
    /// A store has moved: the target, or the source to another target than this.
    #[error("{place} has moved to {to}")]
    Moved {
        /// The URL of the store.
        place: String,
        /// The URL of where it has moved.
        to: String,
    },
    /// The target is the unfinished copy of another source.
    #[error("{place} is an unfinished copy of {source_url}")]
    Unfinished {
        /// The URL of the target.
        place: String,
        /// The URL of the other source.
        source_url: String,
    },
    /// The target holds something.
    #[error("{place} is not empty: it holds {rows} rows in `{table}`")]
    NotEmpty {
        /// The URL of the target.
        place: String,
        /// A table that is not empty.
        table: &'static str,
        /// Its rows.
        rows: u64,
    },
    /// The copy of a table is not what was copied.
    #[error("the copy of `{table}` in {place} differs from the original")]
    Differs {
        /// The URL of the target.
        place: String,
        /// The table.
        table: &'static str,
    },
    /// One of the stores cannot be read or written.
    #[error("{place}: {error}")]
    Store {
        /// The URL of the store.
        place: String,
        /// Why.
        error: StoreError,
    },
}
