//! F-34 and F-35: workers whose clocks are wrong, run fast or slow, or are set while they work. What a process asks of the wall
//! clock, of the monotonic clock and of its timers is answered by `libfaketime`; scripts and the server see the true time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::at_once::at_once;
use crate::place::{Oddity, Place, last};
use crate::row::Losses;
use crate::sandbox::until;
use crate::slow::mistaken;
use crate::table::{Row, size};

/// Longer than its owner counts as alive, a pause, a repetition after a pause, and a step that must end within its time.
const FLOW: &str = "
name: clocks
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay_first:
    effect: idempotent
    sandbox: none
    timeout: 30s
    run: |
      echo \"$ORCHESTRATOR_RUN_ID pay_first $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
      while [ ! -e \"$PLACE/go\" ]; do sleep 0.02; done
      sleep 3
      echo \"first $(date +%s%3N)\" >> \"$PLACE/beats\"
  pause: { needs: pay_first, uses: sleep, with: { for: 1500ms } }
  again:
    needs: pause
    effect: pure
    sandbox: none
    retry: { max_attempts: 2, backoff: fixed, initial: 1s }
    run: |
      echo \"again$ORCHESTRATOR_ATTEMPT $(date +%s%3N)\" >> \"$PLACE/beats\"
      [ \"$ORCHESTRATOR_ATTEMPT\" = 2 ]
  pay_last:
    needs: again
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay_last $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(2);

/// What is wrong with a clock, in the words of `libfaketime`.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// As it says, from the beginning.
    Wrong(&'static str),
    /// It is set to these in turn, every second.
    Set(&'static [&'static str]),
}

const CLOCKS: [Clock; 9] = [
    Clock::Wrong("+1h"),
    Clock::Wrong("-1d"),
    Clock::Wrong("+10y"),
    Clock::Wrong("-10y"),
    Clock::Wrong("@1965-01-01 00:00:00"),
    // Five minutes off, and a tenth too fast or too slow.
    Clock::Wrong("+300 x1.1"),
    Clock::Wrong("-300 x0.9"),
    Clock::Set(&["+3600", "-3600", "+86400", "-86400", "+0"]),
    Clock::Set(&["+315360000", "-315360000"]),
];

/// Where Debian and its kin put the library.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime is missing: install the package faketime")
}

/// The variables that make a process ask the library, which is told this.
fn told(words: &[(&str, &str)]) -> Vec<(String, String)> {
    let library = library();
    let preload = ("LD_PRELOAD", library.to_str().unwrap());
    let all = std::iter::once(&preload).chain(words);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The variables that make a process see a clock that is wrong from the beginning.
pub(crate) fn wrong(offset: &str) -> Vec<(String, String)> {
    told(&[("FAKETIME", offset)])
}

/// The same of a clock that is set to what a file says. Setting a clock moves the wall clock alone.
fn set_by(file: &Path) -> Vec<(String, String)> {
    told(&[
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ])
}

/// How many waits of a run ended too early, by the true time: a pause, and the least time until a repetition. A clock that runs a tenth
/// too fast measures a tenth too little.
fn early(beats: &[String]) -> u64 {
    let at = |name: &str| {
        let line = beats.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} has not happened: {beats:?}")).parse::<u64>().unwrap()
    };
    let waits = [("first", "again1", 1_500), ("again1", "again2", 500)];
    waits.into_iter().filter(|(from, to, wait)| at(to) < at(from) + wait * 85 / 100).count() as u64
}

/// Moments of the log that lie before an earlier one of it. Whoever wrote them has looked at the same clock.
fn backwards(events: &[Value]) -> u64 {
    let at = |event: &Value| event["at"].as_str().unwrap().to_owned();
    events.windows(2).filter(|pair| at(&pair[1]) < at(&pair[0])).count() as u64
}

fn play(clock: Clock, row: &Mutex<Row>) {
    let place = Place::new(&[("clocks.yaml", FLOW)], TTL);
    let run = place.leave("clocks.yaml");
    let file = place.sandbox.path("clock");
    let variables = match clock {
        Clock::Wrong(offset) => wrong(offset),
        Clock::Set(offsets) => {
            fs::write(&file, offsets[0]).unwrap();
            set_by(&file)
        }
    };
    let oddity = Oddity { variables, ..Oddity::default() };
    let odd = place.worker_with("odd", place.database.url(), oddity);
    until(|| place.lines("ledger").len() == 1);
    // Somebody with the true time, who would take over whatever he can.
    let other = place.worker("other", place.database.url());
    place.sandbox.write("go", "");
    if let Clock::Set(offsets) = clock {
        for offset in offsets.iter().cycle().take(8) {
            // All of it at once: the library reads at any moment.
            let next = place.sandbox.path("clock.next");
            fs::write(&next, offset).unwrap();
            fs::rename(&next, &file).unwrap();
            last(Duration::from_secs(1));
        }
    }
    place.completed(&run);
    let mut row = row.lock().unwrap();
    let seen = row.look(&place.sandbox, &run, 1);
    let beats = place.lines("beats");
    let faults = [mistaken(&seen.events), early(&beats), backwards(&seen.events)];
    assert_eq!(faults, [0; 3], "{clock:?}: {beats:?}\n{:#?}\n{}", seen.events, odd.said());
    row.add(0, Losses { regressions: faults.iter().sum(), ..Losses::default() });
    row.planted(plant(&beats, &seen.events));
    drop(row);
    assert_eq!(odd.said().matches("took up").count(), 1, "{clock:?}: {}", odd.said());
    odd.drain();
    other.drain();
}

/// Finds faults of our own; gives how many there were.
fn plant(beats: &[String], events: &[Value]) -> usize {
    let hasty: Vec<String> =
        beats.iter().map(|beat| format!("{} 1", beat.split_once(' ').unwrap().0)).collect();
    assert_eq!(early(&hasty), 2, "not found: a pause that was none");
    let mut turned = events.to_vec();
    turned.reverse();
    assert!(backwards(&turned) > 0, "not found: a log that goes backwards");
    2
}

#[test]
fn a_wrong_clock_moves_no_lease_and_no_timer() {
    let row = Mutex::new(Row::new("F-34 and F-35 clocks"));
    for _ in 0..size(1, 3, 20) {
        // Most of it is waiting.
        at_once(CLOCKS.len(), CLOCKS, |clock| play(clock, &row));
    }
    let row = row.into_inner().unwrap();
    row.tell("an hour, a day and ten years off, before 1970, five minutes off and a tenth too fast or slow, set every second");
}

#[test]
fn where_no_time_can_be_written_down_that_is_said() {
    let place = Place::new(&[("clocks.yaml", FLOW)], TTL);
    // It sees such a clock at all.
    let year = Command::new("date").arg("+%Y").envs(wrong("@1965-01-01 00:00:00")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&year.stdout).trim(), "1965");
    let mut start =
        place.sandbox.command(["run", "clocks.yaml", "-i", "place=.", "--store", "sqlite:new.db"]);
    let said = start.envs(wrong("@1965-01-01 00:00:00")).output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(7), "{told}");
    assert!(told.contains("shows a time before 1970: set it"), "{told}");
}
