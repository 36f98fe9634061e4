//! Every method of the store port is exercised by the conformance kit.

use crate::Fault;
use crate::rust::{Kind, after_matching};
use crate::source::Source;

const PORT: &str = "orchestrator-core/src/port/store";
const KIT: &str = "orchestrator-core/src/testkit";

pub(crate) fn check(sources: &[Source]) -> Vec<Fault> {
    let methods = methods(sources);
    if methods.is_empty() {
        return vec![format!("there is no `trait Store` in {PORT}")];
    }
    let called: Vec<&str> =
        sources.iter().filter(|source| source.path.starts_with(KIT)).flat_map(calls).collect();
    let missing = methods.iter().filter(|(name, _)| !called.contains(name));
    missing.map(|(name, at)| format!("{at}: `{name}` is called by no case in {KIT}")).collect()
}

/// The methods of `trait Store`, and where they are.
fn methods(sources: &[Source]) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(PORT)) {
        let tokens = source.tokens();
        let Some(at) = tokens.windows(2).position(|pair| pair[0].is("trait") && pair[1].is("Store")) else {
            continue;
        };
        let Some(open) = (at..tokens.len()).find(|at| tokens[*at].is("{")) else { continue };
        let body = &tokens[open..after_matching(&tokens, open)];
        let defined = body.windows(2).filter(|pair| pair[0].is("fn") && pair[1].kind == Kind::Word);
        found.extend(defined.map(|pair| (pair[1].text, format!("{}:{}", source.path, pair[1].first))));
    }
    found
}

/// Names that are called as methods.
fn calls(source: &Source) -> Vec<&str> {
    let tokens = source.tokens();
    let calls = tokens.windows(3).filter(|three| three[0].is(".") && three[2].is("("));
    calls.map(|three| three[1].text).collect()
}

#[test]
fn a_method_without_a_case_is_caught() {
    let port = Source::new(
        "orchestrator-core/src/port/store.rs",
        "trait Store { fn load(&self); fn save(&self) { } }",
    );
    let kit = |text| Source::new("orchestrator-core/src/testkit/cases.rs", text);
    assert_eq!(check(&[port, kit("store.load(run); // store.save(run)")]).len(), 1);
    let port = Source::new(
        "orchestrator-core/src/port/store.rs",
        "trait Store { fn load(&self); fn save(&self) { } }",
    );
    assert_eq!(check(&[port, kit("store.load(run); store\n.save(run);")]), [""; 0]);
    assert_eq!(check(&[kit("")]).len(), 1);
}
