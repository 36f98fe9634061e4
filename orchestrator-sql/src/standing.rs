//! Whether a store is the one to work with.
//!
//! A mark says that it is not, among the names of migrations: there everybody looks who opens a store, also a version
//! that knows of no marks, and refuses what it does not know.

use std::collections::BTreeSet;

const UNFINISHED: &str = "unfinished copy of ";
const MOVED: &str = "moved to ";

/// What [`crate::Dialect::SEALS`] has whoever hear who writes to a store that is sealed.
pub const SEALED: &str = "the store is sealed: it has moved, or is an unfinished copy of another";

/// Whether a store is the one to work with. Others are named by their URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Here,
    /// It is being filled with what another holds, or was when that was cut short.
    Unfinished(String),
    /// Its runs go on in another; it is only looked at.
    Moved(String),
}

impl Standing {
    /// What the names of migrations say.
    pub(crate) fn of(names: &BTreeSet<String>) -> Self {
        let after = |prefix: &str| names.iter().find_map(|name| name.strip_prefix(prefix)).map(str::to_owned);
        match (after(UNFINISHED), after(MOVED)) {
            (Some(source), _) => Self::Unfinished(source),
            (None, Some(target)) => Self::Moved(target),
            (None, None) => Self::Here,
        }
    }

    /// What stands among the names of migrations.
    pub(crate) fn mark(&self) -> Option<String> {
        match self {
            Self::Here => None,
            Self::Unfinished(source) => Some(format!("{UNFINISHED}{source}")),
            Self::Moved(target) => Some(format!("{MOVED}{target}")),
        }
    }
}

/// Whether a name among those of migrations is none of a migration: it says that the store is an unfinished copy, or that
/// it has moved.
#[must_use]
pub fn is_mark(name: &str) -> bool {
    [UNFINISHED, MOVED].iter().any(|prefix| name.starts_with(prefix))
}
