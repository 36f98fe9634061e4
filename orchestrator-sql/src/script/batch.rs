//! The statements of one batch, and the texts that were made for earlier ones.

use std::collections::HashMap;
use std::sync::Arc;

use super::section::{CONDITIONS, Rows, Section};
use super::{Script, Words, text, with};

/// How many texts are kept; beyond that all are made anew.
const KNOWN_TEXTS: usize = 256;

/// Makes texts, and keeps those it has made.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    known: HashMap<Shape, Arc<str>>,
}

/// What a text depends on beside the words.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Which list of sections.
    pub(super) list: usize,
    /// For each statement which section, how many rows, and how many rows of each condition.
    pub(super) parts: Parts,
}

pub(super) type Parts = Vec<(u8, u16, [u16; CONDITIONS])>;

impl Texts {
    /// The text of a shape.
    pub(super) fn of(&mut self, shape: Shape, make: impl FnOnce(&Parts) -> String) -> Arc<str> {
        if let Some(text) = self.known.get(&shape) {
            return text.clone();
        }
        let text: Arc<str> = make(&shape.parts).into();
        if self.known.len() >= KNOWN_TEXTS {
            self.known.clear();
        }
        self.known.insert(shape, text.clone());
        text
    }
}

/// The statements of one batch: each has its rows. They do not see each other's.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) sections: &'static [Section],
    pub(super) statements: Vec<(usize, Rows)>,
}

impl Batch {
    pub(crate) const fn new(sections: &'static [Section]) -> Self {
        Self { sections, statements: Vec::new() }
    }

    /// A batch of one statement.
    pub(crate) fn of_one(sections: &'static [Section], index: usize, rows: Rows) -> Self {
        Self { sections, statements: vec![(index, rows)] }
    }

    /// Adds the rows of section number `index`.
    pub(crate) fn add(&mut self, index: usize, rows: Rows) {
        self.statements.push((index, rows));
    }

    /// Whether it does nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// All statements as one text, which is a transaction by itself.
    pub(crate) fn finish(self, texts: &mut Texts, words: Words) -> Script {
        match words {
            Words::Text(words) => text::finish(self, texts, words),
            Words::With(words) => with::finish(self, texts, words),
        }
    }

    /// The statements one by one, without checks and locks, for a transaction that is not ours: each with the number of
    /// its section. `end` is put at the end of those of the sections that have checks.
    pub(crate) fn into_statements(self, words: Words, end: &str) -> Vec<(usize, Script)> {
        text::statements(self, words, end)
    }

    /// The one statement of a batch of one, without checks: its answer tells how many rows it has written.
    pub(crate) fn alone(self, words: Words) -> Script {
        match words {
            Words::Text(_) => {
                let first = text::statements(self, words, "").into_iter().next();
                first.map_or_else(|| Script { text: "".into(), args: Vec::new() }, |(_, script)| script)
            }
            Words::With(words) => with::alone(self, words),
        }
    }

    /// What tells the sections of one batch from those of another.
    pub(super) fn list(&self) -> usize {
        self.sections.as_ptr().addr()
    }
}
