//! F-36: a machine that sleeps. All who work and all that they execute stand still at the same time, for longer than anybody
//! counts as alive, and go on at the same time.

use std::time::Duration;

use orchestrator_postgres::testkit::Server;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::place::{Place, Worker, last};
use crate::sandbox::until;
use crate::survivors;
use crate::table::{Row, size};

/// A step that is executed while all sleep, and a pause that is over when they wake.
const FLOW: &str = "
name: asleep
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pause: { uses: sleep, with: { for: 2s } }
  pay_after:
    needs: pause
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay_after $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  execute:
    effect: pure
    sandbox: none
    run: |
      echo \"$ORCHESTRATOR_RUN_ID\" >> \"$PLACE/begun\"
      while [ ! -e \"$PLACE/go\" ]; do sleep 0.05; done
";

const TTL: Duration = Duration::from_secs(3);

/// How many runs are under way when the machine falls asleep.
const RUNS: usize = 8;

/// How often the database is written to for one run that is caught up with, at most.
const WRITES: i64 = 20;

/// Stops, or has go on, all that works for the runs: first what would notice that others stand still.
fn tell(workers: &[Worker], runs: &[String], signal: Signal) {
    workers.iter().for_each(|worker| worker.tell(signal));
    for process in runs.iter().flat_map(|run| survivors::of_run(run)) {
        // One that has ended in between needs no word.
        let _ = kill_process(Pid::from_raw(process.parse().unwrap()).unwrap(), signal);
    }
}

fn is_storm(writes: i64) -> bool {
    writes > WRITES
}

/// How many transactions have written so far.
fn writes(place: &Place) -> i64 {
    place.runtime.block_on(place.database.ask("SELECT pg_current_xact_id()::text::int8"))
}

#[test]
fn who_wakes_catches_up_once() {
    let mut row = Row::new("F-36 machines that sleep");
    let span = Duration::from_secs(size(9, 60, 300) as u64);
    let mut most = 0;
    for _ in 0..size(1, 2, 4) {
        // A server of its own: what others write is not counted.
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start());
        let place = Place::on(runtime, &server, &[("asleep.yaml", FLOW)], TTL);
        let workers = ["one", "two"].map(|name| place.worker(name, place.database.url()));
        let runs: Vec<_> = (0..RUNS).map(|_| place.leave("asleep.yaml")).collect();
        until(|| place.lines("begun").len() == RUNS);
        tell(&workers, &runs, Signal::STOP);
        last(span);
        let asleep = writes(&place);
        tell(&workers, &runs, Signal::CONT);
        until(|| place.lines("ledger").len() == RUNS && place.lines("begun").len() >= 2 * RUNS);
        place.sandbox.write("go", "");
        // Whatever else they have to say.
        last(TTL);
        let written = writes(&place) - asleep;
        for run in &runs {
            place.completed(run);
            row.look(&place.sandbox, run, 1);
        }
        most = most.max(written / RUNS as i64);
        workers.into_iter().for_each(Worker::drain);
    }
    assert!(is_storm(WRITES + 1), "not found: a storm");
    row.planted(1);
    assert!(!is_storm(most), "{most} writes for each run");
    row.tell(&format!("asleep for {span:?}; at most {most} writes for each run that is caught up with"));
}
