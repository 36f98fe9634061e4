//! F-27: a network that is slow, and one that gives everything in small pieces.

use std::sync::Mutex;
use std::time::Duration;

use orchestrator_postgres::testkit::Way;
use orchestrator_postgres::testkit::Way::{Late, Open, Pieces};
use serde_json::Value;

use crate::at_once::at_once;
use crate::place::Place;
use crate::row::Losses;
use crate::sandbox::until;
use crate::table::{Row, size};

/// Lasts for several lives of an owner.
const FLOW: &str = "
name: slow
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay_first:
    effect: idempotent
    sandbox: none
    run: |
      echo \"$ORCHESTRATOR_RUN_ID pay_first $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
      while [ ! -e \"$PLACE/go\" ]; do sleep 0.02; done
  wait: { needs: pay_first, effect: pure, sandbox: none, run: sleep 9; seq 200 }
  pay_last:
    needs: wait
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay_last $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(4);

/// How bytes fare up and down. A journey there and back takes three tenths of the ttl.
fn networks() -> [(&'static str, Way, Way); 3] {
    [
        ("answers that take long", Open, Late(TTL * 3 / 10)),
        ("a long way", Late(TTL * 3 / 20), Late(TTL * 3 / 20)),
        ("a dribble", Pieces(16, Duration::from_millis(1)), Pieces(16, Duration::from_millis(1))),
    ]
}

/// What must not be in the log of a run that nobody has disturbed: how often somebody was taken for dead.
pub(crate) fn mistaken(events: &[Value]) -> u64 {
    let taken = events.iter().filter(|event| event["kind"] == "driver.taken").count();
    let lost = events.iter().filter(|event| event["kind"] == "step.lost").count();
    (taken.saturating_sub(1) + lost) as u64
}

#[test]
fn nobody_is_taken_for_dead_because_the_network_is_slow() {
    let rounds = size(1, 2, 10);
    let row = Mutex::new(Row::new("F-27 slow networks"));
    for _ in 0..rounds {
        // Most of it is waiting.
        at_once(networks().len(), networks(), |network| play(network, &row));
    }
    let row = row.into_inner().unwrap();
    row.tell("three tenths of the ttl for a journey there and back; pieces of 16 bytes");
}

fn play((name, up, down): (&str, Way, Way), row: &Mutex<Row>) {
    let place = Place::new(&[("slow.yaml", FLOW)], TTL);
    let run = place.leave("slow.yaml");
    let worker = place.worker("slow", &place.disturbed());
    until(|| place.lines("ledger").len() == 1);
    // Somebody who would take over whatever he can.
    let other = place.worker("other", place.database.url());
    // Its connections are open by now.
    place.renewed();
    place.proxy.set(up, down);
    place.sandbox.write("go", "");
    place.completed(&run);
    place.proxy.set(Open, Open);
    let mut row = row.lock().unwrap();
    let seen = row.look(&place.sandbox, &run, 1);
    let lost = mistaken(&seen.events);
    assert_eq!(lost, 0, "{name}: {:#?}\n{}", seen.events, worker.said());
    row.add(0, Losses { lost, ..Losses::default() });
    for kind in ["driver.taken", "step.lost"] {
        let spoilt = [seen.events.as_slice(), &[serde_json::json!({ "kind": kind })]].concat();
        assert_eq!(mistaken(&spoilt), 1, "not found: {kind}");
        row.planted(1);
    }
    drop(row);
    assert_eq!(worker.said().matches("took up").count(), 1, "{name}: {}", worker.said());
    worker.drain();
    other.drain();
}
