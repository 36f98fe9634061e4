//! Several statements with a place for each cell, one after the other in one text.
//!
//! Each table gets one statement of many rows. The number of rows is rounded up to a power of two, and the missing
//! ones are NULL and match nothing: so there are few different texts, and the driver keeps them prepared.

use super::arg::{Arg, Kind};
use super::batch::{Batch, Parts, Shape, Texts};
use super::section::{Also, CONDITIONS, Check, Rows, Section, Verb};
use super::{Script, Words};

/// The most rows in one statement; more make another statement. Keeps the number of arguments of a statement below
/// 32,766, the limit of SQLite.
const CHUNK: usize = 1024;

/// How a database wants several statements in one text.
#[derive(Debug, Clone, Copy)]
pub struct TextWords {
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

/// Statements in the making: what the text depends on, and the arguments.
#[derive(Default)]
struct Draft {
    parts: Parts,
    args: Vec<Arg>,
}

impl Draft {
    /// Adds the rows of a section, in as many statements as they need.
    fn add(&mut self, index: usize, section: &Section, rows: Rows) {
        let Rows { cells, count, also } = rows;
        if section.columns.is_empty() {
            // `index` counts sections.
            return self.parts.push((index as u8, 0, [0; CONDITIONS]));
        }
        let mut cells = cells.into_iter();
        let mut left = count;
        while left > 0 {
            let here = left.min(CHUNK);
            left -= here;
            let rounded = here.next_power_of_two();
            self.args.extend(cells.by_ref().take(here * section.columns.len()));
            self.pad((rounded - here) * section.columns.len());
            let mut also_rounded = [0; CONDITIONS];
            for (number, condition) in section.conditions.iter().enumerate() {
                let Also { cells, count } = &also[number];
                if *count > 0 {
                    let rounded = count.next_power_of_two();
                    self.args.extend(cells.iter().cloned());
                    self.pad((rounded - count) * condition.columns.len());
                    also_rounded[number] = rounded as u16;
                }
            }
            if section.checked == Check::AsGiven {
                self.args.push(Arg::Int(here as i64));
            }
            // `rounded` is at most CHUNK; a batch has few rows of conditions.
            self.parts.push((index as u8, rounded as u16, also_rounded));
        }
    }

    fn pad(&mut self, cells: usize) {
        self.args.extend(std::iter::repeat_n(Arg::Null, cells));
    }
}

/// All statements as one text, in a transaction.
pub(super) fn finish(batch: Batch, texts: &mut Texts, words: TextWords) -> Script {
    let (sections, list) = (batch.sections, batch.list());
    let mut draft = Draft::default();
    for (index, rows) in batch.statements {
        draft.add(index, &sections[index], rows);
    }
    let text = texts.of(Shape { list, parts: draft.parts }, |parts| {
        let mut text = String::from(words.begin);
        for (index, rows, also) in parts {
            let section = &sections[usize::from(*index)];
            write(&mut text, section, (*rows, *also), verb(section.verb, words), &mut Places::plain());
            text.push_str(";\n");
            if section.checked == Check::AsGiven {
                text.push_str(words.guard);
            }
        }
        text.push_str(words.commit);
        text
    });
    Script { text, args: draft.args }
}

const fn verb(verb: Verb, words: TextWords) -> &'static str {
    match verb {
        Verb::Insert => words.insert,
        Verb::Update => words.update,
        Verb::Delete => "DELETE FROM",
    }
}

/// What a verb is in a transaction that may go on after an error.
pub(super) const fn plain_verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Insert => "INSERT INTO",
        Verb::Update => "UPDATE",
        Verb::Delete => "DELETE FROM",
    }
}

/// See [`Batch::into_statements`].
pub(super) fn statements(batch: Batch, words: Words, end: &str) -> Vec<(usize, Script)> {
    let mut statements = Vec::with_capacity(batch.statements.len());
    for (index, rows) in batch.statements {
        let section = &batch.sections[index];
        let mut draft = Draft::default();
        draft.add(index, section, rows);
        let mut args = draft.args.into_iter();
        for (_, rows, also) in draft.parts {
            let mut places = Places::of(words);
            let mut text = String::new();
            write(&mut text, section, (rows, also), plain_verb(section.verb), &mut places);
            let args = args.by_ref();
            let script_args = args.take(places.count).collect();
            if section.checked == Check::AsGiven {
                text.push_str(end);
                // The argument of the guard.
                args.next();
            }
            statements.push((index, Script { text: text.into(), args: script_args }));
        }
    }
    statements
}

/// Writes places for arguments.
struct Places {
    /// How many there are.
    count: usize,
    /// What numbers them and says of which type they are; none has either.
    types: Option<fn(Kind) -> &'static str>,
}

impl Places {
    const fn plain() -> Self {
        Self { count: 0, types: None }
    }

    const fn of(words: Words) -> Self {
        match words {
            Words::Text(_) => Self::plain(),
            Words::With(words) => Self { count: 0, types: Some(words.types) },
        }
    }

    fn write(&mut self, text: &mut String, kind: Kind) {
        self.count += 1;
        match self.types {
            None => text.push('?'),
            Some(types) => text.push_str(&format!("${}::{}", self.count, types(kind))),
        }
    }

    fn write_rows(&mut self, text: &mut String, columns: &[Kind], rows: u16) {
        text.push_str("(VALUES ");
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ",(" });
            for (column, kind) in columns.iter().enumerate() {
                if column > 0 {
                    text.push(',');
                }
                self.write(text, *kind);
            }
            text.push(')');
        }
        text.push(')');
    }
}

type Counts = (u16, [u16; CONDITIONS]);

fn write(text: &mut String, section: &Section, (rows, also): Counts, verb: &str, places: &mut Places) {
    text.push_str(verb);
    text.push(' ');
    text.push_str(section.head);
    if section.columns.is_empty() {
        return;
    }
    places.write_rows(text, section.columns, rows);
    text.push_str(section.tail);
    for (condition, rows) in section.conditions.iter().zip(also).filter(|(_, rows)| *rows > 0) {
        text.push_str(condition.head);
        places.write_rows(text, condition.columns, rows);
        text.push_str(condition.tail);
    }
}
