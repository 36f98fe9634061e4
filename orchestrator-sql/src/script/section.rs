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
    /// How many rows it must write, or nothing is written at all.
    pub checked: Check,
    /// What else must hold of a statement whose rows are checked; at most [`CONDITIONS`].
    pub conditions: &'static [Condition],
    /// What is locked first, where several write at the same time.
    pub locks: Option<Lock>,
    /// Whether it takes the places of rows that earlier statements of the batch delete.
    pub replaces: bool,
}

/// How many rows a statement must write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// It may write fewer than were given.
    Nothing,
    /// As many as were given.
    AsGiven,
    /// As many as were locked: none of those that are there may be passed over. Where nobody else writes meanwhile, a
    /// condition has seen to that.
    AsLocked,
}

/// Rows that are locked before a statement, each in its turn: so that two who write the same rows never wait for each other.
#[derive(Debug)]
pub(crate) struct Lock {
    pub table: &'static str,
    /// Which rows: of the table `t`, by those that are given, `v`.
    pub on: &'static str,
    /// Their order.
    pub order: &'static str,
}

/// The most conditions of a section.
pub(super) const CONDITIONS: usize = 2;

impl Section {
    /// A statement that may write fewer rows than it is given.
    pub(crate) const fn new(
        verb: Verb,
        head: &'static str,
        columns: &'static [Kind],
        tail: &'static str,
    ) -> Self {
        Self {
            verb,
            head,
            columns,
            tail,
            checked: Check::Nothing,
            conditions: &[],
            locks: None,
            replaces: false,
        }
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
    /// The rows of the conditions.
    pub(super) also: [Also; CONDITIONS],
}

/// The rows of a condition.
#[derive(Debug, Default)]
pub(super) struct Also {
    pub(super) cells: Vec<Arg>,
    pub(super) count: usize,
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

    /// Adds a row of the condition with this number.
    pub(crate) fn push_condition<const N: usize>(&mut self, number: usize, row: [Arg; N]) {
        self.also[number].cells.extend(row);
        self.also[number].count += 1;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}
