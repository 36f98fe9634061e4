//! Removing what nobody needs any more.

use crate::time::Timestamp;

/// Asks for the removal of runs that have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// Only of this project.
    pub project: Option<String>,
    /// Only runs that ended before this.
    pub before: Timestamp,
    /// At most this many runs.
    pub limit: usize,
    /// Only say what would be removed.
    pub dry: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Runs.
    pub runs: u64,
    /// Their events.
    pub events: u64,
    /// Their lines of output.
    pub lines: u64,
    /// Their values.
    pub values: u64,
    /// Offers, and what lay in inboxes, of runs that are not there: at the end, when no more runs are left.
    pub strays: u64,
    /// Whether there are more runs to be removed.
    pub more: bool,
}
