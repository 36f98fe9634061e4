//! How values that are not plain columns are written into columns, and read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::machine::Intent;
use orchestrator_core::port::plugin::Stream;
use orchestrator_core::port::store::StoreError;
use orchestrator_core::value::{Digest, Stored, ValueRef};

/// An inline value is its own JSON. A stored one is `sha256:`, its digest, a colon and its length: no JSON begins with
/// an `s`.
pub(crate) fn encode_value(value: &ValueRef) -> Arc<str> {
    match value {
        ValueRef::Inline(body) => body.clone(),
        ValueRef::Stored(stored) => format!("{}:{}", stored.digest, stored.len).into(),
    }
}

/// The reverse of [`encode_value`].
pub(crate) fn decode_value(text: &str) -> Result<ValueRef, StoreError> {
    if !text.starts_with('s') {
        return Ok(ValueRef::Inline(text.into()));
    }
    let stored = text
        .rsplit_once(':')
        .and_then(|(digest, len)| Some(Stored { digest: digest.parse().ok()?, len: len.parse().ok()? }));
    stored.map(|stored| ValueRef::Stored(Arc::new(stored))).ok_or_else(|| corrupt("value", text))
}

/// The stored word for an intent.
pub(crate) const fn intent_word(intent: Intent) -> &'static str {
    match intent {
        Intent::Proceed => "proceed",
        Intent::Pause => "pause",
        Intent::Cancel => "cancel",
    }
}

/// The reverse of [`intent_word`].
pub(crate) fn intent_of(word: &str) -> Result<Intent, StoreError> {
    [Intent::Proceed, Intent::Pause, Intent::Cancel]
        .into_iter()
        .find(|intent| intent_word(*intent) == word)
        .ok_or_else(|| corrupt("intent", word))
}

/// The stream with this stored name.
pub(crate) fn stream_of(word: &str) -> Result<Stream, StoreError> {
    [Stream::Stdout, Stream::Stderr, Stream::System]
        .into_iter()
        .find(|stream| stream.as_str() == word)
        .ok_or_else(|| corrupt("stream", word))
}

/// Every status of a step, every effect class and every status of an approval: what a row of ours may say.
const WORDS: [&str; 18] = [
    "pending",
    "queued",
    "claimed",
    "running",
    "waiting",
    "needs_qa",
    "blocked",
    "outcome_unknown",
    "completed",
    "failed",
    "cancelled",
    "skipped",
    "pure",
    "idempotent",
    "at_most_once",
    "open",
    "approved",
    "rejected",
];

/// More of [`WORDS`].
const MORE_WORDS: [&str; 2] = ["expired", "void"];

/// The word as it was given when it was written.
pub(crate) fn known_word(word: &str) -> Result<&'static str, StoreError> {
    let known = WORDS.iter().chain(&MORE_WORDS).copied();
    known.into_iter().find(|known| *known == word).ok_or_else(|| corrupt("status", word))
}

/// Labels as a JSON object.
pub(crate) fn labels_json(labels: &BTreeMap<String, String>) -> Arc<str> {
    if labels.is_empty() {
        return Arc::from("{}");
    }
    let object = labels.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    serde_json::Value::Object(object.collect()).to_string().into()
}

/// The reverse of [`labels_json`].
pub(crate) fn labels_of(json: &str) -> Result<BTreeMap<String, String>, StoreError> {
    if json == "{}" {
        Ok(BTreeMap::new())
    } else {
        serde_json::from_str(json).map_err(|_| corrupt("labels", json))
    }
}

/// The scope of the idempotency keys that start runs in a project.
pub(crate) fn start_scope(project: &str) -> Arc<str> {
    format!("start/{project}").into()
}

/// A digest from its column.
pub(crate) fn digest_of(bytes: &[u8]) -> Result<Digest, StoreError> {
    bytes.try_into().map(Digest::from_bytes).map_err(|_| corrupt("digest", &format!("{} bytes", bytes.len())))
}

/// A column that does not hold what this version writes.
pub(crate) fn corrupt(what: &str, found: &str) -> StoreError {
    let found: String = found.chars().take(80).collect();
    StoreError::Corrupt(format!("`{found}` is no {what} that this version knows"))
}
