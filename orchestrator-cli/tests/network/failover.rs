//! F-24: the server is lost with all it has not handed on, and its standby takes over.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use orchestrator_postgres::testkit::Server;
use tokio::runtime::Runtime;

use crate::place::Place;
use crate::printed::rising;
use crate::row::Losses;
use crate::sandbox::until;
use crate::table::{Row, size};

/// What has happened in a step of a worker that lives is known: none of them may be done again.
const FLOW: &str = "
name: pay
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay_one:
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay_one $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  pay_two:
    needs: pay_one
    sandbox: none
    run: sleep 0.1; echo \"$ORCHESTRATOR_RUN_ID pay_two $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

/// Longer than a failover takes.
const TTL: Duration = Duration::from_secs(30);

/// How many clients start runs all the time.
const CLIENTS: usize = 2;

/// How many runs are acknowledged before the server is lost, and how many after that.
const RUNS: usize = 5;

/// How many runs were acknowledged that are not there.
fn lost(acknowledged: &[String], listed: &BTreeSet<String>) -> u64 {
    acknowledged.iter().filter(|run| !listed.contains(*run)).count() as u64
}

#[test]
fn whoever_takes_over_has_everything_that_was_acknowledged() {
    let mut row = Row::new("F-24 failover");
    for _ in 0..size(1, 2, 10) {
        failover(&mut row);
    }
    row.tell("primary killed under load, standby promoted; the workers go on, and nobody reaches the old one when it is back");
}

fn failover(row: &mut Row) {
    let runtime = Runtime::new().unwrap();
    let primary = runtime.block_on(Server::start());
    let standby = runtime.block_on(primary.standby());
    let place = Place::on(runtime, &primary, &[("pay.yaml", FLOW)], TTL);
    place.settle_on(&place.disturbed());
    let workers = ["one", "other"].map(|name| place.worker(name, &place.disturbed()));
    let acknowledged = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    acknowledged.lock().unwrap().extend(started(&place));
                }
            });
        }
        let so_many = |least: usize| until(|| acknowledged.lock().unwrap().len() >= least);
        so_many(RUNS);
        primary.kill();
        place.runtime.block_on(standby.promote());
        place.proxy.lead_to(standby.port());
        let then = acknowledged.lock().unwrap().len();
        so_many(then + RUNS);
        is_over.store(true, Ordering::SeqCst);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let listed = place.sandbox.run("runs list --limit 1000 --json").exits(0).json();
    let listed: BTreeSet<String> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lost(&acknowledged, &listed), 0, "{acknowledged:?}: {listed:?}");
    assert_eq!(
        lost(&[acknowledged.as_slice(), &["run_0".to_owned()]].concat(), &listed),
        1,
        "a planted loss"
    );
    row.planted(1);
    row.add(1, Losses { lost: lost(&acknowledged, &listed), ..Losses::default() });
    // Also those whose start nobody has acknowledged.
    for run in &listed {
        place.completed(run);
        let seen = row.look(&place.sandbox, run, 0);
        let mut faults = Vec::new();
        rising(run, seen.events.iter().filter(|event| event["kind"] == "driver.taken"), &mut faults);
        assert_eq!(faults, [""; 0]);
    }
    primary.resume();
    place.runtime.block_on(primary.answers());
    let late = place.leave("pay.yaml");
    place.completed(&late);
    let hex = late.strip_prefix("run_").unwrap();
    let asked = format!("SELECT count(*) FROM orchestrator_runs WHERE replace(id::text, '-', '') = '{hex}'");
    assert_eq!(place.runtime.block_on(place.database.ask(&asked)), 0, "the old server has heard of {late}");
    workers.into_iter().for_each(crate::place::Worker::drain);
}

/// Starts a run; its id, if that was acknowledged.
fn started(place: &Place) -> Option<String> {
    let path = format!("place={}", place.sandbox.path("").display());
    let said = place.sandbox.run_args(&["run", "pay.yaml", "-i", &path, "--detach", "--json"]);
    (said.code == 0).then(|| said.json()["run_id"].as_str().unwrap().to_owned())
}
