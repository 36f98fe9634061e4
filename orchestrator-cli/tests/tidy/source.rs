//! A Rust file of the workspace.

use crate::rust::{self, Token};

/// A Rust file of the workspace.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether all of it is test code: in a `tests` folder, or declared under `#[cfg(test)]`.
    pub(crate) is_test: bool,
}

impl Source {
    /// A file by itself; whether it is test code is told from its path alone.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        let is_test = parts.iter().any(|part| matches!(*part, "tests" | "tests.rs"));
        Self { path: path.to_owned(), text: text.to_owned(), is_test }
    }

    /// The folder of the crate it belongs to.
    pub(crate) fn package(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Its place inside `PACKAGE/src`, as modules: `["machine", "state"]`. `None`: it is not there. The root of the
    /// crate is empty.
    pub(crate) fn modules(&self) -> Option<Vec<&str>> {
        let (_, inner) = self.path.split_once('/')?;
        let mut modules: Vec<&str> = inner.strip_prefix("src/")?.strip_suffix(".rs")?.split('/').collect();
        if modules.last().is_some_and(|last| matches!(*last, "mod" | "lib" | "main")) {
            modules.pop();
        }
        Some(modules)
    }

    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        rust::tokens(&self.text)
    }

    /// Its tokens that are not test code, and those that are.
    pub(crate) fn split(&self) -> (Vec<Token<'_>>, Vec<Token<'_>>) {
        let tokens = self.tokens();
        if self.is_test {
            return (Vec::new(), tokens);
        }
        let items = rust::test_items(&tokens);
        let is_test = |at: usize| items.iter().any(|item| item.range.contains(&at));
        let (mut code, mut tests) = (Vec::new(), Vec::new());
        for (at, token) in tokens.into_iter().enumerate() {
            if is_test(at) { tests.push(token) } else { code.push(token) }
        }
        (code, tests)
    }

    /// The paths (without `.rs`) of files that this one declares under `#[cfg(test)]`.
    pub(crate) fn test_files(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let home = if matches!(name, "mod" | "lib" | "main") { folder } else { stem };
        let tokens = self.tokens();
        let items = rust::test_items(&tokens);
        let files = items.iter().filter(|item| item.elsewhere).filter_map(|item| item.module);
        files.map(|module| format!("{home}/{module}")).collect()
    }

    /// A fault at a line of it.
    pub(crate) fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

#[test]
fn a_file_knows_its_place() {
    let place = |path| Source::new(path, "").modules().map(|modules| modules.join("::"));
    assert_eq!(place("orchestrator-core/src/machine/state.rs").as_deref(), Some("machine::state"));
    assert_eq!(place("orchestrator-core/src/machine/mod.rs").as_deref(), Some("machine"));
    assert_eq!(place("orchestrator-core/src/lib.rs").as_deref(), Some(""));
    assert_eq!(place("orchestrator-core/tests/laws.rs"), None);
    assert!(Source::new("a/tests/b.rs", "").is_test && Source::new("a/src/b/tests.rs", "").is_test);
}

#[test]
fn files_declared_for_tests_are_test_code() {
    let source = Source::new("a/src/b.rs", "#[cfg(test)] mod cases; #[cfg(test)] mod inline { }");
    assert_eq!(source.test_files(), ["a/src/b/cases"]);
    assert_eq!(Source::new("a/src/c/mod.rs", "#[cfg(test)] mod d;").test_files(), ["a/src/c/d"]);
}
