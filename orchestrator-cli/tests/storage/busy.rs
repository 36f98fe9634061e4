//! Other programs at the same file: they hold it for a while, read from it for long, and let go.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::battery::{self, Losses, size};
use crate::chance::Chance;
use crate::driven::{Driven, settle};
use crate::effects::{PAY, judge, plant};
use crate::sandbox::Sandbox;

/// Opens the database as any other program may, does what it is told line by line, and says that it is done.
const OTHER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for line in sys.stdin:
    try:
        db.execute(line).fetchall()
        print('done', flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
";

/// Another program that has the database open.
struct Other {
    child: Child,
    input: ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
}

impl Other {
    fn at(place: &Sandbox) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", OTHER])
            .arg(place.path(".orchestrator/state.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, answers }
    }

    #[track_caller]
    fn does(&mut self, statement: &str) {
        writeln!(self.input, "{statement}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{statement}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn place() -> Sandbox {
    Sandbox::with(&[("pay.yaml", PAY)])
}

fn begin(place: &Sandbox) -> Driven {
    let ledger = format!("ledger={}", place.path("ledger").display());
    Driven::begin(&mut place.command(["run", "pay.yaml", "-i", &ledger, "--json=stream"]))
}

#[test]
fn whoever_holds_the_file_is_waited_for() {
    let trials = size(4, 10, 100);
    let mut chance = Chance::new(battery::seed());
    let place = place();
    let mut told = begin(&place).ends().told;
    let (mut waited, mut refused) = (0, 0);
    let mut longest = Duration::ZERO;
    for nth in 0..trials {
        let mut other = Other::at(&place);
        let hold = if chance.coin() { "BEGIN IMMEDIATE" } else { "BEGIN EXCLUSIVE" };
        // Held before it begins, or taken from it in the middle of its work.
        let mut driven = None;
        if chance.coin() {
            let begun = driven.insert(begin(&place));
            assert!(begun.hear(|event| event["kind"] == "step.begun"));
        }
        other.does(hold);
        let mut driven = driven.unwrap_or_else(|| begin(&place));
        // Longer than anybody waits in one go, once; else so long as it has something to say.
        let span = if nth == 0 { Duration::from_secs(7) } else { Duration::from_millis(300) };
        driven.falls_silent(span);
        other.does("ROLLBACK");
        let freed = Instant::now();
        let ended = driven.ends();
        longest = longest.max(freed.elapsed());
        match ended.code {
            0 => waited += 1,
            // Nothing had begun: it says that the store is busy, and leaves no run behind.
            7 => {
                refused += 1;
                let problem: Value = serde_json::from_str(ended.err.trim()).unwrap();
                assert_eq!(problem["code"], "store_busy", "{problem}");
            }
            _ => panic!("{ended:?}"),
        }
        told.extend(ended.told);
    }
    assert!(waited > 0, "nobody has waited");
    let seen = settle(&place, told);
    let (_, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
    let planted = plant(&seen);
    let notes = format!(
        "{waited} waited, {refused} were told that it is busy; the longest way to the end after that {longest:.0?}; \
         {planted} planted faults, all found"
    );
    battery::tell("F-15 file held by others", trials, Losses::default(), &notes);
}

#[test]
fn a_long_reader_makes_the_log_grow_only_while_it_reads() {
    let runs = size(12, 25, 150);
    let place = place();
    let mut told = begin(&place).ends().told;
    let log = || fs::metadata(place.path(".orchestrator/state.db-wal")).map_or(0, |found| found.len());
    let mut reader = Other::at(&place);
    reader.does("BEGIN");
    reader.does("SELECT count(*) FROM orchestrator_events");
    for _ in 0..runs {
        let ended = begin(&place).ends();
        assert_eq!(ended.code, 0, "{}", ended.err);
        told.extend(ended.told);
    }
    let pinned = log();
    reader.does("ROLLBACK");
    drop(reader);
    for _ in 0..3 {
        told.extend(begin(&place).ends().told);
    }
    // The file keeps its length; what counts is that it is used from its beginning again.
    let grown = log();
    for _ in 0..runs {
        told.extend(begin(&place).ends().told);
    }
    let after = log();
    assert!(pinned > 2 << 20, "the reader has pinned nothing: {pinned}");
    assert!(
        after <= grown.max(pinned) + (1 << 20),
        "{pinned} bytes while it was read, then {grown}, then {after}"
    );
    let seen = settle(&place, told);
    let (_, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
    plant(&seen);
    let notes = format!("the log: {pinned} bytes while it was read, {after} after as many runs more");
    battery::tell("F-15 long reader", runs, Losses::default(), &notes);
}
