//! Mutants of command lines are understood or refused; nothing panics, and refusals have the code that is documented.
//!
//! `ORCHESTRATOR_FUZZ` and `ORCHESTRATOR_FUZZ_SEED` are those of the fuzzer of workflows. The tests of the binary run
//! fewer of the same mutants to their end.

#[path = "../../../orchestrator-core/tests/spec/fuzz/dice.rs"]
mod dice;
#[path = "../../tests/cli/mutants/words.rs"]
mod words;

use std::ffi::OsString;
use std::panic::catch_unwind;

use clap::{CommandFactory, Parser};

use crate::args::Cli;
use crate::args::page::{examples, verbs};
use crate::exit::Exit;
use crate::start::exit_of;
use dice::Dice;
use words::mutated;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The code of a command line that is not understood; `None` if it is. A panic is an error.
fn end(line: Vec<OsString>) -> Result<Option<Exit>, ()> {
    let read = move || match Cli::try_parse_from(line) {
        Ok(_) => None,
        Err(error) => {
            // What is told is made as well.
            assert!(!error.render().to_string().is_empty());
            Some(exit_of(&error))
        }
    };
    catch_unwind(read).map_err(drop)
}

/// The first mutant that a reader cannot stand.
fn hunt(count: u64, reader: impl Fn(Vec<OsString>) -> Result<Option<Exit>, ()>) -> Result<[u64; 3], String> {
    let mut root = Cli::command();
    root.build();
    let lines: Vec<Vec<String>> = verbs(&root).into_iter().flat_map(examples).collect();
    let seed = number("ORCHESTRATOR_FUZZ_SEED", 1);
    let mut ends = [0; 3];
    for index in 0..count {
        let line = mutated(&mut Dice::new(seed, index), &lines);
        match reader(line.clone()) {
            Ok(None) => ends[0] += 1,
            Ok(Some(Exit::Ok)) => ends[1] += 1,
            Ok(Some(Exit::Usage)) => ends[2] += 1,
            other => return Err(format!("seed {seed}, line {index}: {other:?}: {line:?}")),
        }
    }
    Ok(ends)
}

#[test]
fn no_mutant_of_a_command_line_makes_reading_panic() {
    let count = number("ORCHESTRATOR_FUZZ", 10_000) / 2;
    let [understood, shown, refused] = hunt(count, end).unwrap();
    println!("{count} lines: {understood} are understood, {shown} ask for help, {refused} are refused");
    assert!(count < 1_000 || (understood > count / 10 && refused > count / 10 && shown > 0));
}

#[test]
fn planted_faults_are_found() {
    let panics = |line: Vec<OsString>| {
        end(line.clone()).and_then(|end| if line.contains(&"-qqq".into()) { Err(()) } else { Ok(end) })
    };
    assert!(hunt(5_000, panics).is_err());
    let code = |line: Vec<OsString>| {
        end(line).map(|end| end.map(|exit| if exit == Exit::Ok { Exit::Failed } else { exit }))
    };
    assert!(hunt(5_000, code).is_err());
}
