//! Tables that fit the terminal.

use comfy_table::{ContentArrangement, Table, presets};

use crate::output::style::Style;

/// `rows` under `headers`. With a `width`, cells are wrapped to fit it; without one (not a terminal) nothing is. The
/// column called `STATUS` is coloured.
pub(crate) fn render(headers: &[&str], rows: Vec<Vec<String>>, width: Option<u16>, style: &Style) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headers.iter().copied());
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(20)),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let rendered = table.to_string();
    let mut lines = rendered.lines().map(str::trim_end);
    let head = lines.next().unwrap_or_default();
    let status = head.find("STATUS");
    let mut text = style.tint(crate::output::style::Tint::Dim, head).to_string();
    for line in lines {
        text.push('\n');
        text.push_str(&coloured(line, status, style));
    }
    text
}

/// Colours the word that stands at character `column` of a line.
fn coloured(line: &str, column: Option<usize>, style: &Style) -> String {
    let Some(column) = column.filter(|_| style.has_colour()) else { return line.to_owned() };
    let Some((start, _)) = line.char_indices().nth(column) else { return line.to_owned() };
    let (before, rest) = line.split_at(start);
    let (word, after) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    format!("{before}{}{after}", style.status(word))
}
