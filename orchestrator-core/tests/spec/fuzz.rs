//! Outside input: no mutant of a workflow makes the parser panic, takes it long, or is told of at a place that is not in
//! the text.
//!
//! `ORCHESTRATOR_FUZZ` says how many mutants (default 10,000), `ORCHESTRATOR_FUZZ_SEED` which ones (default 1). A
//! finding names its seed and number: the same mutant comes again with the same two.

mod dice;
mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use orchestrator_core::spec::reference::sections;
use orchestrator_core::spec::{Catalog, Diagnostic, Diagnostics, ParseOptions, decode, parse_with};

use crate::catalog::{Anything, plugins};
use crate::valid::EXAMPLE;
use mutate::Mutator;

/// The most processor time that one text may take. Usual is a thousandth of it, also in a build without optimisations;
/// it is the time of the thread and not of the wall, so that other work on the machine does not count.
const MOST: Duration = Duration::from_secs(1);

/// What a subject says of a text.
type Told = Vec<Diagnostic>;

/// Reads a text.
type Subject<'a> = &'a dyn Fn(&str) -> Told;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Valid workflows: the examples, the one of these tests, and one for each key.
fn mutator() -> Mutator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort_unstable();
    let mut corpus: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(corpus.len() >= 4);
    corpus.push(EXAMPLE.to_owned());
    let mut keys = Vec::new();
    for section in sections() {
        corpus.extend(section.keys.iter().map(|key| section.whole(key.example)));
        keys.extend(section.keys.iter().map(|key| key.name));
    }
    Mutator { corpus, keys }
}

/// Processor time that this thread has used.
fn used() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What is wrong with the places of what is told.
fn misplaced(text: &str, told: &Told) -> Option<String> {
    // As YAML counts lines, and without the mark that is no character of the first one.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let is_inside = |diagnostic: &&Diagnostic| {
        let Some(span) = diagnostic.span else { return false };
        let line = (span.line as usize).checked_sub(1).and_then(|line| lines.get(line));
        line.is_some_and(|line| (1..=line.chars().count() as u32 + 1).contains(&span.column) && span.len >= 1)
    };
    told.iter()
        .find(|diagnostic| !is_inside(diagnostic))
        .map(|diagnostic| format!("beside the text: {diagnostic:?}"))
}

/// A mutant that a subject cannot stand.
#[derive(Debug)]
struct Finding {
    index: u64,
    what: String,
    text: String,
}

/// What came of many mutants.
#[derive(Debug, Default)]
struct Harvest {
    /// How many were text at all, and how many of these were valid.
    texts: u64,
    valid: u64,
    slowest: (Duration, u64),
    findings: Vec<Finding>,
}

/// Shows mutants to a subject, every `stride`-th from `first`, up to the first finding.
fn hunt(seed: u64, numbers: impl Iterator<Item = u64>, subject: Subject<'_>) -> Harvest {
    let mutator = mutator();
    let mut harvest = Harvest::default();
    for index in numbers {
        let bytes = mutator.mutant(seed, index);
        let before = used();
        let decoded = decode(&bytes);
        let told = match &decoded {
            Ok(text) => catch_unwind(AssertUnwindSafe(|| subject(text))),
            Err(Diagnostics(told)) => Ok(told.clone()),
        };
        let took = used() - before;
        let text = String::from_utf8_lossy(&bytes);
        harvest.texts += u64::from(decoded.is_ok());
        harvest.slowest = harvest.slowest.max((took, index));
        let what = match &told {
            Err(_) => Some("panics".to_owned()),
            Ok(_) if took > MOST => Some(format!("takes {took:?}")),
            Ok(told) => {
                harvest.valid += u64::from(told.is_empty());
                // Text that cannot be decoded has its place among the bytes before.
                decoded.ok().and_then(|text| misplaced(text, told))
            }
        };
        if let Some(what) = what {
            harvest.findings.push(Finding { index, what, text: text.into_owned() });
            break;
        }
    }
    harvest
}

/// Reads a text with the plugins of these tests, whose schemas are checked; and with plugins that take anything, which
/// lets more of it through.
fn read(text: &str) -> Told {
    let read =
        |catalog: &dyn Catalog| match parse_with(text, catalog, &ParseOptions::default().default_name("x")) {
            Ok(parsed) => parsed.warnings,
            Err(Diagnostics(told)) => {
                assert!(!told.is_empty(), "refused without a reason");
                told
            }
        };
    let strict = read(&plugins());
    let lax = read(&Anything::new());
    if lax.is_empty() { lax } else { [strict, lax].concat() }
}

#[test]
fn no_mutant_of_a_workflow_is_too_much_for_the_parser() {
    let (seed, count) = (number("ORCHESTRATOR_FUZZ_SEED", 1), number("ORCHESTRATOR_FUZZ", 10_000));
    let lanes = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let harvests: Vec<Harvest> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|lane| scope.spawn(move || hunt(seed, (lane as u64..count).step_by(lanes), &read)))
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let sum = |of: fn(&Harvest) -> u64| harvests.iter().map(of).sum::<u64>();
    let (texts, valid) = (sum(|harvest| harvest.texts), sum(|harvest| harvest.valid));
    let slowest = harvests.iter().map(|harvest| harvest.slowest).max().unwrap();
    println!("seed {seed}: {count} mutants, {texts} of them text, {valid} valid; slowest {slowest:?}");
    if let Some(finding) = harvests.iter().flat_map(|harvest| &harvest.findings).next() {
        panic!(
            "seed {seed}, mutant {}: {}\n{}\n{:?}",
            finding.index, finding.what, finding.text, finding.text
        );
    }
    // Mutants are near enough to workflows to get past the first check, and far enough to be refused.
    assert!(
        count < 1_000 || (texts > count / 2 && valid > count / 40 && valid < texts / 2),
        "{texts} {valid}"
    );
}

#[test]
fn planted_faults_are_found() {
    let seed = number("ORCHESTRATOR_FUZZ_SEED", 1);
    let doubled =
        |text: &str| text.lines().zip(text.lines().skip(1)).any(|(a, b)| a == b && a.contains("needs"));
    let panics = |text: &str| {
        assert!(!doubled(text), "planted");
        Told::new()
    };
    let beside = |text: &str| {
        let mut told = read(text);
        if let Some(span) = told.first_mut().and_then(|first| first.span.as_mut())
            && text.contains("[[[")
        {
            span.line += 1 + text.lines().count() as u32;
        }
        told
    };
    let slow = |text: &str| {
        let begun = used();
        while doubled(text) && used() - begun < MOST + MOST / 10 {
            std::hint::black_box(text.len());
        }
        Told::new()
    };
    let subjects: [(&str, Subject<'_>); 3] = [("panics", &panics), ("beside", &beside), ("takes", &slow)];
    for (what, subject) in subjects {
        let harvest = hunt(seed, 0..10_000, subject);
        assert!(
            harvest.findings.iter().any(|finding| finding.what.starts_with(what)),
            "{what} was not found"
        );
        let Finding { index, text, .. } = &harvest.findings[0];
        assert_eq!(String::from_utf8_lossy(&mutator().mutant(seed, *index)), **text, "it comes again");
    }
}
