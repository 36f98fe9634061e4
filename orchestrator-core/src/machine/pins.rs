//! The texts that a run of workflows below others is pinned to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::{Digest, ValueRef};

/// The workflows below a run's own, pinned: whatever becomes of their files and names, these are run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// What the run's own workflow calls them: places in `workflows`.
    pub uses: BTreeMap<Arc<str>, u32>,
    /// Each after those that it uses itself.
    pub workflows: Vec<Pin>,
}

/// A workflow below another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its name.
    pub name: Arc<str>,
    /// The revision.
    pub revision: Digest,
    /// The text, a value of the run that somebody has started, the first of all above.
    pub text: ValueRef,
    /// What it calls those that it uses: places among the pinned ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uses: BTreeMap<Arc<str>, u32>,
}
