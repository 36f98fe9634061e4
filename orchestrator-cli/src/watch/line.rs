//! One line of a screen: pieces in colours, cut to a width.

use crate::output::style::{Style, Tint};

/// A line that is being put together.
#[derive(Debug, Default)]
pub(super) struct Line {
    pieces: Vec<(String, Option<Tint>)>,
}

impl Line {
    pub(super) fn of(text: impl Into<String>, tint: Option<Tint>) -> Self {
        Self { pieces: vec![(text.into(), tint)] }
    }

    pub(super) fn add(&mut self, text: impl Into<String>, tint: Option<Tint>) -> &mut Self {
        self.pieces.push((text.into(), tint));
        self
    }

    /// As it is written, in at most so many columns.
    pub(super) fn render(&self, width: usize, style: &Style) -> String {
        let mut left = width;
        let mut out = String::new();
        for (text, tint) in &self.pieces {
            let (shown, columns) = fitting(text, left);
            left -= columns;
            match tint {
                Some(tint) => out.push_str(&style.tint(*tint, shown).to_string()),
                None => out.push_str(shown),
            }
            if shown.len() < text.len() {
                break;
            }
        }
        out
    }
}

/// The beginning of a text that fits into so many columns, and how many it takes.
fn fitting(text: &str, room: usize) -> (&str, usize) {
    let mut columns = 0;
    for (at, c) in text.char_indices() {
        let wide = if is_wide(c) { 2 } else { 1 };
        if columns + wide > room {
            return (&text[..at], columns);
        }
        columns += wide;
    }
    (text, columns)
}

/// The columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// Whether terminals give a character two columns: the East Asian scripts and the pictures. Where one is missed, the
/// terminal cuts the line.
const fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_by_columns() {
        let style = Style::plain();
        let mut line = Line::of("ab", None);
        line.add("日本", Some(Tint::Dim)).add("c", None);
        assert_eq!(line.render(7, &style), "ab日本c");
        assert_eq!(line.render(5, &style), "ab日");
        assert_eq!(line.render(1, &style), "a");
    }
}
