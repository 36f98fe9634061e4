//! What is wrong with a spec, where, and what would be right.

use std::fmt;

use serde::Serialize;

/// The most problems reported for one spec.
pub const MAX_DIAGNOSTICS: usize = 100;

/// A place in a source text. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Span {
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Length in characters on that line; at least 1.
    pub len: u32,
}

impl Span {
    /// The lines of a text as spans count them: YAML's, so a carriage return alone ends one, too.
    pub fn lines(text: &str) -> impl Iterator<Item = &str> {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = rest?;
            let end = text.find(['\n', '\r']).unwrap_or(text.len());
            let (line, tail) = text.split_at(end);
            rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..));
            Some(line)
        })
    }

    /// The place of one character, behind `before` from the beginning of the text.
    pub(super) fn behind(before: &str) -> Self {
        let (line, column) = behind((1, 1), before);
        Self { line, column, len: 1 }
    }
}

/// The line and the column behind a piece of text that begins at `from`.
pub(super) fn behind(from: (u32, u32), text: &str) -> (u32, u32) {
    let breaks = Span::lines(text).count() as u32 - 1;
    let last = Span::lines(text).last().map_or(0, |line| line.chars().count() as u32);
    if breaks == 0 { (from.0, from.1 + last) } else { (from.0 + breaks, last + 1) }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The spec cannot be run.
    Error,
    /// The spec can be run, but probably does not say what its author means.
    Warning,
}

/// One problem of a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` for a model that was built in Rust.
    pub span: Option<Span>,
    /// The path to the place: `steps.notes.with.model`.
    pub path: String,
    /// A stable name for this kind of problem, such as `unknown_dependency`.
    pub code: &'static str,
    /// What is wrong: a lowercase fragment without a period.
    pub message: String,
    /// What would be right, if that can be told.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// `12:7: steps.review.needs: unknown step "bulid" (did you mean "build"?)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = self.span {
            write!(f, "{}:{}: ", span.line, span.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// Every problem found in one pass, in the order of the text; at least one is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Diagnostics(pub Vec<Diagnostic>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_yaml_says() {
        assert_eq!(Span::lines("a\nb\r\nc\rd").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(Span::lines("\n\r\r\n").count(), 4);
        assert_eq!(Span::lines("").collect::<Vec<_>>(), [""]);
        assert_eq!(behind((3, 5), "ab"), (3, 7));
        assert_eq!(behind((3, 5), "ab\rc"), (4, 2));
        assert_eq!(Span::behind("a\r\nb\nc"), Span { line: 3, column: 2, len: 1 });
    }
}
