//! What else could touch the files: this program past SQLite, a copy while all is at work, a child.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use crate::battery::{self, Losses, size};
use crate::driven::{Driven, settle};
use crate::effects::{PAY, judge, plant};
use crate::sandbox::{Said, Sandbox};
use crate::trace::{self, Arg, Call};

/// Who opens the database file without SQLite's own way of doing it: closing it would drop the locks of the process.
/// SQLite opens it to read and write, and never follows a link; the one who makes it wants a new one.
fn foreign_opens(calls: &[Call], database: &Path) -> Vec<String> {
    let opens = calls.iter().filter(|call| call.name == "openat" && call.answer >= 0);
    let of_it = opens.filter(|call| {
        call.args
            .iter()
            .any(|arg| matches!(arg, Arg::Bytes(path) if path == database.as_os_str().as_encoded_bytes()))
    });
    let flags = of_it.map(|call| format!("{:?}", call.args.get(2)));
    flags.filter(|flags| !flags.contains("O_NOFOLLOW") && !flags.contains("O_EXCL")).collect()
}

#[test]
fn the_database_is_opened_by_nobody_but_sqlite() {
    let place = Sandbox::with(&[("pay.yaml", PAY)]);
    let ledger = format!("ledger={}", place.path("ledger").display());
    let database = place.path(".orchestrator/state.db");
    let run = ["run", "pay.yaml", "-q", "-i", &ledger];
    let look = [
        &run[..],
        &["runs", "list"],
        &["runs", "show", "@last"],
        &["doctor"],
        &["store", "show"],
        &["store", "check"],
        &["migrate"],
        &["prune"],
        &["backup", "copy.db"],
        &["version"],
    ];
    let traced = place.path("traced");
    let mut calls = 0;
    for words in look {
        let mut command = trace::strace(&traced);
        command.arg(env!("CARGO_BIN_EXE_orchestrator")).args(words).current_dir(place.path(""));
        Said::of(&command.output().unwrap()).exits(0);
        let read = trace::read(&std::fs::read(&traced).unwrap());
        assert_eq!(foreign_opens(&read, &database), [""; 0], "{words:?}");
        calls += read.len();
    }
    // A fault of our own: somebody who looks at the file with his own hands.
    let mut command = trace::strace(&traced);
    assert!(command.arg("cat").arg(&database).stdout(Stdio::null()).status().unwrap().success());
    let read = trace::read(&std::fs::read(&traced).unwrap());
    assert_eq!(foreign_opens(&read, &database).len(), 1, "`cat` was not noticed");
    let notes = format!("{calls} calls; `cat`, planted, was found");
    battery::tell("F-18 opens past SQLite", look.len(), Losses::default(), &notes);
}

#[test]
fn copies_that_are_made_under_load_are_whole() {
    let copies = size(5, 10, 50);
    let place = Sandbox::with(&[("pay.yaml", PAY)]);
    let ledger = format!("ledger={}", place.path("ledger").display());
    let begin = || Driven::begin(&mut place.command(["run", "pay.yaml", "-i", &ledger, "--json=stream"]));
    let mut told = begin().ends().told;
    for nth in 0..copies {
        let mut driven: Vec<Driven> = (0..3).map(|_| begin()).collect();
        assert!(driven[nth % 3].hear(|event| event["kind"] == "step.begun"));
        let before = told.len();
        let copy = format!("copy-{nth}.db");
        let said = place.run(&format!("backup {copy} --json")).exits(0).json();
        assert_eq!(said["verified"], true);
        for driven in driven {
            let ended = driven.ends();
            assert_eq!(ended.code, 0, "{}", ended.err);
            told.extend(ended.told);
        }
        // All that was told before it began is in it, and all of it fits together.
        let store = format!("sqlite:{copy}");
        place.run(&format!("store check --store {store}")).exits(0);
        let listed = place.run(&format!("runs list --limit 1000 --json --store {store}")).exits(0).json();
        let heads: BTreeMap<&str, u64> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| (run["run_id"].as_str().unwrap(), run["seq"].as_u64().unwrap_or(u64::MAX)))
            .collect();
        for told in &told[..before] {
            let head = heads.get(told["run_id"].as_str().unwrap());
            assert!(head.is_some_and(|head| told["seq"].as_u64() <= Some(*head)), "{copy} has lost {told}");
        }
        for file in [copy.clone(), format!("{copy}-artifacts")] {
            let path = place.path(file);
            drop(std::fs::remove_file(&path));
            drop(std::fs::remove_dir_all(&path));
        }
    }
    let seen = settle(&place, told);
    let (_, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
    let planted = plant(&seen);
    let notes = format!("each checked by itself; {planted} planted faults, all found");
    battery::tell("F-18 copies under load", copies, Losses::default(), &notes);
}

/// Says which descriptors a step has that it was not given, and every variable that it sees.
const LOOK: &str = "
name: look
inputs:
  open: { type: string, default: '' }
steps:
  look:
    effect: pure
    env: { OPEN: \"${{ inputs.open }}\" }
    run: |
      if [ -n \"$OPEN\" ]; then exec 7< \"$OPEN\"; fi
      find /proc/$$/fd -mindepth 1 -printf 'fd %f %l\\n'
      tr '\\0' '\\n' < /proc/$$/environ
outputs:
  said: ${{ steps.look.stdout }}
";

#[test]
fn a_script_inherits_nothing_that_it_was_not_given() {
    let free = LOOK.replace("    effect: pure\n", "    effect: pure\n    sandbox: none\n");
    let place = Sandbox::with(&[("look.yaml", LOOK), ("free.yaml", &free)]);
    let look = |flow: &str, open: &str| {
        let mut command = place.command(["run", flow, "--json", "-i", &format!("open={open}")]);
        command.env("CANARY_SECRET", "do not tell");
        let said = Said::of(&command.output().unwrap()).exits(0).json();
        said["outputs"]["said"].as_str().unwrap().to_owned()
    };
    // What the script itself is read from is its own.
    let beyond = |said: &str| {
        let fds = said.lines().filter_map(|line| line.strip_prefix("fd "));
        let beyond =
            fds.filter(|fd| fd.split_once(' ').is_some_and(|(number, _)| number.parse::<u32>().unwrap() > 2));
        beyond.map(str::to_owned).collect::<Vec<_>>()
    };
    for flow in ["look.yaml", "free.yaml"] {
        let said = look(flow, "");
        let own = beyond(&said);
        assert!(own.iter().all(|fd| fd.starts_with("255 ") && fd.contains("script")), "{flow}: {own:?}");
        assert!(!said.contains("CANARY"), "{flow}: {said}");
        for name in ["state.db", "socket:", "eventfd", "eventpoll"] {
            assert!(!said.contains(name), "{flow}, {name}: {said}");
        }
    }
    // A fault of our own: a script that opens the database for itself, which it can only outside of the sandbox.
    let store = place.path(".orchestrator/state.db");
    assert!(beyond(&look("free.yaml", store.to_str().unwrap())).iter().any(|fd| fd.contains("state.db")));
    battery::tell("F-21 inherited by scripts", 1, Losses::default(), "an open database, planted, was found");
}
