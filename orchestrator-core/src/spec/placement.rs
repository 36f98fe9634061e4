//! Who may execute a step: the words `queue` and `labels`.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The queue of steps that say nothing.
pub const DEFAULT_QUEUE: &str = "default";

/// The longest name of a queue, in bytes.
pub const MAX_QUEUE_NAME: usize = 64;

/// The most labels that a step may ask for.
pub const MAX_LABELS: usize = 32;

/// The longest name or value of such a label, in bytes.
pub const MAX_LABEL: usize = 255;

/// Whether a queue can be called so: 1 to [`MAX_QUEUE_NAME`] letters, digits, `_`, `-` and `.`.
#[must_use]
pub fn is_queue_name(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    is_plain && !name.is_empty() && name.len() <= MAX_QUEUE_NAME
}

/// Who may execute a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Who serves this queue.
    pub queue: Arc<str>,
    /// What they must have: every label, with that value.
    pub labels: BTreeMap<String, String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self { queue: Arc::from(DEFAULT_QUEUE), labels: BTreeMap::new() }
    }
}
