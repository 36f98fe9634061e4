//! F-31: clients that tail what two processes write, while commits to one of the runs have to wait.

use std::time::Duration;

use serde_json::Value;

use crate::place::{Place, last};
use crate::row::Losses;
use crate::sandbox::{Said, until};
use crate::table::{Row, size};

/// Many events.
const FLOW: &str = "
name: feed
inputs: { place: { type: string } }
steps:
  many: { for_each: \"${{ range(40) | list }}\", strategy: { max-parallel: 2 }, effect: pure, sandbox: none, run: echo x }
  pay:
    needs: many
    effect: idempotent
    sandbox: none
    env: { PLACE: \"${{ inputs.place }}\" }
    run: echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(10);

/// How long a commit has to wait.
const SPAN: Duration = Duration::from_millis(400);

/// How many events were skipped, told twice or out of order, of so many that there are.
fn skipped(told: &[Value], count: usize) -> u64 {
    let wrong = told.iter().zip(1_u64..).filter(|(event, seq)| event["seq"].as_u64() != Some(*seq)).count();
    (wrong + count.abs_diff(told.len())) as u64
}

#[test]
fn who_tails_a_run_misses_nothing_whoever_else_writes() {
    let wanted = size(300, 1_000, 10_000);
    let mut row = Row::new("F-31 tailed events");
    let mut told = 0;
    while told < wanted {
        told += tail(&mut row);
    }
    row.tell("each event is told once and in its order, to somebody who tails one of two runs");
}

/// Tails two runs, one of which somebody holds up. Gives how many events there were.
fn tail(row: &mut Row) -> usize {
    let place = Place::new(&[("feed.yaml", FLOW)], TTL);
    let left = place.leave("feed.yaml");
    let path = format!("place={}", place.sandbox.path("").display());
    let follow = |run: &str| place.sandbox.spawn(&format!("runs events {run} --follow --json"));
    let of_left = follow(&left);
    let worker = place.worker("worker", place.database.url());
    let driven = place.sandbox.command(["run", "feed.yaml", "-q", "-i", &path]).spawn().unwrap();
    let other = || {
        let listed = place.sandbox.run("runs list --json").exits(0).json();
        let runs =
            listed["items"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned());
        runs.into_iter().find(|run| *run != left)
    };
    until(|| other().is_some());
    let other = other().unwrap();
    let of_other = follow(&other);
    let hex = left.strip_prefix("run_").unwrap();
    let lock = format!("SELECT seq FROM orchestrator_runs WHERE id = '{hex}' FOR UPDATE");
    for _ in 0..3 {
        let holds = place.runtime.block_on(place.database.begin(&lock));
        last(SPAN);
        drop(holds);
        last(SPAN / 4);
    }
    Said::by(driven).exits(0);
    place.ended(&left);
    let mut count = 0;
    for (run, follower) in [(&left, of_left), (&other, of_other)] {
        let seen = row.look(&place.sandbox, run, 0);
        assert_eq!(seen.shown["status"], "completed");
        let told = Said::by(follower).exits(0).json_lines();
        let wrong = skipped(&told, seen.events.len());
        assert_eq!(wrong, 0, "{run}: {told:#?}");
        row.add(told.len(), Losses { lost: wrong, ..Losses::default() });
        row.planted(plant(&told));
        count += told.len();
    }
    worker.drain();
    count
}

/// Feeds that must be found to be wrong. Gives how many there were.
fn plant(told: &[Value]) -> usize {
    let without = [&told[..5], &told[6..]].concat();
    let cut_off = told[..told.len() - 1].to_vec();
    let twice = [told, &told[told.len() - 1..]].concat();
    let mut turned = told.to_vec();
    turned.swap(3, 4);
    let plants = [without, cut_off, twice, turned];
    assert!(plants.iter().all(|spoilt| skipped(spoilt, told.len()) > 0));
    plants.len()
}
