//! Too little memory: whoever cannot go on says so, and nothing that was told is lost.

use std::process::Command;
use std::time::Duration;

use crate::driven::{Driven, settle};
use crate::effects::{PAY, judge, plant};
use crate::peak;
use crate::sandbox::Sandbox;
use crate::table::{Row, size};

/// The least and the most address space, in MiB.
const FROM: usize = 64;
const TO: usize = 512;

/// Who says nothing for so long waits for memory. Where this is wrong, it is only ended too early.
const SILENCE: Duration = Duration::from_secs(10);

#[test]
fn too_little_memory_ends_the_process_and_loses_nothing() {
    let step = size(64, 32, 8);
    let mut row = Row::new("F-08 too little memory");
    // A script that there is too little memory to confine is a step that fails; here it is about the store.
    let pay = PAY.replace("\nsteps:\n", "\ndefaults: { sandbox: none }\nsteps:\n");
    let place = Sandbox::with(&[("pay.yaml", &pay)]);
    let ledger = format!("ledger={}", place.path("ledger").display());
    let words = ["run", "pay.yaml", "-i", &ledger, "--json=stream"];
    let mut told = Driven::begin(&mut place.command(words)).ends().told;
    let mut codes = Vec::new();
    let mut lingering = 0;
    for limit in (FROM..=TO).step_by(step) {
        let mut driven = Driven::begin(&mut limited(&place.command(words), limit));
        if !driven.falls_silent(SILENCE) {
            // SQLite has no memory either, and is asked again and again whether it has by now.
            driven.child.kill().unwrap();
            lingering += 1;
        }
        let ended = driven.ends();
        // It has done what it was asked, has said why not, or could not even say that.
        assert!(ended.code == 0 || !ended.err.is_empty() || ended.code < 0, "{limit} MiB: {ended:?}");
        codes.push(format!("{limit}: {}", ended.code));
        told.extend(ended.told);
    }
    assert!(codes.iter().any(|code| !code.ends_with(": 0")), "there was always enough: {codes:?}");
    let seen = settle(&place, told);
    let (losses, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
    row.add(codes.len(), losses);
    row.planted(plant(&seen));
    row.tell(&format!("{lingering} had to be ended; exit codes by MiB: {}", codes.join(", ")));
}

/// The same command with so much address space.
fn limited(command: &Command, mebibytes: usize) -> Command {
    let script = format!("ulimit -v {} && exec \"$0\" \"$@\"", mebibytes << 10);
    peak::within(command, &["/bin/sh", "-c", &script])
}
