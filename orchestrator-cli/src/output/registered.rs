//! The stable JSON shape of registered workflows and their revisions. Keys may be added.

use orchestrator_core::port::store::RevisionRow;
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use serde::Serialize;

/// A revision of a registered workflow.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RevisionItem {
    workflow: String,
    project: String,
    /// 1, 2, 3 …
    number: u64,
    revision: Digest,
    by: String,
    registered_at: Timestamp,
}

impl RevisionItem {
    /// A revision of `workflow`.
    pub(crate) fn new(project: &str, workflow: &str, row: &RevisionRow) -> Self {
        Self {
            workflow: workflow.to_owned(),
            project: project.to_owned(),
            number: row.number,
            revision: row.revision,
            by: row.by.to_string(),
            registered_at: row.at,
        }
    }
}
