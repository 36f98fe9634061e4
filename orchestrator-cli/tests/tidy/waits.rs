//! Tests wait for events, never for time to pass.

use crate::Fault;
use crate::rust::Token;
use crate::source::Source;

/// Functions that let real time pass. Methods of the same name, such as those of the clock port, belong to whoever
/// has them: a simulated clock waits for nothing.
const FREE: [&str; 4] = ["sleep_until", "sleep_ms", "park_timeout", "interval"];

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let is_kit = source.path.starts_with("orchestrator-core/src/testkit");
    let tests = if is_kit { source.tokens() } else { source.split().1 };
    let waits = (0..tests.len()).filter(|at| waits(&tests, *at));
    waits.map(|at| source.at(tests[at].first, format!("`{}` in a test", tests[at].text))).collect()
}

fn waits(tests: &[Token<'_>], at: usize) -> bool {
    let token = tests[at];
    let after = |text: &str| tests.get(at + 1).is_some_and(|token| token.is(text));
    let before = |text: &str| at > 0 && tests[at - 1].is(text);
    if FREE.iter().any(|name| token.is(name)) {
        return before(":");
    }
    // A call, or an import that would make one; not a definition, and not the module of the plugin `sleep`.
    token.is("sleep") && !before("fn") && !after(":") && (after("(") || before(":") || after("as"))
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn every_wait_in_a_test_is_caught() {
        let bad = [
            "std::thread::sleep(TIME);",
            "sleep(TIME).await;",
            "use tokio::time::sleep;",
            "use tokio::time::{sleep as nap};",
            "tokio::time::sleep_until(at).await;",
            "std::thread::park_timeout(x);",
            "tokio::time::interval(x);",
        ];
        for text in bad {
            assert_eq!(check(&Source::new("a/tests/b.rs", text)).len(), 1, "{text}");
            let inline = format!("#[cfg(test)] mod tests {{ {text} }}");
            assert_eq!(check(&Source::new("a/src/b.rs", &inline)).len(), 1, "{text}");
            assert_eq!(check(&Source::new("orchestrator-core/src/testkit/b.rs", text)).len(), 1, "{text}");
            assert_eq!(check(&Source::new("a/src/b.rs", text)), [""; 0]);
        }
    }

    #[test]
    fn the_clock_and_the_plugin_are_no_waits() {
        let good = "clock.sleep_until(at).await; let flow = \"sleep(1)\"; crate::sleep::run(); fn sleep() {} // sleep(1)";
        assert_eq!(check(&Source::new("a/tests/b.rs", good)), [""; 0]);
    }
}
