//! A disk that fails now and then: what was acknowledged nevertheless is there, on the disk too.

use std::fs;

use crate::battery::{self, Losses, size};
use crate::chance::Chance;
use crate::disk::{Deaf, Disk};
use crate::driven::{Driven, Ended, settle};
use crate::effects::{PAY, judge, plant};
use crate::power::take_power;
use crate::sandbox::Sandbox;
use crate::{trace, witness};

/// What fails, with which error, and about how often a thread of a run asks for it.
const FAULTS: [(&str, &str, usize); 4] =
    [("fsync", "EIO", 12), ("fsync", "ENOSPC", 12), ("pwrite64", "ENOSPC", 250), ("pwrite64", "EIO", 250)];

/// What has become of the processes that met a fault.
#[derive(Debug, Default)]
struct Tally {
    went_on: usize,
    gave_up: usize,
    tried_on: usize,
    injected: usize,
    states: usize,
}

/// Traces a run: with how it ends, and what it has asked for.
fn run(place: &Sandbox, said: &str, faults: &[String]) -> (Ended, Vec<u8>) {
    let traced = place.path("traced");
    let mut command = trace::strace(&traced);
    command
        .args(faults)
        .args([
            "bash",
            "-c",
            "cd disk; exec timeout -s KILL 5 $0 run pay.yaml -i ledger=$1 --json=stream > $2",
        ])
        .arg(env!("CARGO_BIN_EXE_orchestrator"))
        .args([place.path("ledger"), place.path("said").join(said)])
        .current_dir(place.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", place.path("tmp"))
        .env("TMPDIR", place.path("tmp"));
    let ended = Driven::begin(&mut command).ends();
    (ended, fs::read(&traced).unwrap())
}

#[test]
fn a_disk_that_fails_is_never_told_as_one_that_has_kept() {
    let trials = size(8, 24, 200);
    let mut chance = Chance::new(battery::seed());
    let mut tally = Tally::default();
    let mut planted = 0;
    for nth in 0..trials {
        let (call, error, most) = FAULTS[nth % FAULTS.len()];
        // Once, or a few times in a row.
        let when = 1 + chance.below(most);
        let last = when + [0, 0, 3][chance.below(3)];
        let fault = format!("{call}:error={error}:when={when}..{last}");
        // The ledger is on another disk, so that it is no part of what fails.
        let pay = PAY.replace("\nsteps:\n", "\ndefaults: { sandbox: { write: [..] } }\nsteps:\n");
        let place = Sandbox::with(&[("disk/pay.yaml", &pay), ("said/.keep", ""), ("tmp/.keep", "")]);
        // The first one makes the store. SQLite does not tell where the name of a new file cannot be synced.
        let (ended, mut text) = run(&place, "1", &[]);
        assert_eq!(ended.code, 0, "{}", ended.err);
        let (ended, second) = run(&place, "2", &["-e".to_owned(), format!("inject={fault}")]);
        text.extend_from_slice(&second);
        let injected = second.windows(10).filter(|bytes| bytes == b"(INJECTED)").count();
        // It waits between its attempts, each time a little longer.
        assert!(injected < 60, "{fault}: {injected} times in a few seconds");
        tally.injected += injected;
        match ended.code {
            0 => tally.went_on += 1,
            // Each new connection meets the same fault in the same place: it went on trying when it was killed.
            -9 => tally.tried_on += 1,
            7 => tally.gave_up += 1,
            _ => panic!("{fault}: {ended:?}"),
        }
        let calls = trace::read(&text);
        let disk = |deaf| Disk::read(&calls, &place.path("disk"), &place.path("said"), deaf);
        let states = size(15, 25, 50);
        let toll = take_power(&disk(Deaf::No), states, battery::seed() + nth as u64, 0);
        assert!(toll.lost == 0 && toll.unsound == 0, "{fault}: {toll:#?}");
        tally.states += toll.states;
        // A fault of our own: a disk that says that it has kept the log, and has not.
        if nth == 0 {
            let toll = take_power(&disk(Deaf::ToLog), 2 * states, battery::seed(), 0);
            assert!(toll.lost > 0, "the witness sees nothing: {toll:#?}");
        }
        place.write(".orchestrator/config.toml", "store = \"sqlite:disk/.orchestrator/state.db\"\n");
        let told = witness::told(&disk(Deaf::No).lines);
        let seen = settle(&place, told);
        let (_, faults) = judge(&seen);
        assert!(faults.is_empty(), "{fault}: {faults:#?}");
        planted += plant(&seen);
    }
    assert!(tally.injected > trials / 2, "{tally:?}");
    let notes = format!("{tally:?}; {planted} planted faults, all found, and a log that is not kept");
    battery::tell("F-13 disk that fails", trials, Losses::default(), &notes);
}
