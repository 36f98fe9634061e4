//! No text makes the parser panic, and whatever it says is in order.

use orchestrator_core::spec::{Diagnostics, MAX_DIAGNOSTICS, Severity, decode, parse};
use proptest::prelude::*;

use crate::builder::meaning;
use crate::catalog::plugins;
use crate::valid::EXAMPLE;

/// Pieces from which texts are made that come near to workflows.
const PIECES: [&str; 40] = [
    "name: a\n",
    "steps:\n",
    "  a:\n",
    "    run: x\n",
    "    uses: llm\n",
    "    needs: [a, b]\n",
    "    with:\n",
    "      prompt: |\n",
    "        ${{ steps.a.text }}\n",
    "${{",
    "}}",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "  ",
    "\t",
    "\"",
    "'",
    "&x",
    "*x",
    "!t ",
    "---\n",
    "<<: *x\n",
    "? ",
    "- ",
    "# ",
    "|\n",
    ">\n",
    "if: success() and not ",
    "retry: { max_attempts: 3 }",
    "timeout: 1h30m",
    "env: { A: 1 }",
    "inputs: { x: { type: integer } }",
    "\u{feff}",
    "é",
    "%YAML 1.2\n",
];

/// What must hold of every answer.
fn check(text: &str) {
    match parse(text, &plugins()) {
        Ok(parsed) => {
            assert!(parsed.warnings.iter().all(|warning| warning.severity == Severity::Warning));
            let again = parse(text, &plugins()).unwrap().workflow;
            assert_eq!(meaning(&again), meaning(&parsed.workflow));
        }
        Err(Diagnostics(list)) => {
            assert!((1..=MAX_DIAGNOSTICS).contains(&list.len()));
            assert!(list.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
            assert!(list.is_sorted_by_key(|diagnostic| diagnostic.span), "{list:#?}");
            let lines = text.lines().count().max(1) as u32 + 1;
            for diagnostic in list {
                let span = diagnostic.span.unwrap();
                assert!(
                    (1..=lines).contains(&span.line) && span.column >= 1 && span.len >= 1,
                    "{diagnostic:?}"
                );
                assert!(!diagnostic.code.is_empty() && !diagnostic.message.ends_with('.'), "{diagnostic:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = decode(&bytes) {
            check(text);
        }
    }

    #[test]
    fn pieces_of_workflows(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn a_workflow_with_some_characters_changed(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..4, any::<char>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, what, c, other) in changes {
            let at = at.index(text.len());
            match what {
                0 => _ = text.remove(at),
                1 => text.insert(at, c),
                2 => text[at] = c,
                _ => {
                    let other = other.index(text.len());
                    text.swap(at, other);
                }
            }
        }
        check(&String::from_iter(text));
    }

    #[test]
    fn a_workflow_with_lines_moved(moves in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6)) {
        let mut lines: Vec<&str> = EXAMPLE.lines().collect();
        for (from, to) in moves {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len() + 1), line);
        }
        check(&lines.join("\n"));
    }
}
