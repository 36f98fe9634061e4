//! Gathers what is wrong, so that all of it can be told at once.

use std::fmt;

use crate::spec::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Severity, Span};

/// When so many have been gathered, all but those that come first in the text are forgotten.
const KEPT: usize = 3 * MAX_DIAGNOSTICS;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    placeless: bool,
    /// Takes what nobody is to see.
    unheard: Vec<Diagnostic>,
}

impl Problems {
    /// For a text that nobody has written.
    pub(super) fn without_places() -> Self {
        Self { placeless: true, ..Self::default() }
    }

    /// ` in line 7`, where lines mean something to the reader.
    pub(super) fn in_line(&self, line: u32) -> String {
        if self.placeless { String::new() } else { format!(" in line {line}") }
    }

    /// Notes an error and hands it back, for a hint to be added.
    pub(super) fn error(
        &mut self,
        span: Span,
        path: impl fmt::Display,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        push(&mut self.errors, Severity::Error, span, path.to_string(), code, message.into())
    }

    /// As [`Self::error`], for what does not stand in the way of a run.
    pub(super) fn warning(
        &mut self,
        span: Span,
        path: impl fmt::Display,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        push(&mut self.warnings, Severity::Warning, span, path.to_string(), code, message.into())
    }

    /// Takes an error that only follows from one that has been told.
    pub(super) fn unheard(&mut self) -> &mut Diagnostic {
        self.unheard.clear();
        push(&mut self.unheard, Severity::Error, Span::default(), String::new(), "", String::new())
    }

    /// Whether anything stands in the way of a run.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether there is room for more errors; when there is none, costly searches are not worth their while.
    pub(super) fn has_room(&self) -> bool {
        self.errors.len() < MAX_DIAGNOSTICS
    }

    /// The first [`MAX_DIAGNOSTICS`] in the order of the text. Warnings never take the place of errors.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let failed = self.has_errors();
        sort(&mut self.errors);
        sort(&mut self.warnings);
        self.errors.append(&mut self.warnings);
        self.errors.truncate(MAX_DIAGNOSTICS);
        sort(&mut self.errors);
        if self.placeless {
            self.errors.iter_mut().for_each(|diagnostic| diagnostic.span = None);
        }
        if failed { Err(Diagnostics(self.errors)) } else { Ok(self.errors) }
    }
}

fn sort(list: &mut [Diagnostic]) {
    list.sort_by(|a, b| (a.span, a.code, &a.path).cmp(&(b.span, b.code, &b.path)));
}

fn push<'a>(
    list: &'a mut Vec<Diagnostic>,
    severity: Severity,
    span: Span,
    path: String,
    code: &'static str,
    message: String,
) -> &'a mut Diagnostic {
    if list.len() >= KEPT {
        sort(list);
        list.truncate(MAX_DIAGNOSTICS);
    }
    list.push(Diagnostic { severity, span: Some(span), path, code, message, hint: None });
    let last = list.len() - 1;
    &mut list[last]
}

impl Diagnostic {
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}
