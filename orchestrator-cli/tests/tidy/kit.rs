//! Every method of the ports for backends is exercised by the conformance kit.

use crate::Fault;
use crate::rust::{Kind, after_matching};
use crate::source::Source;

/// A port that backends implement, where it is, and where its cases are.
struct Port {
    name: &'static str,
    contract: &'static str,
    kit: &'static str,
}

const PORTS: [Port; 2] = [
    Port {
        name: "Store",
        contract: "orchestrator-core/src/port/store",
        kit: "orchestrator-core/src/testkit",
    },
    // Methods of the same name are called on stores: those of queues have a folder of their own.
    Port {
        name: "Queue",
        contract: "orchestrator-core/src/port/queue",
        kit: "orchestrator-core/src/testkit/queue",
    },
];

pub(crate) fn check(sources: &[Source]) -> Vec<Fault> {
    PORTS.iter().flat_map(|port| check_port(port, sources)).collect()
}

fn check_port(port: &Port, sources: &[Source]) -> Vec<Fault> {
    let Port { name, contract, kit } = port;
    let methods = methods(port, sources);
    if methods.is_empty() {
        return vec![format!("there is no `trait {name}` in {contract}")];
    }
    let cases = sources.iter().filter(|source| source.path.starts_with(kit) && !is_of_wrong(&source.path));
    let called: Vec<&str> = cases.flat_map(calls).collect();
    let missing = methods.iter().filter(|(name, _)| !called.contains(name));
    missing.map(|(name, at)| format!("{at}: `{name}` is called by no case in {kit}")).collect()
}

/// Whether a file is one of the wrong backends: those hand on every method, and hold nobody to anything.
fn is_of_wrong(path: &str) -> bool {
    path.contains("/wrong/")
}

/// The methods of a port, and where they are.
fn methods<'s>(port: &Port, sources: &'s [Source]) -> Vec<(&'s str, String)> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(port.contract)) {
        let tokens = source.tokens();
        let Some(at) = tokens.windows(2).position(|pair| pair[0].is("trait") && pair[1].is(port.name)) else {
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

#[cfg(test)]
mod planted {
    use super::*;

    fn sources(kit: &str, path: &str) -> Vec<Source> {
        vec![
            Source::new(
                "orchestrator-core/src/port/store.rs",
                "trait Store { fn load(&self); fn save(&self) { } }",
            ),
            Source::new("orchestrator-core/src/port/queue/contract.rs", "trait Queue { fn settle(&self); }"),
            Source::new(path, kit),
            Source::new("orchestrator-core/src/testkit/queue/cases.rs", "queue.settle(one)"),
        ]
    }

    const CASES: &str = "orchestrator-core/src/testkit/cases.rs";

    #[test]
    fn a_method_without_a_case_is_caught() {
        assert_eq!(check(&sources("store.load(run); store\n.save(run);", CASES)), [""; 0]);
        assert_eq!(check(&sources("store.load(run); // store.save(run)", CASES)).len(), 1);
        let wrong = "orchestrator-core/src/testkit/wrong/store.rs";
        assert_eq!(check(&sources("store.load(run); store.save(run);", wrong)).len(), 2);
    }

    #[test]
    fn a_method_of_queues_needs_a_case_for_queues() {
        let mut sources = sources("store.load(run); store.save(run); store.settle(one);", CASES);
        assert_eq!(check(&sources), [""; 0]);
        sources.pop();
        assert_eq!(check(&sources).len(), 1);
    }

    #[test]
    fn a_port_that_is_gone_is_caught() {
        assert_eq!(check(&[Source::new(CASES, "")]).len(), PORTS.len());
    }
}
