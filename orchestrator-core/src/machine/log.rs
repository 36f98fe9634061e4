//! The log of a run: events in their places, and texts that are none.

use crate::id::TransitionId;
use crate::machine::event::Event;
use crate::time::Timestamp;

/// An event in its place in a run's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its number in the run: 1, 2, 3 … without gaps.
    pub seq: u64,
    /// When it was committed, by the store's clock.
    pub at: Timestamp,
    /// The commit that wrote it; shared by all events of that commit.
    pub transition: TransitionId,
    /// What happened.
    pub event: Event,
}

/// An event's text that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableEvent {
    /// Written by a newer version, or damaged.
    #[error("unknown event kind `{0}`: written by a newer version, or damaged")]
    UnknownKind(String),
    /// The body does not fit the kind.
    #[error("event `{kind}` does not have the expected body: {source}")]
    Body {
        /// The kind.
        kind: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}
