//! F-33: a machine with far too little time for all who want some. Workers are slow there, and not dead.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::Place;
use crate::row::Losses;
use crate::slow::mistaken;
use crate::table::{Row, size};

/// Two effects, and something between them that takes a while.
const FLOW: &str = "
name: starved
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay_first:
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay_first $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  wait: { needs: pay_first, effect: pure, sandbox: none, run: sleep 1 }
  pay_last:
    needs: wait
    effect: at_most_once
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay_last $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(6);

/// How many work for the database.
const WORKERS: usize = 3;

/// How many are left at a time.
const RUNS: usize = 4;

/// Somebody who takes all the time that is given to it.
struct Greedy(Child);

impl Greedy {
    fn new() -> Self {
        let mut shell = Command::new("sh");
        Self(shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// Whether a mistake is one in a thousand renewals, or less.
fn is_rare(mistakes: u64, renewals: u64) -> bool {
    mistakes * 1_000 <= renewals
}

#[test]
fn workers_that_get_little_time_are_not_taken_for_dead() {
    // At the smallest size others are measured at the same time.
    let (crowd, span) = (size(4, 16, 16), Duration::from_secs(size(6, 60, 600) as u64));
    let place = Place::new(&[("starved.yaml", FLOW)], TTL);
    let workers: Vec<_> =
        (0..WORKERS).map(|nth| place.worker(&format!("worker{nth}"), place.database.url())).collect();
    let mut row = Row::new("F-33 starved workers");
    let greedy: Vec<_> = std::iter::repeat_with(Greedy::new).take(crowd).collect();
    let begun = Instant::now();
    let mut mistakes = 0;
    while begun.elapsed() < span {
        let left: Vec<_> = (0..RUNS).map(|_| place.leave("starved.yaml")).collect();
        for run in left {
            place.completed(&run);
            mistakes += mistaken(&row.look(&place.sandbox, &run, 1).events);
        }
    }
    // Each renews three times in its life.
    let renewals = WORKERS as u64 * begun.elapsed().as_secs() * 3 / TTL.as_secs();
    drop(greedy);
    assert!(!is_rare(1 + renewals / 1_000, renewals), "not found: too many mistakes");
    row.planted(1);
    row.add(0, Losses { lost: if is_rare(mistakes, renewals) { 0 } else { mistakes }, ..Losses::default() });
    for worker in workers {
        worker.drain();
    }
    row.tell(&format!(
        "beside {crowd} who take all the time they get; taken for dead {mistakes} times in {renewals} renewals of {WORKERS} workers"
    ));
}
