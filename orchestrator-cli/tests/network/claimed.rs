//! F-01, where one executes what another one offers: it dies at every named point of that, the first, second and third time that it is
//! reached, and somebody else goes on.

use std::sync::Mutex;
use std::time::Duration;

use crate::at_once::at_once;
use crate::place::Place;
use crate::sandbox::until;
use crate::table::{Row, size};

/// Every named point between the claim of an offer and its delivery.
const POINTS: [&str; 6] = [
    "offer.claim.before",
    "offer.claim.after",
    "offer.claimed",
    "offer.delivering",
    "offer.deliver.before",
    "offer.deliver.after",
];

/// Two of three steps are for others than the one who drives the run. What has been paid is not paid again.
const FLOW: &str = "
name: claimed
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
defaults: { effect: idempotent, sandbox: none }
steps:
  pay_first:
    queue: far
    run: |
      grep -q \"^$ORCHESTRATOR_RUN_ID pay_first \" \"$PLACE/ledger\" ||
        echo \"$ORCHESTRATOR_RUN_ID pay_first $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  here: { needs: pay_first, run: seq 300 }
  pay_last:
    needs: here
    queue: far
    run: |
      grep -q \"^$ORCHESTRATOR_RUN_ID pay_last \" \"$PLACE/ledger\" ||
        echo \"$ORCHESTRATOR_RUN_ID pay_last $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(2);

/// How many runs there are, so that each point is reached three times.
const RUNS: usize = 3;

/// How many die at a time: most of it is waiting until others may go on.
const AT_ONCE: usize = 3;

/// How a process ends that a point has ended.
const DIED: i32 = 137;

fn play(point: &str, time: usize, row: &Mutex<Row>) {
    let place = Place::new(&[("claimed.yaml", FLOW), ("ledger", "")], TTL);
    let near = place.worker("near", place.database.url());
    let runs: Vec<String> = (0..RUNS).map(|_| place.leave("claimed.yaml")).collect();
    // All of them are driven by somebody who executes none of it.
    until(|| near.said().matches("took up").count() == RUNS);
    place.far_worker("dying", Some(format!("{point}=exit({DIED})@{time}"))).ends(DIED);
    let other = place.far_worker("other", None);
    runs.iter().for_each(|run| place.completed(run));
    let mut row = row.lock().unwrap();
    for run in &runs {
        row.look(&place.sandbox, run, 0);
    }
    row.add(1, crate::row::Losses::default());
    drop(row);
    near.drain();
    other.drain();
}

#[test]
fn whoever_dies_while_it_executes_for_another_is_followed_by_a_third() {
    let times = size(2, 3, 3);
    let trials = POINTS.into_iter().flat_map(|point| (1..=times).map(move |time| (point, time)));
    let row = Mutex::new(Row::new("F-01 deaths of who executes for another"));
    at_once(AT_ONCE, trials, |(point, time)| play(point, time, &row));
    let points = POINTS.len();
    row.into_inner().unwrap().tell(&format!("at {points} points, {times} times each"));
}
