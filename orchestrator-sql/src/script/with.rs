//! One statement that holds all others, with an array for each column: the database parses and plans few different
//! texts, whatever the number of rows, and a batch is one round trip and one transaction.
//!
//! ```text
//! WITH l0 AS MATERIALIZED (SELECT … FOR NO KEY UPDATE), s0 AS (UPDATE … RETURNING 1), s1 AS (INSERT … RETURNING 1), …
//! SELECT CASE WHEN (SELECT count(*) FROM s0) = cardinality($1) THEN 0 ELSE an error END
//! ```

use super::arg::{Arg, Kind};
use super::batch::{Batch, Shape, Texts};
use super::section::{Also, CONDITIONS, Check, Lock, Rows, Section, Verb};
use super::{Script, text};

/// How a database wants one statement that holds others.
#[derive(Debug, Clone, Copy)]
pub struct WithWords {
    /// The type of what a column holds.
    pub types: fn(Kind) -> &'static str,
    /// An expression that fails, where it is evaluated; not one that is taken for a constant.
    pub refuse: &'static str,
}

/// All statements as one.
pub(super) fn finish(batch: Batch, texts: &mut Texts, words: WithWords) -> Script {
    let (sections, list) = (batch.sections, batch.list());
    let mut parts = Vec::with_capacity(batch.statements.len());
    let mut args = Vec::new();
    for (index, rows) in batch.statements {
        // `index` counts sections.
        parts.push((index as u8, 1, rows.also.each_ref().map(|also| u16::from(also.count > 0))));
        give(&mut args, &sections[index], rows);
    }
    let text = texts.of(Shape { list, parts }, |parts| {
        let mut text = String::from("WITH ");
        let mut guard = Vec::new();
        let mut deletions = Vec::new();
        let mut places = Places { count: 0, types: words.types };
        for (number, (index, _, also)) in parts.iter().enumerate() {
            let section = &sections[usize::from(*index)];
            let first = places.count + 1;
            if number > 0 {
                text.push_str(",\n");
            }
            let mut rows = places.rows(section.columns);
            if let Some(Lock { table, on, order }) = section.locks {
                text.push_str(&format!(
                    "l{number} AS MATERIALIZED (SELECT v.* FROM {rows} AS v JOIN {table} AS t ON {on} \
                     ORDER BY {order} FOR NO KEY UPDATE OF t),\n"
                ));
                rows = format!("(SELECT * FROM l{number})");
            }
            if section.replaces && !deletions.is_empty() {
                // Whoever asks for their number waits for them.
                rows = format!("(SELECT r.* FROM {rows} AS r WHERE {})", deletions.join(" AND "));
            }
            if section.verb == Verb::Delete {
                deletions.push(format!("(SELECT count(*) FROM s{number}) >= 0"));
            }
            text.push_str(&format!("s{number} AS ("));
            places.write(&mut text, section, &rows, also);
            text.push_str(" RETURNING 1)");
            let expected = match section.checked {
                Check::Nothing => continue,
                Check::AsGiven => format!("cardinality(${first})"),
                Check::AsLocked => format!("(SELECT count(*) FROM l{number})"),
            };
            guard.push(format!("(SELECT count(*) FROM s{number}) = {expected}"));
        }
        if guard.is_empty() {
            text.push_str("\nSELECT 0");
        } else {
            let guard = guard.join(" AND ");
            text.push_str(&format!("\nSELECT CASE WHEN {guard} THEN 0 ELSE {} END", words.refuse));
        }
        text
    });
    Script { text, args }
}

/// See [`Batch::alone`].
pub(super) fn alone(batch: Batch, words: WithWords) -> Script {
    let mut text = String::new();
    let mut args = Vec::new();
    let mut places = Places { count: 0, types: words.types };
    if let Some((index, rows)) = batch.statements.into_iter().next() {
        let section = &batch.sections[index];
        let source = places.rows(section.columns);
        let also = rows.also.each_ref().map(|also| u16::from(also.count > 0));
        places.write(&mut text, section, &source, &also);
        give(&mut args, section, rows);
    }
    Script { text: text.into(), args }
}

