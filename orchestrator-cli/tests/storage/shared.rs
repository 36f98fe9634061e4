//! Several processes at one file at once: they make it together, decide together, and want to drive the same runs.

use std::process::Child;

use serde_json::Value;

use crate::battery::{self, Losses, size};
use crate::driven::{Driven, settle};
use crate::effects::{PAY, judge, plant};
use crate::sandbox::{Said, Sandbox};

/// How many at once.
const AT_ONCE: usize = 5;

fn judged(place: &Sandbox, told: Vec<Value>) -> usize {
    let seen = settle(place, told);
    let (_, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
    plant(&seen)
}

/// The codes with which they end, in order.
fn codes(children: Vec<Child>) -> Vec<i32> {
    let mut codes: Vec<i32> = children.into_iter().map(|child| Said::by(child).code).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn several_may_make_a_store_and_run_in_it_at_once() {
    let rounds = size(3, 8, 60);
    let mut planted = 0;
    for _ in 0..rounds {
        let place = Sandbox::with(&[("pay.yaml", PAY)]);
        let ledger = format!("ledger={}", place.path("ledger").display());
        let begin =
            |_| Driven::begin(&mut place.command(["run", "pay.yaml", "-i", &ledger, "--json=stream"]));
        let driven: Vec<Driven> = (0..AT_ONCE).map(begin).collect();
        let mut told = Vec::new();
        for driven in driven {
            let ended = driven.ends();
            assert_eq!(ended.code, 0, "{}", ended.err);
            told.extend(ended.told);
        }
        planted += judged(&place, told);
    }
    let notes = format!("{AT_ONCE} at once in a new folder; {planted} planted faults, all found");
    battery::tell("F-39 a new store made by several", rounds, Losses::default(), &notes);
}

#[test]
fn of_several_who_want_to_drive_a_run_one_does() {
    let runs = size(6, 15, 150);
    let gated = PAY.replace(
        "steps:\n  first: {",
        "steps:\n  gate: { uses: approval, with: { message: Go on? } }\n  first: { needs: gate,",
    );
    let place = Sandbox::with(&[("pay.yaml", &gated)]);
    let ledger = format!("ledger={}", place.path("ledger").display());
    let mut told = Vec::new();
    let (mut drove, mut left, mut odd) = (0, 0, 0);
    for _ in 0..runs {
        let said = place.run_args(&["run", "pay.yaml", "-i", &ledger, "--json=stream"]).exits(9);
        told.extend(said.json_lines());
        let run = told.last().unwrap()["run_id"].as_str().unwrap().to_owned();
        // A decision counts once, whoever is asked first.
        let approve = |_| place.spawn(&format!("approval approve {run} gate --json"));
        assert_eq!(codes((0..3).map(approve).collect()), [0, 6, 6]);
        let resume = |_| Driven::begin(&mut place.command(["runs", "resume", &run, "--json=stream"]));
        let driven: Vec<Driven> = (0..AT_ONCE).map(resume).collect();
        for driven in driven {
            let ended = driven.ends();
            match ended.code {
                0 => drove += 1,
                // Somebody else does, or has brought it to its end.
                6 => left += 1,
                // It was taken from it in the very moment, which should end with 6 too; what is said is true.
                9 if ended.err.contains("is being driven by") => odd += 1,
                _ => panic!("{ended:?}"),
            }
            told.extend(ended.told);
        }
    }
    assert!(drove >= runs && left > 0, "{drove} of {runs} were driven, {left} have left them to others");
    let planted = judged(&place, told);
    let notes = format!(
        "{drove} drove, {left} left it to others with exit 6, {odd} with another; {planted} planted faults, all found"
    );
    battery::tell("F-39 one run wanted by several", runs * AT_ONCE, Losses::default(), &notes);
}
