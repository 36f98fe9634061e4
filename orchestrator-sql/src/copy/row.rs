//! Rows on their way from one store to another, and what tells two lists of rows from each other.

use orchestrator_core::value::Digest;
use sea_orm::{DbErr, QueryResult, Value};
use uuid::Uuid;

use crate::script::Kind;
use crate::tables::Table;

/// A cell. Databases write ids and digests in ways of their own; here they are what they are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Id(Option<Uuid>),
    Int(Option<i64>),
    Text(Option<String>),
    Digest(Option<Vec<u8>>),
}

impl Cell {
    fn read(row: &QueryResult, at: usize, kind: Kind) -> Result<Self, DbErr> {
        Ok(match kind {
            Kind::Id => Self::Id(row.try_get_by_index(at)?),
            Kind::Int => Self::Int(row.try_get_by_index(at)?),
            Kind::Text => Self::Text(row.try_get_by_index(at)?),
            Kind::Digest => Self::Digest(row.try_get_by_index(at)?),
        })
    }

    /// What tells it from every other cell of its column, with its length before it.
    fn write(&self, bytes: &mut Vec<u8>) {
        let mut some = |content: &[u8]| {
            bytes.push(1);
            bytes.extend((content.len() as u64).to_be_bytes());
            bytes.extend(content);
        };
        match self {
            Self::Id(Some(id)) => some(id.as_bytes()),
            Self::Int(Some(number)) => some(&number.to_be_bytes()),
            Self::Text(Some(text)) => some(text.as_bytes()),
            Self::Digest(Some(digest)) => some(digest),
            Self::Id(None) | Self::Int(None) | Self::Text(None) | Self::Digest(None) => bytes.push(0),
        }
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Id(id) => id.into(),
            Cell::Int(number) => number.into(),
            Cell::Text(text) => text.into(),
            Cell::Digest(digest) => digest.into(),
        }
    }
}

/// A row of a table: its key, and what is copied of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Vec<Cell>,
    pub(super) cells: Vec<Cell>,
}

impl Row {
    /// From an answer that holds the key and then the columns.
    pub(super) fn read(table: &Table, row: &QueryResult) -> Result<Self, DbErr> {
        let read = |(at, kind): (usize, Kind)| Cell::read(row, at, kind);
        let kinds = |columns: &'static [(&'static str, Kind)]| columns.iter().map(|(_, kind)| *kind);
        let first = table.key.len();
        Ok(Self {
            key: kinds(table.key).enumerate().map(read).collect::<Result<_, _>>()?,
            cells: (first..).zip(kinds(table.columns)).map(read).collect::<Result<_, _>>()?,
        })
    }
}

/// The rows of a table in the order of their keys, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    pub(super) digest: Digest,
}

impl Sum {
    /// Of no rows.
    pub(super) fn new() -> Self {
        Self { rows: 0, digest: Digest::of(b"") }
    }

    /// With one row more: the digest of all before it, and of the row.
    pub(super) fn add(&mut self, cells: &[Cell]) {
        let mut bytes = self.digest.as_bytes().to_vec();
        cells.iter().for_each(|cell| cell.write(&mut bytes));
        self.digest = Digest::of(&bytes);
        self.rows += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&[Option<&str>]]) -> Sum {
        let mut sum = Sum::new();
        for row in rows {
            let cells: Vec<Cell> = row.iter().map(|text| Cell::Text(text.map(str::to_owned))).collect();
            sum.add(&cells);
        }
        sum
    }

    #[test]
    fn no_two_lists_of_rows_have_one_sum() {
        let lists: [&[&[Option<&str>]]; 8] = [
            &[],
            &[&[Some("a"), Some("b")]],
            &[&[Some("ab"), Some("")]],
            &[&[Some("ab"), None]],
            &[&[Some("a")], &[Some("b")]],
            &[&[Some("b")], &[Some("a")]],
            &[&[None]],
            &[&[Some("")]],
        ];
        for (at, one) in lists.iter().enumerate() {
            for other in &lists[at + 1..] {
                assert_ne!(sum(one), sum(other), "{one:?} {other:?}");
            }
        }
    }
}
