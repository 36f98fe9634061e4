//! The line of a source text that a message speaks of, with a caret below the place.

use std::fmt::Write as _;

use orchestrator_core::spec::{Severity, Span};

use crate::output::escape;
use crate::output::style::{Style, Tint};

/// The most characters of a line that are shown.
const WINDOW: usize = 100;

/// A line with a marked place, ready to be printed.
#[derive(Debug)]
pub(crate) struct Excerpt {
    number: u32,
    /// The shown part of the line, escaped.
    text: String,
    /// Characters before the mark.
    indent: usize,
    /// Length of the mark.
    len: usize,
}

impl Excerpt {
    /// The line that `span` points into; `None` if there is no such line.
    pub(crate) fn of(source: &str, span: Span) -> Option<Self> {
        let line = Span::lines(source).nth(span.line.checked_sub(1)? as usize)?;
        let line = line.strip_prefix('\u{feff}').filter(|_| span.line == 1).unwrap_or(line);
        let column = span.column.saturating_sub(1) as usize;
        let total = line.chars().count();
        // A long line is cut so that the place stays in sight, with a third of the window before it.
        let from = if total <= WINDOW {
            0
        } else {
            column.saturating_sub(WINDOW / 3).min(total.saturating_sub(WINDOW))
        };
        let part = |skip: usize, take: usize| {
            let part: String = line.chars().skip(skip).take(take).collect();
            escape::line(&part).replace('\t', "    ")
        };
        let before = part(from, column.saturating_sub(from));
        let marked = part(column, (span.len.max(1) as usize).min((from + WINDOW).saturating_sub(column)));
        let end = column + span.len.max(1) as usize;
        let after = part(end, (from + WINDOW).saturating_sub(end));
        let lead = if from > 0 { "… " } else { "" };
        let tail = if from + WINDOW < total { " …" } else { "" };
        let indent = lead.chars().count() + before.chars().count();
        let len = marked.chars().count().max(1);
        Some(Self { number: span.line, text: format!("{lead}{before}{marked}{after}{tail}"), indent, len })
    }

    /// Two lines.
    pub(crate) fn to_human(&self, severity: Severity, style: &Style) -> String {
        let number = self.number.to_string();
        let tint = if severity == Severity::Error { Tint::Bad } else { Tint::Warn };
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "  {} {}", style.tint(Tint::Dim, &format!("{number} |")), self.text.trim_end());
        let gutter = format!("{} |", " ".repeat(number.len()));
        let caret = "^".repeat(self.len);
        let indent = " ".repeat(self.indent);
        let _ = writeln!(text, "  {} {indent}{}", style.tint(Tint::Dim, &gutter), style.tint(tint, &caret));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str, line: u32, column: u32, len: u32) -> String {
        let excerpt = Excerpt::of(source, Span { line, column, len }).unwrap();
        format!("{}\n{}{}", excerpt.text, " ".repeat(excerpt.indent), "^".repeat(excerpt.len))
    }

    #[test]
    fn the_caret_stands_below_the_place() {
        assert_eq!(shown("a: 1\n  needs: bulid\n", 2, 10, 5), "  needs: bulid\n         ^^^^^");
        assert_eq!(shown("\tä: \u{7}x", 1, 5, 1), "    ä: \\x07x\n       ^^^^");
        assert!(Excerpt::of("one line", Span { line: 2, column: 1, len: 1 }).is_none());
    }

    #[test]
    fn a_place_at_the_end_of_a_long_line_stays_in_sight() {
        let source = format!("{}HERE", "x".repeat(5_000));
        let shown = shown(&source, 1, 5_001, 4);
        let (line, caret) = shown.split_once('\n').unwrap();
        assert!(line.chars().count() < 110 && line.ends_with("HERE"), "{line}");
        assert_eq!(caret.len() - 4, line.chars().count() - 4);
    }

    #[test]
    fn a_mark_longer_than_the_window_is_cut() {
        let shown = shown(&"y".repeat(1_000), 1, 1, 1_000);
        assert!(shown.lines().all(|line| line.chars().count() <= WINDOW + 2));
    }
}
