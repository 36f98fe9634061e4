//! Statements that take many rows.

use super::arg::{Arg, Kind};

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    Update,
    Delete,
}

/// A statement that takes many rows: a verb, `head`, a list of rows with columns `column1`, `column2` …, `tail`.
#[derive(Debug)]
pub(crate) struct Section {
    pub verb: Verb,
    pub head: &'static str,
    /// What the columns of the rows hold. A statement without columns takes no rows: then it is `head` alone.
    pub columns: &'static [Kind],
    pub tail: &'static str,
    /// Whether the statement must write as many rows as were given, or nothing is written at all.
    pub checked: bool,
    /// What else must hold of a statement whose rows are checked.
    pub condition: Option<Condition>,
    /// A table whose rows with these ids, in `column1`, are locked first, in their order: so that two who write the
    /// same rows never wait for each other, where several write at the same time.
    pub locks: Option<&'static str>,
}

impl Section {
    /// A statement that may write fewer rows than it is given.
    pub(crate) const fn new(
        verb: Verb,
        head: &'static str,
        columns: &'static [Kind],
        tail: &'static str,
    ) -> Self {
        Self { verb, head, columns, tail, checked: false, condition: None, locks: None }
    }
}

/// ` AND … (rows) AS d …`: follows the tail of a statement if it has rows.
#[derive(Debug)]
pub(crate) struct Condition {
    pub head: &'static str,
    pub columns: &'static [Kind],
    pub tail: &'static str,
}

/// The rows for a section.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Cell by cell, row by row.
    pub(super) cells: Vec<Arg>,
    pub(super) count: usize,
    /// The rows of the condition.
    pub(super) also: Vec<Arg>,
    pub(super) also_count: usize,
}

impl Rows {
    /// One row.
    pub(crate) fn one<const N: usize>(row: [Arg; N]) -> Self {
        let mut rows = Self::default();
        rows.push(row);
        rows
    }

    pub(crate) fn push<const N: usize>(&mut self, row: [Arg; N]) {
        self.cells.extend(row);
        self.count += 1;
    }

    pub(crate) fn push_condition<const N: usize>(&mut self, row: [Arg; N]) {
        self.also.extend(row);
        self.also_count += 1;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}
