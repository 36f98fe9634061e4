//! The pure part of core: no clock, no chance, no I/O, nothing asynchronous.

use crate::Fault;
use crate::rust::Token;
use crate::source::Source;

const PURE: [&str; 7] = ["machine", "plan", "schedule", "spec", "id", "time", "value"];

/// Words that let the outside in.
const WORDS: [&str; 14] = [
    "tokio",
    "async",
    "await",
    "async_trait",
    "futures",
    "SystemTime",
    "Instant",
    "rand",
    "getrandom",
    "now_v7",
    "new_v4",
    "RandomState",
    "wall_clock",
    "thread_rng",
];

/// Modules of the standard library that let the outside in.
const STD: [&str; 6] = ["env", "fs", "io", "net", "process", "thread"];

/// The two seams: the clock, and the maker of ids. What they may name.
const SEAMS: [(&str, &[&str]); 2] = [
    (
        "orchestrator-core/src/time.rs",
        &["tokio", "async", "await", "async_trait", "Instant", "wall_clock", "now"],
    ),
    ("orchestrator-core/src/id.rs", &["now_v7", "wall_clock"]),
];

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    if source.package() != "orchestrator-core" || source.is_test {
        return Vec::new();
    }
    let Some(modules) = source.modules() else { return Vec::new() };
    if !modules.first().is_some_and(|own| PURE.contains(own)) {
        return Vec::new();
    }
    let allowed = SEAMS.iter().find(|(path, _)| *path == source.path).map_or(&[][..], |(_, words)| *words);
    let (code, _) = source.split();
    let mut faults = Vec::new();
    for at in 0..code.len() {
        if let Some(word) = impure(&code, at)
            && !allowed.contains(&word)
        {
            faults.push(
                source.at(code[at].first, format!("`{word}` does not belong into the pure part of core")),
            );
        }
    }
    faults
}

fn impure<'t>(code: &[Token<'t>], at: usize) -> Option<&'t str> {
    let word = code[at];
    let after_path = at >= 2 && code[at - 1].is(":") && code[at - 2].is(":");
    let is_called = code.get(at + 1).is_some_and(|token| token.is("("));
    let of_std = after_path && at >= 3 && code[at - 3].is("std");
    let impure = WORDS.iter().any(|banned| word.is(banned))
        || (word.is("now") && after_path && is_called)
        || (of_std && STD.iter().any(|module| word.is(module)));
    impure.then_some(word.text)
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn whatever_lets_the_outside_in_is_caught() {
        let bad = [
            "use tokio::sync::mpsc;",
            "async fn f() {}",
            "let x = y.await;",
            "std::time::SystemTime::now()",
            "use std::time::Instant;",
            "let x = rand::random();",
            "Uuid::now_v7()",
            "jiff::Timestamp::now()",
            "std::fs::read(path)",
            "std::env::var(name)",
        ];
        for text in bad {
            for file in ["machine/decide.rs", "spec/read/step.rs", "plan.rs", "value.rs"] {
                let source = Source::new(&format!("orchestrator-core/src/{file}"), text);
                assert!(!check(&source).is_empty(), "{file}: {text}");
            }
        }
        assert!(
            !check(&Source::new("orchestrator-core/src/time.rs", "std::time::SystemTime::now()")).is_empty()
        );
        assert!(!check(&Source::new("orchestrator-core/src/id.rs", "tokio::spawn(x)")).is_empty());
    }

    #[test]
    fn the_seams_the_shell_and_tests_may() {
        let good = [
            ("time.rs", "tokio::time::Instant::now(); async fn f() {}"),
            ("id.rs", "Uuid::now_v7()"),
            ("engine/driver.rs", "tokio::spawn(x)"),
            (
                "machine/state.rs",
                "// tokio\n #[cfg(test)] mod tests { use tokio::x; } fn now(&self) { self.now(); }",
            ),
        ];
        for (file, text) in good {
            assert_eq!(check(&Source::new(&format!("orchestrator-core/src/{file}"), text)), [""; 0]);
        }
    }
}
