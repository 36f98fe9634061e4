//! Values by digest: state and events hold `{digest, len}`, the bytes live beside the log.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The longest encoding, in bytes, that is kept inside an event instead of beside the log.
pub const INLINE_LIMIT: usize = 64;

/// The longest single value, in bytes of its JSON encoding, that a store is asked to keep (64 MiB). Stores keep what is
/// large outside of their tables; what bounds a value is that it is in memory, whole and several times, wherever it is
/// used.
pub const VALUE_LIMIT: usize = 64 << 20;

/// The deepest nesting of arrays and objects a value may have; the limit of the JSON reader that loads it again.
pub const DEPTH_LIMIT: usize = 100;

/// A SHA-256 digest. Printed as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps a digest that a backend has stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected `sha256:` and 64 hex digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        if hex.len() != 64 {
            return Err(InvalidDigest);
        }
        let nibble = |c: u8| (c as char).to_digit(16).ok_or(InvalidDigest);
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            // Two hex digits make at most 255.
            *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A JSON value as state and events hold it: itself while its encoding is at most [`INLINE_LIMIT`] bytes, else its
/// digest and length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueRef {
    /// The JSON encoding itself.
    Inline(Arc<str>),
    /// The encoding is kept beside the log.
    Stored(Arc<Stored>),
}

/// Names bytes kept beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// SHA-256 of the encoding.
    pub digest: Digest,
    /// Length of the encoding in bytes.
    pub len: u64,
}

/// Bytes to be kept beside the log, in the same commit as the event that refers to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// SHA-256 of `body`.
    pub digest: Digest,
    /// The JSON encoding.
    pub body: Arc<str>,
}

/// A value that no store may be asked to keep. Core refuses it before it reaches one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unstorable {
    /// Longer than [`VALUE_LIMIT`].
    #[error("the value is {len} bytes long; the limit is {VALUE_LIMIT}")]
    TooLarge {
        /// Length of the encoding in bytes.
        len: usize,
    },
    /// Nested deeper than [`DEPTH_LIMIT`].
    #[error("the value is nested deeper than {DEPTH_LIMIT} levels")]
    TooDeep,
    /// A text holds U+0000, which PostgreSQL cannot store.
    #[error("a text in the value holds a NUL character")]
    Nul,
}

impl ValueRef {
    /// JSON `null`.
    #[must_use]
    pub fn null() -> Self {
        static NULL: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("null"));
        Self::Inline(NULL.clone())
    }

    /// Encodes `value`, and gives the bytes to keep beside the log where it is too long to be inline.
    ///
    /// # Errors
    /// [`Unstorable`] where no store could keep it.
    pub fn encode(value: &Value) -> Result<(Self, Option<StoredValue>), Unstorable> {
        if value.is_null() {
            return Ok((Self::null(), None));
        }
        check_storable(value)?;
        Self::from_json(value.to_string().into())
    }

    /// As [`ValueRef::encode`], for a text that already is the JSON encoding of a storable value.
    ///
    /// # Errors
    /// [`Unstorable::TooLarge`].
    pub fn from_json(body: Arc<str>) -> Result<(Self, Option<StoredValue>), Unstorable> {
        if body.len() > VALUE_LIMIT {
            return Err(Unstorable::TooLarge { len: body.len() });
        }
        if body.len() <= INLINE_LIMIT {
            return Ok((Self::Inline(body), None));
        }
        let digest = Digest::of(body.as_bytes());
        let stored = Stored { digest, len: body.len() as u64 };
        Ok((Self::Stored(Arc::new(stored)), Some(StoredValue { digest, body })))
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(body) => body.len() as u64,
            Self::Stored(stored) => stored.len,
        }
    }

    /// Never true: even `null` has an encoding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of the encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(body) => Digest::of(body.as_bytes()),
            Self::Stored(stored) => stored.digest,
        }
    }
}

/// Whether every store could keep a value, its length apart.
pub(crate) fn check_storable(value: &Value) -> Result<(), Unstorable> {
    check_nested(value, 0)
}

fn check_nested(value: &Value, depth: usize) -> Result<(), Unstorable> {
    if depth > DEPTH_LIMIT {
        return Err(Unstorable::TooDeep);
    }
    let text = |text: &str| if text.contains('\0') { Err(Unstorable::Nul) } else { Ok(()) };
    match value {
        Value::String(s) => text(s),
        Value::Array(items) => items.iter().try_for_each(|item| check_nested(item, depth + 1)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, field)| {
            text(key)?;
            check_nested(field, depth + 1)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_stay_inline_and_long_ones_go_by_digest() {
        let (short, none) = ValueRef::encode(&Value::from("x".repeat(62))).unwrap();
        assert!(matches!(short, ValueRef::Inline(_)) && none.is_none());
        let (long, body) = ValueRef::encode(&Value::from("x".repeat(63))).unwrap();
        let body = body.unwrap();
        assert_eq!(long.digest(), body.digest);
        assert_eq!(long.len(), 65);
        assert_eq!(Digest::of(body.body.as_bytes()).to_string().parse(), Ok(body.digest));
    }

    #[test]
    fn what_a_store_cannot_keep_is_refused() {
        let mut deep = Value::Null;
        for _ in 0..=DEPTH_LIMIT + 1 {
            deep = Value::Array(vec![deep]);
        }
        assert_eq!(ValueRef::encode(&deep), Err(Unstorable::TooDeep));
        assert_eq!(ValueRef::encode(&Value::from("a\0b")), Err(Unstorable::Nul));
        let large = Value::from("x".repeat(VALUE_LIMIT));
        assert!(matches!(ValueRef::encode(&large), Err(Unstorable::TooLarge { .. })));
    }
}
