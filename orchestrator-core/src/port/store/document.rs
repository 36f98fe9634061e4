//! Documents: what is kept under a name beside runs, such as schedules. Each is changed as a whole, by whoever knows the
//! number of its last change.

use std::sync::Arc;

use crate::id::DocumentId;
use crate::time::Timestamp;

/// The longest kind or name of a document, in bytes.
pub const MAX_DOCUMENT_NAME: usize = 500;

/// The longest body or state of a document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// The kind of documents that are registered workflows: these are kept by methods of their own.
pub const WORKFLOWS: &str = "workflow";

/// What a document is to say from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutDocument {
    /// The document's id, should the name be new.
    pub id: DocumentId,
    /// The tenant.
    pub project: Arc<str>,
    /// What it is: `schedule`.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// A word that says how it stands, for whoever lists it.
    pub status: Arc<str>,
    /// When something is to be done about it; `None`: nothing is.
    pub due_at: Option<Timestamp>,
    /// What somebody has written. Kept once for all documents that say the same.
    pub body: Arc<str>,
    /// What has become of it: changes often, and is kept with the document alone.
    pub state: Arc<str>,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The number of its last change, 0 for a name that must be new.
    pub expected: u64,
}

impl PutDocument {
    /// Why no store can keep it, if none can.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let texts = [&self.project, &self.kind, &self.name, &self.status, &self.body, &self.state];
        if !is_named(&self.kind, &self.name) {
            Some(NAMES)
        } else if self.body.len() > MAX_DOCUMENT || self.state.len() > MAX_DOCUMENT {
            Some("the body and the state of a document have at most 1 MiB each")
        } else if texts.iter().any(|text| text.contains('\0')) {
            Some("a text with a NUL character")
        } else {
            None
        }
    }
}

const NAMES: &str = "the kind and the name of a document have 1 to 500 bytes, and none is a `workflow`";

fn is_named(kind: &str, name: &str) -> bool {
    kind != WORKFLOWS && [kind, name].iter().all(|text| (1..=MAX_DOCUMENT_NAME).contains(&text.len()))
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is written, with this number.
    Written(u64),
    /// The last change is another one than was expected (`None`: there is no such document): nothing was written.
    Stale(Option<u64>),
}

/// A document as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRow {
    /// Its id; another one if it is removed and made anew.
    pub id: DocumentId,
    /// The tenant.
    pub project: Arc<str>,
    /// What it is.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// 1, 2, 3 …: the number of its last change.
    pub number: u64,
    /// How it stands.
    pub status: Arc<str>,
    /// When something is to be done about it.
    pub due_at: Option<Timestamp>,
    /// What somebody has written.
    pub body: Arc<str>,
    /// What has become of it.
    pub state: Arc<str>,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Asks for documents of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentQuery {
    /// What they are.
    pub kind: String,
    /// Only of this project.
    pub project: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only those that are due some time, the soonest first. Otherwise all, by project and name.
    pub due: bool,
    /// Go on after this project and name (those of the last of the page before). Not for those that are due.
    pub after: Option<(String, String)>,
    /// At most this many; 0 means 50.
    pub limit: usize,
}

/// Removes a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteDocument {
    /// The tenant.
    pub project: Arc<str>,
    /// What it is.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The number of its last change.
    pub expected: u64,
}

impl DeleteDocument {
    /// Why no store can have it, if none can.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        (!is_named(&self.kind, &self.name)).then_some(NAMES)
    }
}
