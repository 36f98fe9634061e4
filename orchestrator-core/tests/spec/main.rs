//! What the parser accepts, what it refuses, and in which words.

mod builder;
mod catalog;
mod expressions;
mod extremes;
mod fuzz;
mod mutants;
mod properties;
mod reference;
mod refused;
mod run_inputs;
mod secrets;
mod triggers;
mod valid;

use std::fmt::Write as _;

use orchestrator_core::spec::{Diagnostic, Diagnostics, Severity, parse};

use crate::catalog::plugins;

/// A row of bad input: what it is, the text, and the codes that must be told, in the order of the text.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// What the parser tells of a text, warnings included.
fn told(text: &str) -> Vec<Diagnostic> {
    match parse(text, &plugins()) {
        Ok(parsed) => parsed.warnings,
        Err(Diagnostics(list)) => {
            assert!(list.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
            list
        }
    }
}

/// Every row with its text and what is told of it; asserts the codes, so that a new snapshot cannot change them.
fn table(rows: &[Row]) -> String {
    let mut table = String::new();
    for (name, text, codes) in rows {
        let told = told(text);
        let _ = writeln!(table, "=== {name}");
        for line in text.lines() {
            let _ = writeln!(table, "{}", format!("    {line}").trim_end());
        }
        for diagnostic in &told {
            let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
            let _ = writeln!(table, "{severity} {}: {diagnostic}", diagnostic.code);
        }
        let found: Vec<&str> = told.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(found, *codes, "{name}:\n{text}\n{told:#?}");
        for diagnostic in &told {
            let span = diagnostic.span.unwrap_or_else(|| panic!("{name}: no place: {diagnostic:?}"));
            let line = text.lines().nth(span.line as usize - 1).unwrap_or_default();
            let columns = line.chars().count() as u32 + 1;
            assert!((1..=columns).contains(&span.column), "{name}: {diagnostic:?} is beside {line:?}");
        }
    }
    table
}
