//! A disk that is full: nothing is half there, nothing that was told is lost, and it goes on once there is space.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::battery::{self, Losses, size};
use crate::chance::Chance;
use crate::driven::{Driven, runs, settle};
use crate::effects::{PAY, judge, plant};
use crate::sandbox::Sandbox;

/// How large the disk is, in bytes.
const DISK: usize = 8 << 20;

/// How long one says nothing who waits for space. Where this is wrong, the space only comes too early.
const SILENCE: Duration = Duration::from_millis(400);

/// A disk of its own, in memory. It is gone with this.
struct Small {
    path: PathBuf,
}

impl Small {
    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK}"), "tmpfs"]).arg(&path);
        let mounted = mount_output(&mut mount);
        assert!(mounted.is_ok(), "a full disk needs somebody who may mount one: run as root: {mounted:?}");
        Self { path }
    }

    /// Leaves so many bytes.
    fn fill(&self, left: usize) {
        let mut ballast = File::create(self.path.join("ballast")).unwrap();
        let page = [0; 4096];
        // Until there is no more.
        while ballast.write_all(&page).is_ok() {}
        let len = ballast.metadata().unwrap().len();
        ballast.set_len(len.saturating_sub(left as u64)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

fn mount_output(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever still looks at it does not keep it.
        drop(Command::new("umount").arg("--lazy").arg(&self.path).status());
    }
}

/// What has happened to the processes that were there when there was no space.
#[derive(Debug, Default)]
struct Tally {
    went_on: usize,
    refused: usize,
    unaffected: usize,
}

#[test]
fn a_full_disk_stops_what_is_new_and_loses_nothing() {
    let trials = size(8, 20, 200);
    let mut chance = Chance::new(battery::seed());
    let mut tally = Tally::default();
    let mut planted = 0;
    for nth in 0..trials {
        let place = Sandbox::with(&[
            ("pay.yaml", PAY),
            (".orchestrator/config.toml", "store = \"sqlite:disk/state.db\"\n"),
        ]);
        let disk = Small::at(place.path("disk"));
        let begin = || {
            let ledger = format!("ledger={}", place.path("ledger").display());
            Driven::begin(&mut place.command(["run", "pay.yaml", "-i", &ledger, "--json=stream"]))
        };
        // Every third time there is no store yet.
        let mut told = Vec::new();
        if nth % 3 > 0 {
            let ended = begin().ends();
            assert_eq!(ended.code, 0, "{}", ended.err);
            told.extend(ended.told);
        }
        disk.fill(if nth % 4 == 0 { 0 } else { chance.below(600 << 10) });
        let mut driven = begin();
        let waits = !driven.falls_silent(SILENCE);
        // Whoever looks is told, or told why not.
        let listed = place.run("runs list --json");
        assert!([0, 4, 7].contains(&listed.code), "{listed:?}");
        disk.free();
        let ended = driven.ends();
        match (ended.code, waits) {
            (0, true) => tally.went_on += 1,
            (0, false) => tally.unaffected += 1,
            (7, _) => {
                tally.refused += 1;
                told_why(&ended.err);
            }
            _ => panic!("{ended:?}"),
        }
        let was_refused = ended.code == 7;
        told.extend(ended.told);
        let again = begin().ends();
        assert_eq!(again.code, 0, "with space it goes on: {}", again.err);
        told.extend(again.told);
        assert!(!was_refused || runs(&place).len() <= 3);
        let seen = settle(&place, told);
        let (_, faults) = judge(&seen);
        assert!(faults.is_empty(), "trial {nth}: {faults:#?}");
        planted += plant(&seen);
    }
    assert!(tally.refused > 0 && tally.went_on > 0, "{tally:?}");
    battery::tell(
        "F-12 full disk",
        trials,
        Losses::default(),
        &format!("{tally:?}; {planted} planted faults, all found"),
    );
}

/// Whoever cannot say for so long that he lives is no longer believed to, and leaves what he cannot write.
#[test]
fn a_disk_that_stays_full_ends_the_process_with_the_way_to_go_on() {
    let place = Sandbox::with(&[
        ("pay.yaml", PAY),
        (".orchestrator/config.toml", "store = \"sqlite:disk/state.db\"\n"),
    ]);
    let disk = Small::at(place.path("disk"));
    let ledger = format!("ledger={}", place.path("ledger").display());
    let mut driven = Driven::begin(&mut place.command(["run", "pay.yaml", "-i", &ledger, "--json=stream"]));
    assert!(driven.hear(|event| event["kind"] == "step.begun"));
    disk.fill(0);
    let ended = driven.ends();
    let problem: Value = serde_json::from_str(ended.err.trim()).unwrap();
    let hint = problem["hint"].as_str().unwrap();
    assert!(ended.code == 9 && hint.contains("runs resume"), "{problem}");
    disk.free();
    let seen = settle(&place, ended.told);
    let (_, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
}

fn told_why(err: &str) {
    let problem: Value = serde_json::from_str(err.trim()).unwrap_or_else(|error| panic!("{error}: {err}"));
    let title = problem["title"].as_str().unwrap();
    let is_clear = ["disk is full", "No space left"].iter().any(|text| title.contains(text));
    assert!(is_clear && problem["exit_code"] == 7, "{problem}");
}
