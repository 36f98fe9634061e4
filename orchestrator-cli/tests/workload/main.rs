//! Workflows of chance on the real binary, driven by several processes at once on one store and killed at any moment: a
//! small model predicts every end, and one list of invariants is held against all that can be seen from outside.
//!
//! `ORCHESTRATOR_BATTERY` (`smoke`, `change`, `release`) says how much is played, `ORCHESTRATOR_WORKLOAD_FIRST` from which
//! seed on. `ORCHESTRATOR_WORKLOAD_SEED=N` plays the episode of one seed again and keeps all that was seen of it.
//! `ORCHESTRATOR_WORKLOAD_STATE=NAME` names where the progress is kept, so that a long battery that is broken off goes on
//! with the next seed.

#[path = "../battery/at_once.rs"]
mod at_once;
#[path = "../battery/chance.rs"]
mod chance;
mod episode;
mod facts;
mod fleet;
mod flow;
#[path = "../battery/folder.rs"]
mod folder;
mod invariant;
mod journey;
mod ledger;
mod model;
#[path = "../battery/printed.rs"]
mod printed;
mod replay;
#[path = "../battery/request.rs"]
mod request;
#[path = "../battery/row.rs"]
mod row;
#[path = "../battery/size.rs"]
mod size;
#[path = "../battery/survivors.rs"]
mod survivors;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use episode::{Kills, RUNS};
use invariant::{ALL, OF_FLEETS};
use size::{Size, asked, number};
use tally::Tally;

#[test]
fn whatever_is_killed_every_run_ends_as_the_model_says() {
    battery("F-03 workload W", Kills::Random, [32, 360, 10_000], 3_000);
}

#[test]
fn runs_whose_recovery_is_killed_ten_times_converge_once_left_alone() {
    battery("F-04 kills during recovery", Kills::Recovery, [8, 40, 304], 3_000);
}

/// F-22, F-25, F-27 and F-33: the server is restarted and cuts connections, workers are killed, stopped for longer than they
/// count as alive, and drained.
#[test]
fn whatever_happens_to_a_fleet_every_run_ends_as_the_model_says() {
    battery("F-22 a fleet on PostgreSQL", Kills::Fleet, [40, 2_000, 10_000], 1_000);
}

/// How long a fleet is tormented at least: some forty restarts of its server, and as many deaths of workers.
const FLEET: Duration = Duration::from_secs(180);

/// Plays episodes until there were so many runs and, in a release, so many kills; those of a fleet, also for so long.
fn battery(part: &str, kills: Kills, runs: [u64; 3], release: u64) {
    let size = asked(Size::Smoke);
    let runs = size.of(runs);
    let least = if size == Size::Release { release } else { 0 };
    let again: u64 = number("ORCHESTRATOR_WORKLOAD_SEED", 0);
    let first = if again > 0 { again } else { number("ORCHESTRATOR_WORKLOAD_FIRST", 1) };
    let asked = format!("{size:?} from {first}, again {again}");
    let mut tally = Tally::resumed(tally::file(part), &asked, first);
    if tally.runs > 0 {
        println!("{part}: goes on with seed {} after {} runs, {} kills", tally.next, tally.runs, tally.kills);
    }
    let span = if kills == Kills::Fleet { FLEET } else { Duration::ZERO };
    let began = Instant::now();
    while tally.runs < runs || tally.kills < least || began.elapsed() < span {
        let seed = tally.next;
        let played = catch_unwind(AssertUnwindSafe(|| episode::play(seed, kills, again > 0, &mut tally)));
        if played.is_err() {
            // What has been told on stderr is all that is known; the others are played nevertheless.
            tally.broken(seed);
        }
        tally.next += 1;
        tally.keep();
        if again > 0 {
            break;
        }
    }
    let is_looked_at = |name: &str| kills == Kills::Fleet || name != OF_FLEETS;
    let missing: Vec<_> = ALL
        .iter()
        .map(|it| it.name)
        .filter(|name| is_looked_at(name) && !tally.planted.contains(*name))
        .collect();
    let is_lost = tally.seen.keys().any(|what| what.starts_with("step.lost"));
    let (kills, is_whole) = (tally.kills, tally.runs >= 4 * RUNS);
    let is_claimed = tally.seen.contains_key("step.claimed");
    let violations = tally.conclude(part);
    assert!(violations.is_empty(), "{} violations:\n  {}\n", violations.len(), violations.join("\n  "));
    assert!(kills > 0 && is_lost, "nothing was killed while it was executed");
    assert!(is_claimed || !part.contains("fleet"), "nobody has executed anything for another");
    assert!(missing.is_empty() || !is_whole, "nothing was planted for {missing:?}");
}
