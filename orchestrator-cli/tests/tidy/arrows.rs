//! The arrows between the modules of core: each names only those below it.

use crate::Fault;
use crate::rust::{Kind, Token};
use crate::source::Source;

/// The modules of core from the ground up. Those of one storey may name each other.
const STOREYS: [&[&str]; 8] = [
    &["failpoint", "id", "mask", "time", "value"],
    &["plan", "schedule"],
    &["spec"],
    &["machine"],
    &["port"],
    &["memory", "layer"],
    &["engine"],
    &["testkit"],
];

fn storey(module: &str) -> Option<usize> {
    STOREYS.iter().position(|storey| storey.contains(&module))
}

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    if source.package() != "orchestrator-core" || source.is_test {
        return Vec::new();
    }
    let Some(modules) = source.modules() else { return Vec::new() };
    // The root of the crate is where everything may be named.
    let Some(own) = modules.first().copied() else { return Vec::new() };
    let Some(from) = storey(own) else {
        return vec![source.at(1, format!("give the module `{own}` its storey in the tidy test"))];
    };
    let (code, _) = source.split();
    let mut faults = Vec::new();
    for (line, named) in named_modules(&code, modules.len()) {
        match storey(named) {
            Some(to) if to <= from => {}
            Some(_) => {
                faults.push(source.at(line, format!("`{own}` names `{named}`, which stands above it")));
            }
            None => faults.push(
                source.at(line, format!("name the module: `crate::{named}` does not say where it is from")),
            ),
        }
    }
    faults
}

/// What follows each way to the root of the crate: `crate::`, or enough `super::`.
fn named_modules<'t>(code: &[Token<'t>], depth: usize) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let begins = code[at].kind == Kind::Word && (at == 0 || !is_path(code, at - 1));
        let (supers, after) = match code[at].text {
            "crate" if begins => (depth, at + 1),
            "super" if begins => supers(code, at),
            _ => {
                at += 1;
                continue;
            }
        };
        at = after;
        // `pub(crate)` and `pub(super)` lead nowhere.
        if supers >= depth && is_path(code, after + 1) {
            first_names(code, after + 2, &mut found);
        }
    }
    found
}

/// Whether the second `:` of a `::` is at this position.
fn is_path(code: &[Token<'_>], at: usize) -> bool {
    at >= 1 && code.get(at).is_some_and(|token| token.is(":")) && code[at - 1].is(":")
}

/// How many `super` there are in a row, and where they end.
fn supers(code: &[Token<'_>], mut at: usize) -> (usize, usize) {
    let mut count = 1;
    while is_path(code, at + 2) && code.get(at + 3).is_some_and(|token| token.is("super")) {
        count += 1;
        at += 3;
    }
    (count, at + 1)
}

/// The first name of a path, or of each path of a group.
fn first_names<'t>(code: &[Token<'t>], at: usize, found: &mut Vec<(usize, &'t str)>) {
    let Some(token) = code.get(at) else { return };
    if token.kind == Kind::Word {
        found.push((token.first, token.text));
    }
    if !token.is("{") {
        return;
    }
    let mut depth = 0;
    let mut expects = true;
    for token in &code[at + 1..] {
        match token.text {
            "{" => depth += 1,
            "}" if depth == 0 => return,
            "}" => depth -= 1,
            "," => expects = depth == 0,
            _ if expects && depth == 0 && token.kind == Kind::Word => {
                found.push((token.first, token.text));
                expects = false;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod planted {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<Fault> {
        check(&Source::new(path, text))
    }

    #[test]
    fn every_way_of_naming_what_stands_above_is_caught() {
        let path = "orchestrator-core/src/machine/decide.rs";
        let bad = [
            "use crate::engine::Engine;",
            "use crate::{id::RunId, engine::{Engine, Live}};",
            "use super::super::port::store;",
            "fn f() { crate::memory::new() }",
            "type X = super::super::engine::X;",
            "pub(crate) use crate::testkit::x;",
            "use crate::Engine;",
            "#[cfg(not(test))] use crate::port::X;",
        ];
        for text in bad {
            let found = faults(path, text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(&format!("{path}:1: ")), "{found:?}");
        }
        assert_eq!(faults("orchestrator-core/src/plan.rs", "\nuse super::spec;").len(), 1);
        assert_eq!(faults("orchestrator-core/src/gadgets.rs", "").len(), 1);
    }

    #[test]
    fn arrows_down_and_sideways_are_fine() {
        let path = "orchestrator-core/src/machine/decide.rs";
        let good = "use crate::machine::state; use super::event::E; pub(crate) struct A; pub(super) fn f() {} \
                    use crate::{id, time::Timestamp}; // crate::engine\n #[cfg(test)] mod t { use crate::engine::E; }";
        assert_eq!(faults(path, good), [""; 0]);
        assert_eq!(faults("orchestrator-core/src/lib.rs", "pub use crate::engine::Engine;"), [""; 0]);
        assert_eq!(
            faults("orchestrator-core/src/engine/a.rs", "use crate::memory::M; use super::super::port;"),
            [""; 0]
        );
        assert_eq!(faults("orchestrator-core/tests/a.rs", "use crate::engine;"), [""; 0]);
    }
}
