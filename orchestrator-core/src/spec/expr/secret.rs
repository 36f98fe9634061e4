//! References to secrets. An expression `secrets.NAME` renders to its own text, and the place where that stands is kept
//! beside it: the value takes that place when the request is dispatched, and is nowhere before. A text that only looks
//! like such a reference, because it came out of an input or of what a step gave, has no place and stays as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::expr::scan::OPEN;

/// Where a secret stands in a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPlace {
    /// The text in which it stands, as a JSON pointer (RFC 6901).
    pub at: String,
    /// The byte of that text at which `${{ secrets.NAME }}` begins.
    pub from: usize,
    /// Its name.
    pub name: Arc<str>,
}

/// What stands for a secret where its value is not.
pub(crate) fn stand_in(name: &str) -> String {
    format!("{OPEN} secrets.{name} }}}}")
}

impl SecretPlace {
    pub(super) fn at_start(name: Arc<str>, from: usize) -> Self {
        Self { at: String::new(), from, name }
    }

    /// The same place, seen from the mapping or list that holds the value under `key`.
    pub(crate) fn put_under(&mut self, key: &str) {
        let key = key.replace('~', "~0").replace('/', "~1");
        self.at.insert_str(0, &format!("/{key}"));
    }

    /// Puts the value there.
    ///
    /// # Errors
    /// [`NotThere`], if something else stands there.
    pub(crate) fn fill(&self, text: &mut String, value: &str) -> Result<(), NotThere> {
        let stand_in = stand_in(&self.name);
        let to = self.from + stand_in.len();
        if text.get(self.from..to) != Some(&stand_in) {
            return Err(NotThere);
        }
        text.replace_range(self.from..to, value);
        Ok(())
    }
}

/// At the place of a secret stands something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotThere;

/// Where the references to secrets stand in a value as written: the keys that lead to a text, and the secret's name.
pub(in crate::spec) type Use = (Vec<String>, Arc<str>);

/// The text to which a pointer leads.
pub(crate) fn text_at<'v>(value: &'v mut Value, pointer: &str) -> Option<&'v mut String> {
    match value.pointer_mut(pointer)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}
