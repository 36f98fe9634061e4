//! One statement that holds all others, with an array for each column: the database parses and plans few different
//! texts, whatever the number of rows, and a batch is one round trip and one transaction.
//!
//! ```text
//! WITH l0 AS MATERIALIZED (SELECT … FOR NO KEY UPDATE), s0 AS (UPDATE … RETURNING 1), s1 AS (INSERT … RETURNING 1), …
//! SELECT CASE WHEN (SELECT count(*) FROM s0) = cardinality($1) THEN 0 ELSE an error END
//! ```

use super::arg::{Arg, Kind};
use super::batch::{Batch, Shape, Texts};
use super::section::{Condition, Rows, Section};
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
        parts.push((index as u8, 1, u16::from(rows.also_count > 0)));
        give(&mut args, &sections[index], rows);
    }
    let text = texts.of(Shape { list, parts }, |parts| {
        let mut text = String::from("WITH ");
        let mut guard = String::new();
        let mut places = Places { count: 0, types: words.types };
        for (number, (index, _, also)) in parts.iter().enumerate() {
            let section = &sections[usize::from(*index)];
            let first = places.count + 1;
            if number > 0 {
                text.push_str(",\n");
            }
            let mut rows = places.rows(section.columns);
            if let Some(table) = section.locks {
                text.push_str(&format!(
                    "l{number} AS MATERIALIZED (SELECT v.* FROM {rows} AS v JOIN {table} AS t ON t.id = v.column1 \
                     ORDER BY v.column1 FOR NO KEY UPDATE OF t),\n"
                ));
                rows = format!("(SELECT * FROM l{number})");
            }
            text.push_str(&format!("s{number} AS ("));
            places.write(&mut text, section, &rows, *also > 0);
            text.push_str(" RETURNING 1)");
            if section.checked {
                let and = if guard.is_empty() { "" } else { " AND " };
                guard.push_str(&format!("{and}(SELECT count(*) FROM s{number}) = cardinality(${first})"));
            }
        }
        if guard.is_empty() {
            text.push_str("\nSELECT 0");
        } else {
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
        places.write(&mut text, section, &source, rows.also_count > 0);
        give(&mut args, section, rows);
    }
    Script { text: text.into(), args }
}

/// The rows of a section as arguments, column by column.
fn give(args: &mut Vec<Arg>, section: &Section, rows: Rows) {
    let Rows { cells, also, also_count, .. } = rows;
    args.extend(columns(section.columns, cells));
    if let Some(condition) = section.condition.as_ref().filter(|_| also_count > 0) {
        args.extend(columns(condition.columns, also));
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
    fn write(&mut self, text: &mut String, section: &Section, rows: &str, also: bool) {
        text.push_str(text::plain_verb(section.verb));
        text.push(' ');
        text.push_str(section.head);
        if section.columns.is_empty() {
            return;
        }
        text.push_str(rows);
        text.push_str(section.tail);
        if let Some(Condition { head, columns, tail }) = section.condition.as_ref().filter(|_| also) {
            text.push_str(head);
            text.push_str(&self.rows(columns));
            text.push_str(tail);
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
    use super::super::section::Verb;
    use super::*;

    static SECTIONS: [Section; 2] = [
        Section {
            verb: Verb::Update,
            head: "t SET x = v.column2 FROM ",
            columns: &[Kind::Id, Kind::Int],
            tail: " AS v WHERE t.id = v.column1",
            checked: true,
            condition: None,
            locks: Some("t"),
        },
        Section {
            verb: Verb::Delete,
            head: "u",
            columns: &[],
            tail: "",
            checked: false,
            condition: None,
            locks: None,
        },
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
