//! Registered workflows: texts under names, each changed text a revision of its own.

use std::sync::Arc;

use crate::id::DocumentId;
use crate::time::Timestamp;
use crate::value::Digest;

/// The longest name of a registered workflow, in bytes.
pub const MAX_REGISTERED_NAME: usize = 400;

/// A text to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevision {
    /// The document's id, should the name be new.
    pub id: DocumentId,
    /// The tenant.
    pub project: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// Digest of the text.
    pub revision: Digest,
    /// The text; kept once per digest, together with those of runs.
    pub text: Arc<str>,
    /// Who registers it.
    pub by: Arc<str>,
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// The number that the latest revision must have, 0 for a name that must be new; `None`: whatever it is.
    pub expected: Option<u64>,
}

impl NewRevision {
    /// Why no store can keep it, if none can.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if self.name.is_empty() || self.name.len() > MAX_REGISTERED_NAME {
            Some("the name of a registered workflow has 1 to 400 bytes")
        } else if [&self.project, &self.name, &self.text, &self.by].iter().any(|text| text.contains('\0')) {
            Some("a text with a NUL character")
        } else {
            None
        }
    }
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is a new revision, with this number.
    New(u64),
    /// The latest revision, which has this number, says the same: nothing was written.
    Same(u64),
    /// The latest revision is another one than was expected (`None`: there is no such name), and says something else:
    /// nothing was written.
    Stale(Option<RevisionRow>),
}

/// A registered workflow as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRow {
    /// Its document.
    pub id: DocumentId,
    /// The tenant.
    pub project: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The latest revision.
    pub latest: RevisionRow,
}

/// A revision of a registered workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// 1, 2, 3 …
    pub number: u64,
    /// Digest of its text. The text itself: [`super::Store::revision`].
    pub revision: Digest,
    /// Who registered it.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// Asks for registered workflows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowQuery {
    /// Only of this project.
    pub project: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Go on after this project and name (those of the last of the page before).
    pub after: Option<(String, String)>,
    /// At most this many; 0 means 50.
    pub limit: usize,
}

/// Asks for the revisions of a registered workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionQuery {
    /// The tenant.
    pub project: String,
    /// The name.
    pub name: String,
    /// Only revisions with a smaller number than this.
    pub before: Option<u64>,
    /// At most this many; 0 means 50.
    pub limit: usize,
}
