//! F-37: what rings is lost, comes several times, or says nothing that anybody has said. Steps are offered and claimed meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use orchestrator_postgres::testkit::Database;
use tokio::runtime::Runtime;

use crate::place::{Place, Worker, last};
use crate::table::{Row, size};

/// Two of three steps are for others than the one who drives the run.
const FLOW: &str = "
name: doors
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
defaults: { effect: idempotent, sandbox: none }
steps:
  pay_first:
    queue: far
    run: echo \"$ORCHESTRATOR_RUN_ID pay_first $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  pay_here:
    needs: pay_first
    run: echo \"$ORCHESTRATOR_RUN_ID pay_here $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  pay_last:
    needs: pay_here
    queue: far
    run: echo \"$ORCHESTRATOR_RUN_ID pay_last $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(5);

/// How many runs there are at a time, and how many workers serve the other queue.
const RUNS: usize = 12;
const FAR: usize = 3;

/// Everybody is rung for, up to five times at once; and those who listen are cut off, so that what is told next is lost.
const NOISE: [&str; 3] = [
    "SELECT pg_notify('orchestrator', 'nobody ' || i || clock_timestamp())::text FROM generate_series(1, 5) i",
    "SELECT pg_notify('orchestrator', '')::text",
    "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()",
];

/// Makes noise until it is over, and counts the rings and the connections that were cut off.
fn noise(runtime: &Runtime, database: &Database, over: &AtomicBool, told: &AtomicU64, cut: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        for (query, count) in NOISE.into_iter().zip([told, told, cut]) {
            for _ in 0..5 {
                count.fetch_add(runtime.block_on(database.texts(query)).len() as u64, Ordering::Relaxed);
                last(Duration::from_millis(3));
            }
        }
    }
}

/// Ends the noise when it goes, also where something has failed.
struct Quiet<'a>(&'a AtomicBool);

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_happens_twice_or_never_because_of_what_rings() {
    let mut row = Row::new("F-37 doorbells");
    let (told, cut) = (AtomicU64::new(0), AtomicU64::new(0));
    for _ in 0..size(1, 4, 20) {
        let place = Place::new(&[("doors.yaml", FLOW)], TTL);
        let near = place.worker("near", place.database.url());
        let far: Vec<_> = (0..FAR).map(|at| place.far_worker(&format!("far{at}"), None)).collect();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| noise(&place.runtime, &place.database, &over, &told, &cut));
            let quiet = Quiet(&over);
            let runs: Vec<String> = (0..RUNS).map(|_| place.leave("doors.yaml")).collect();
            runs.iter().for_each(|run| place.completed(run));
            drop(quiet);
            for run in &runs {
                let seen = row.look(&place.sandbox, run, 1);
                for step in ["pay_first", "pay_here", "pay_last"] {
                    assert_eq!(seen.step(step)["attempts"], 1, "{step}: {:#?}", seen.events);
                }
            }
        });
        near.drain();
        far.into_iter().for_each(Worker::drain);
    }
    let (told, cut) = (told.into_inner(), cut.into_inner());
    assert!(told > 0 && cut > 0, "{told} rings, {cut} cut off");
    row.tell(&format!("{told} rings too many, and {cut} times those who listened were cut off"));
}
