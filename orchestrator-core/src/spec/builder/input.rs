//! The inputs of a workflow, described in Rust.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::spec::InputKind;

/// Declares an input.
#[derive(Debug, Clone)]
pub struct Input {
    pub(super) fields: Map<String, Value>,
    pub(super) error: Option<String>,
}

impl From<InputKind> for Input {
    fn from(kind: InputKind) -> Self {
        Self { fields: Map::from_iter([("type".to_owned(), json!(kind.name()))]), error: None }
    }
}

impl Input {
    /// A text.
    #[must_use]
    pub fn string() -> Self {
        InputKind::String.into()
    }

    /// A whole number.
    #[must_use]
    pub fn integer() -> Self {
        InputKind::Integer.into()
    }

    /// A number.
    #[must_use]
    pub fn number() -> Self {
        InputKind::Number.into()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean() -> Self {
        InputKind::Boolean.into()
    }

    /// A list.
    #[must_use]
    pub fn array() -> Self {
        InputKind::Array.into()
    }

    /// A mapping.
    #[must_use]
    pub fn object() -> Self {
        InputKind::Object.into()
    }

    /// Anything.
    #[must_use]
    pub fn any() -> Self {
        InputKind::Any.into()
    }

    /// The value of a run that gives none.
    #[must_use]
    pub fn default(mut self, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => _ = self.fields.insert("default".into(), value),
            Err(error) => self.error = Some(error.to_string()),
        }
        self
    }

    /// Says what the input is for.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.fields.insert("description".into(), text.into().into());
        self
    }
}
