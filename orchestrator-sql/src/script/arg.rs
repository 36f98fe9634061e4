//! Arguments.

use std::sync::Arc;

use sea_orm::Value;
use uuid::Uuid;

/// What the cells of a column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Ids.
    Id,
    /// Integers.
    Int,
    /// Texts.
    Text,
    /// Digests.
    Digest,
}

/// An argument of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// NULL, of any type.
    Null,
    /// An integer.
    Int(i64),
    /// A text.
    Text(Arc<str>),
    /// A text known at compile time.
    Word(&'static str),
    /// An id.
    Id(Uuid),
    /// A digest.
    Digest([u8; 32]),
    /// All cells of a column. Only in [`Words::With`](super::Words::With).
    Column(Kind, Vec<Self>),
}

impl From<Arg> for Value {
    fn from(arg: Arg) -> Self {
        match arg {
            // A column is never an argument of a statement in a host's transaction.
            Arg::Null | Arg::Column(..) => Self::String(None),
            Arg::Int(number) => Self::from(number),
            Arg::Text(text) => Self::from(text.as_ref()),
            Arg::Word(word) => Self::from(word),
            Arg::Id(id) => Self::from(id),
            Arg::Digest(digest) => Self::from(digest.to_vec()),
        }
    }
}

/// Something that can be an argument.
pub(crate) trait IntoArg {
    fn arg(self) -> Arg;
}

impl IntoArg for Arg {
    fn arg(self) -> Arg {
        self
    }
}

impl IntoArg for i64 {
    fn arg(self) -> Arg {
        Arg::Int(self)
    }
}

impl IntoArg for u32 {
    fn arg(self) -> Arg {
        Arg::Int(self.into())
    }
}

impl IntoArg for u64 {
    /// Counters: they start at 0 and go up by one, so they stay far below 2^63.
    fn arg(self) -> Arg {
        Arg::Int(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl IntoArg for Arc<str> {
    fn arg(self) -> Arg {
        Arg::Text(self)
    }
}

impl IntoArg for String {
    fn arg(self) -> Arg {
        Arg::Text(self.into())
    }
}

impl IntoArg for &'static str {
    fn arg(self) -> Arg {
        Arg::Word(self)
    }
}

impl<T: IntoArg> IntoArg for Option<T> {
    fn arg(self) -> Arg {
        self.map_or(Arg::Null, T::arg)
    }
}
