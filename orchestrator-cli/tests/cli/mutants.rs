//! Mutants of workflows: editors are told of no mistake where the parser finds none. And mutants of command lines: the
//! program ends with a code that is documented, and never panics.

#[path = "../../../orchestrator-core/tests/spec/fuzz/dice.rs"]
mod dice;
#[path = "../../../orchestrator-core/tests/spec/fuzz/mutate.rs"]
mod mutate;
#[path = "mutants/words.rs"]
mod words;

use std::fs;
use std::path::Path;

use orchestrator_core::spec::reference::sections;

use crate::schema::{objections, parses, validator};
use crate::{HELLO, Said, Sandbox, help};
use dice::Dice;
use mutate::Mutator;
use words::mutated;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn seed() -> u64 {
    number("ORCHESTRATOR_FUZZ_SEED", 1)
}

fn mutator() -> Mutator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort_unstable();
    let mut corpus: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut keys = Vec::new();
    for section in sections() {
        let supported = || section.keys.iter().filter(|key| !key.later);
        corpus.extend(supported().map(|key| section.whole(key.example)));
        keys.extend(supported().map(|key| key.name));
    }
    Mutator { corpus, keys }
}

#[test]
fn the_schema_takes_whatever_the_parser_takes() {
    let (mutator, validator) = (mutator(), validator());
    let (mut taken, mut both_refuse, mut refused) = (0, 0, 0);
    for index in 0..number("ORCHESTRATOR_FUZZ", 10_000) / 2 {
        let Ok(text) = String::from_utf8(mutator.mutant(seed(), index)) else { continue };
        // What another reader of YAML cannot read is no question to a schema.
        let Some(objections) = objections(&validator, &text) else { continue };
        if parses(&text) {
            taken += 1;
            assert!(objections.is_empty(), "seed {}, mutant {index}: {objections:#?}\n{text}", seed());
        } else {
            refused += 1;
            both_refuse += u64::from(!objections.is_empty());
        }
    }
    println!("the parser takes {taken}, and refuses {refused}; of these the schema refuses {both_refuse}");
    assert!(taken >= 100 && both_refuse * 2 > refused, "{taken} {refused} {both_refuse}");
}

/// Commands that only look, or refuse: whatever becomes of their arguments, they do nothing outside the folder.
fn command_lines() -> Vec<Vec<String>> {
    let harmless = |words: &[String]| !["init", "man", "schema", "completions"].contains(&&*words[0]);
    let mut lines: Vec<Vec<String>> = help::examples().into_iter().filter(|words| harmless(words)).collect();
    assert!(lines.len() >= 20, "{lines:?}");
    for line in &mut lines {
        // Nobody writes into the stream of these tests, and no run is there to be waited for.
        line.retain(|word| word != "-");
    }
    lines
}

/// What is wrong with the end of a command.
fn fault(said: &Said) -> Option<&'static str> {
    if !(0..=9).contains(&said.code) {
        return Some("a code that is not documented");
    }
    if said.err.contains("panicked") {
        return Some("a panic");
    }
    (said.code > 1 && said.err.trim().is_empty()).then_some("no reason")
}

#[test]
fn no_mutant_of_a_command_line_is_too_much() {
    let lines = command_lines();
    let mut codes = [0u32; 10];
    for index in 0..number("ORCHESTRATOR_FUZZ", 10_000) / 50 {
        let words = mutated(&mut Dice::new(seed(), index), &lines);
        let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
        let output = sandbox.command(&words).env("ORCHESTRATOR_GRACE", "1s").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        if let Some(fault) = fault(&said) {
            panic!("seed {}, line {index}: {fault}: {words:?}: {said:?}", seed());
        }
        codes[said.code as usize] += 1;
    }
    println!("exit codes 0 to 9: {codes:?}");
    assert!(codes[0] > 0 && codes[2] > 20 && codes[3] + codes[4] > 5, "{codes:?}");
}

#[test]
fn planted_ends_are_found() {
    let said = |code, err: &str| Said { code, out: String::new(), err: err.to_owned() };
    for (code, err) in [(101, "thread panicked"), (-1, ""), (1, "thread 'main' panicked at"), (2, "")] {
        assert!(fault(&said(code, err)).is_some(), "{code} {err}");
    }
    assert_eq!(fault(&said(0, "")), None);
}
