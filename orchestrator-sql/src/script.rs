//! A batch as one text of SQL with its arguments: what is sent to the database in one awaited call.
//!
//! Each table gets one statement of many rows. The number of rows is rounded up to a power of two, and the missing
//! ones are NULL and match nothing: so there are few different texts, and the driver keeps them prepared.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::Value;
use uuid::Uuid;

/// The most rows in one statement; more make another statement. Keeps the number of arguments of a statement below
/// 32,766, the limit of SQLite.
const CHUNK: usize = 1024;

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
}

impl From<Arg> for Value {
    fn from(arg: Arg) -> Self {
        match arg {
            Arg::Null => Self::String(None),
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

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    Update,
}

/// A statement that takes many rows: a verb, `head`, a list of rows named `v` with columns `column1`, `column2` …, `tail`.
#[derive(Debug)]
pub(crate) struct Section {
    pub verb: Verb,
    pub head: &'static str,
    pub columns: usize,
    pub tail: &'static str,
    /// For a statement whose rows are checked: it must write as many rows as were given, or nothing is written at all.
    pub checks: Option<Condition>,
}

/// ` AND … (rows) AS d …`: follows the tail of a statement if it has rows.
#[derive(Debug)]
pub(crate) struct Condition {
    pub head: &'static str,
    pub columns: usize,
    pub tail: &'static str,
}

/// The rows for a section.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    args: Vec<Arg>,
    count: usize,
    /// The rows of the condition.
    also: Vec<Arg>,
    also_count: usize,
}

impl Rows {
    pub(crate) fn push<const N: usize>(&mut self, row: [Arg; N]) {
        self.args.extend(row);
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

/// A text with its arguments, in the order of its question marks.
#[derive(Debug, Clone)]
pub struct Script {
    /// One or more statements.
    pub text: Arc<str>,
    /// What stands for the question marks.
    pub args: Vec<Arg>,
}

/// Makes texts, and keeps those it has made.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    known: HashMap<Shape, Arc<str>>,
}

/// How many statements' worth of texts are kept; beyond that all are made anew.
const KNOWN_TEXTS: usize = 256;

/// Which section, how many rows, how many rows of the condition.
type Shape = Vec<(u8, u16, u16)>;

/// The statements of one batch.
#[derive(Debug)]
pub(crate) struct Batch {
    sections: &'static [Section],
    shape: Shape,
    args: Vec<Arg>,
}

/// How a database wants texts.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// `INSERT INTO`, in a transaction that is rolled back if a statement fails.
    pub insert: &'static str,
    /// `UPDATE`, likewise.
    pub update: &'static str,
    /// Begins a transaction that will write; ends with a semicolon.
    pub begin: &'static str,
    /// Ends it; ends with a semicolon.
    pub commit: &'static str,
    /// Fails unless the statement before has written as many rows as its one argument says; ends with a semicolon.
    pub guard: &'static str,
}

impl Batch {
    pub(crate) const fn new(sections: &'static [Section]) -> Self {
        Self { sections, shape: Vec::new(), args: Vec::new() }
    }

    /// Adds the rows of section number `index`, in as many statements as they need.
    pub(crate) fn add(&mut self, index: usize, rows: Rows) {
        let section = &self.sections[index];
        let Rows { args, count, also, also_count } = rows;
        let mut args = args.into_iter();
        let mut left = count;
        while left > 0 {
            let here = left.min(CHUNK);
            left -= here;
            let rounded = here.next_power_of_two();
            self.args.extend(args.by_ref().take(here * section.columns));
            self.pad((rounded - here) * section.columns);
            let mut also_rounded = 0;
            if let Some(condition) = &section.checks {
                if also_count > 0 {
                    also_rounded = also_count.next_power_of_two();
                    self.args.extend(also.iter().cloned());
                    self.pad((also_rounded - also_count) * condition.columns);
                }
                self.args.push(Arg::Int(here as i64));
            }
            // `index` counts sections; `rounded` is at most CHUNK; a member asserts few deaths.
            self.shape.push((index as u8, rounded as u16, also_rounded as u16));
        }
    }

    fn pad(&mut self, cells: usize) {
        self.args.extend(std::iter::repeat_n(Arg::Null, cells));
    }

    /// All statements as one text, in a transaction.
    pub(crate) fn finish(self, texts: &mut Texts, words: Words) -> Script {
        if let Some(text) = texts.known.get(&self.shape) {
            return Script { text: text.clone(), args: self.args };
        }
        let mut text = String::from(words.begin);
        for part in &self.shape {
            write_statement(&mut text, self.sections, *part, words);
        }
        text.push_str(words.commit);
        let text: Arc<str> = text.into();
        if texts.known.len() >= KNOWN_TEXTS {
            texts.known.clear();
        }
        texts.known.insert(self.shape, text.clone());
        Script { text, args: self.args }
    }

    /// The statements one by one, without checks, for a transaction that is not ours: each with the number of its
    /// section and of its rows. `end` is put at the end of those of the sections that have checks.
    pub(crate) fn into_statements(self, end: &str) -> Vec<(usize, Script)> {
        let mut args = self.args.into_iter();
        let mut statements = Vec::with_capacity(self.shape.len());
        for (index, rows, also) in self.shape {
            let section = &self.sections[usize::from(index)];
            let mut text = String::new();
            write_plain(&mut text, section, rows, also, "INSERT INTO", "UPDATE");
            if section.checks.is_some() {
                text.push_str(end);
            }
            let count = text.bytes().filter(|byte| *byte == b'?').count();
            statements.push((
                usize::from(index),
                Script { text: text.into(), args: args.by_ref().take(count).collect() },
            ));
            if section.checks.is_some() {
                // The argument of the guard.
                args.next();
            }
        }
        statements
    }
}

fn write_statement(
    text: &mut String,
    sections: &[Section],
    (index, rows, also): (u8, u16, u16),
    words: Words,
) {
    let section = &sections[usize::from(index)];
    write_plain(text, section, rows, also, words.insert, words.update);
    text.push_str(";\n");
    if section.checks.is_some() {
        text.push_str(words.guard);
    }
}

fn write_plain(text: &mut String, section: &Section, rows: u16, also: u16, insert: &str, update: &str) {
    text.push_str(if section.verb == Verb::Insert { insert } else { update });
    text.push(' ');
    text.push_str(section.head);
    write_rows(text, section.columns, rows);
    text.push_str(section.tail);
    if let Some(condition) = &section.checks
        && also > 0
    {
        text.push_str(condition.head);
        write_rows(text, condition.columns, also);
        text.push_str(condition.tail);
    }
}

fn write_rows(text: &mut String, columns: usize, rows: u16) {
    text.push_str("(VALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            text.push_str(if column == 0 { "?" } else { ",?" });
        }
        text.push(')');
    }
    text.push(')');
}
