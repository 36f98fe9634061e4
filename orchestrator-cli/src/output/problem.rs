//! Why a command was not carried out, as one object: for people on stderr, with `--json` as JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use orchestrator_core::spec::{Diagnostic, Severity};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::excerpt::Excerpt;
use crate::output::{escape, style::Style, style::Tint};

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    exit: Exit,
    code: Cow<'static, str>,
    title: String,
    detail: Option<String>,
    hint: Option<String>,
    /// Whether the way out can be typed as it stands.
    typed: bool,
    items: Vec<Item>,
    silent: bool,
}

/// One of several things that are wrong, in its place.
#[derive(Debug, Serialize)]
pub(crate) struct Item {
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    /// The place as a JSON pointer (RFC 6901).
    pub(crate) pointer: Option<String>,
    pub(crate) code: Cow<'static, str>,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The place as authors write it: `steps.review.needs`.
    #[serde(skip)]
    pub(crate) path: String,
    #[serde(skip)]
    pub(crate) excerpt: Option<Excerpt>,
}

/// The JSON shape.
#[derive(Serialize)]
struct Shape<'a> {
    code: &'a str,
    title: &'a str,
    detail: Option<&'a str>,
    status: u16,
    exit_code: u8,
    hint: Option<&'a str>,
    errors: &'a [Item],
}

impl Problem {
    /// A problem: a stable code and a lowercase fragment.
    pub(crate) fn new(exit: Exit, code: &'static str, title: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            exit,
            code: Cow::Borrowed(code),
            title: title.into(),
            detail: None,
            hint: None,
            typed: false,
            items: Vec::new(),
            silent: false,
        }))
    }

    /// The reader of our output has gone away: nothing is wrong, and there is nobody to tell.
    pub(crate) fn reader_gone() -> Self {
        let mut problem = Self::new(Exit::Ok, "reader_gone", "");
        problem.0.silent = true;
        problem
    }

    /// More about it.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The way out, in words.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self.0.typed = false;
        self
    }

    /// The way out, as something to type.
    #[must_use]
    pub(crate) fn tries(mut self, words: impl Into<String>) -> Self {
        self.0.hint = Some(words.into());
        self.0.typed = true;
        self
    }

    /// The same problem once more, without its parts.
    pub(crate) fn again(&self) -> Self {
        Self(Box::new(Parts {
            exit: self.0.exit,
            code: self.0.code.clone(),
            title: self.0.title.clone(),
            detail: self.0.detail.clone(),
            hint: self.0.hint.clone(),
            typed: self.0.typed,
            items: Vec::new(),
            silent: self.0.silent,
        }))
    }

    /// What exactly is wrong, in order.
    #[must_use]
    pub(crate) fn items(mut self, items: Vec<Item>) -> Self {
        self.0.items = items;
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// What is wrong, in one fragment.
    pub(crate) fn title(&self) -> &str {
        &self.0.title
    }

    /// The way out, if one is known.
    pub(crate) fn way_out(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether there is nothing to print.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.silent
    }

    /// What exactly is wrong; the problem itself, if it has no parts.
    pub(crate) fn into_items(self) -> Vec<Item> {
        let parts = *self.0;
        if !parts.items.is_empty() {
            return parts.items;
        }
        let mut item = Item::at_path("", "", parts.title);
        item.code = parts.code;
        item.hint = parts.hint;
        vec![item]
    }

    /// As one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let shape = Shape {
            code: &self.0.code,
            title: &self.0.title,
            detail: self.0.detail.as_deref(),
            status: self.0.exit.http_status(),
            exit_code: self.0.exit.code(),
            hint: self.0.hint.as_deref(),
            errors: &self.0.items,
        };
        // Text, numbers and lists can always be encoded.
        serde_json::to_string(&shape).unwrap_or_else(|_| format!("{{\"code\":\"{}\"}}", self.0.code))
    }

    /// For people, with a line end.
    pub(crate) fn to_human(&self, style: &Style) -> String {
        let mut text = String::new();
        for item in &self.0.items {
            text.push_str(&item.to_human(style));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {}", style.tint(Tint::Bad, "error:"), escape::line(&self.0.title));
        for line in self.0.detail.iter().flat_map(|detail| detail.lines()) {
            let _ = writeln!(text, "  {}", escape::line(line));
        }
        if let Some(hint) = &self.0.hint {
            let label = if self.0.typed { "try: " } else { "" };
            let _ = writeln!(text, "  {}{}", style.tint(Tint::Strong, label), escape::line(hint));
        }
        text
    }
}

impl Item {
    /// A problem without a place in a file.
    pub(crate) fn at_path(path: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            file: None,
            line: None,
            column: None,
            pointer: pointer(&path),
            code: Cow::Borrowed(code),
            severity: Severity::Error,
            message: message.into(),
            hint: None,
            path,
            excerpt: None,
        }
    }

    /// A diagnostic of a file, with the line of `source` it points at.
    pub(crate) fn of(diagnostic: &Diagnostic, file: &str, source: &str) -> Self {
        Self {
            file: Some(file.to_owned()),
            line: diagnostic.span.map(|span| span.line),
            column: diagnostic.span.map(|span| span.column),
            code: Cow::Borrowed(diagnostic.code),
            severity: diagnostic.severity,
            hint: diagnostic.hint.clone(),
            excerpt: diagnostic.span.and_then(|span| Excerpt::of(source, span)),
            ..Self::at_path(diagnostic.path.clone(), "", diagnostic.message.clone())
        }
    }

    /// `spec.yaml:12:7: steps.review.needs: unknown step "bulid" (did you mean "build"?)`, the line and a caret.
    pub(crate) fn to_human(&self, style: &Style) -> String {
        let mut place = String::new();
        if let Some(file) = &self.file {
            place.push_str(&escape::line(file));
            for number in self.line.iter().chain(&self.column) {
                let _ = write!(place, ":{number}");
            }
            place.push_str(": ");
        }
        let mut text = style.tint(Tint::Strong, &place).to_string();
        if self.severity == Severity::Warning {
            let _ = write!(text, "{} ", style.tint(Tint::Warn, "warning:"));
        }
        if !self.path.is_empty() {
            let _ = write!(text, "{}: ", escape::line(&self.path));
        }
        text.push_str(&escape::line(&self.message));
        if let Some(hint) = &self.hint {
            let _ = write!(text, " ({})", escape::line(hint));
        }
        text.push('\n');
        if let Some(excerpt) = &self.excerpt {
            text.push_str(&excerpt.to_human(self.severity, style));
        }
        text
    }
}

/// `steps.notes.with.items[2]` as a JSON pointer: `/steps/notes/with/items/2`.
fn pointer(path: &str) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let mut pointer = String::with_capacity(path.len() + 1);
    for part in path.split(['.', '[']) {
        pointer.push('/');
        pointer.push_str(&part.trim_end_matches(']').replace('~', "~0").replace('/', "~1"));
    }
    Some(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_as_json_pointers() {
        assert_eq!(
            pointer("steps.notes.with.items[2].a/b").as_deref(),
            Some("/steps/notes/with/items/2/a~1b")
        );
        assert_eq!(pointer(""), None);
    }
}