/// The rows of a section as arguments, column by column.
fn give(args: &mut Vec<Arg>, section: &Section, rows: Rows) {
    let Rows { cells, also, .. } = rows;
    args.extend(columns(section.columns, cells));
    for (condition, Also { cells, count }) in section.conditions.iter().zip(also) {
        if count > 0 {
            args.extend(columns(condition.columns, cells));
        }
    }
}

fn columns(kinds: &[Kind], cells: Vec<Arg>) -> impl Iterator<Item = Arg> {
    let rows = cells.len().checked_div(kinds.len()).unwrap_or(0);
    let mut columns: Vec<Vec<Arg>> = kinds.iter().map(|_| Vec::with_capacity(rows)).collect();
    for (at, cell) in cells.into_iter().enumerate() {
        columns[at % kinds.len()].push(cell);
    }
    kinds.iter().zip(columns).map(|(kind, cells)| Arg::Column(*kind, cells)).collect::<Vec<_>>().into_iter()
}

struct Places {
    count: usize,
    types: fn(Kind) -> &'static str,
}

impl Places {
    fn write(&mut self, text: &mut String, section: &Section, rows: &str, also: &[u16; CONDITIONS]) {
        text.push_str(text::plain_verb(section.verb));
        text.push(' ');
        text.push_str(section.head);
        if section.columns.is_empty() {
            return;
        }
        text.push_str(rows);
        text.push_str(section.tail);
        for (condition, _) in section.conditions.iter().zip(also).filter(|(_, rows)| **rows > 0) {
            text.push_str(condition.head);
            text.push_str(&self.rows(condition.columns));
            text.push_str(condition.tail);
        }
    }

    /// Rows made of an array for each column.
    fn rows(&mut self, columns: &[Kind]) -> String {
        let places = columns.iter().map(|kind| {
            self.count += 1;
            format!("${}::{}[]", self.count, (self.types)(*kind))
        });
        let places = places.collect::<Vec<_>>().join(",");
        let names = (1..=columns.len()).map(|at| format!("column{at}")).collect::<Vec<_>>().join(",");
        format!("(SELECT * FROM unnest({places}) AS r({names}))")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SECTIONS: [Section; 2] = [
        Section {
            verb: Verb::Update,
            head: "t SET x = v.column2 FROM ",
            columns: &[Kind::Id, Kind::Int],
            tail: " AS v WHERE t.id = v.column1",
            checked: Check::AsGiven,
            conditions: &[],
            locks: Some(Lock { table: "t", on: "t.id = v.column1", order: "v.column1" }),
            replaces: false,
        },
        Section::new(Verb::Delete, "u", &[], ""),
    ];

    const WORDS: WithWords = WithWords {
        types: |kind| match kind {
            Kind::Id => "uuid",
            _ => "int8",
        },
        refuse: "1/0",
    };

    #[test]
    fn all_statements_are_one() {
        let id = uuid::Uuid::from_u128(7);
        let mut rows = Rows::default();
        rows.push([Arg::Id(id), Arg::Int(1)]);
        rows.push([Arg::Id(id), Arg::Null]);
        let mut batch = Batch::of_one(&SECTIONS, 0, rows);
        batch.add(1, Rows::default());
        let script = finish(batch, &mut Texts::default(), WORDS);
        let rows = "(SELECT * FROM unnest($1::uuid[],$2::int8[]) AS r(column1,column2))";
        let expected = format!(
            "WITH l0 AS MATERIALIZED (SELECT v.* FROM {rows} AS v JOIN t AS t ON t.id = v.column1 \
             ORDER BY v.column1 FOR NO KEY UPDATE OF t),\n\
             s0 AS (UPDATE t SET x = v.column2 FROM (SELECT * FROM l0) AS v WHERE t.id = v.column1 RETURNING 1),\n\
             s1 AS (DELETE FROM u RETURNING 1)\n\
             SELECT CASE WHEN (SELECT count(*) FROM s0) = cardinality($1) THEN 0 ELSE 1/0 END"
        );
        assert_eq!(*script.text, *expected);
        let ids = Arg::Column(Kind::Id, vec![Arg::Id(id), Arg::Id(id)]);
        assert_eq!(script.args, [ids, Arg::Column(Kind::Int, vec![Arg::Int(1), Arg::Null])]);
    }
}
