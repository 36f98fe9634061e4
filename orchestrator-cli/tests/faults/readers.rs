//! Readers that go away after the first line.

use std::io::{BufRead, BufReader};

use crate::driven::settle;
use crate::effects::{PAY, judge, plant};
use crate::row::Losses;
use crate::sandbox::{Said, Sandbox};
use crate::table::{Row, size};

/// What is asked, beside a run that is told as it goes.
const ASKED: [&str; 4] = ["runs list", "runs events @last", "runs logs @last", "runs events @last --json"];

/// Reads one line, and goes away: how the other side ends.
fn head(place: &Sandbox, words: &str) -> Said {
    let mut child = place.spawn(words);
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(!first.is_empty(), "{words}");
    let said = Said::by(child);
    assert!(!said.err.contains("panicked"), "{words}: {}", said.err);
    said
}

#[test]
fn a_reader_that_goes_away_after_a_line_stops_nothing_that_runs() {
    let rounds = size(2, 6, 20);
    let mut row = Row::new("F-09 reader that goes away");
    let place = Sandbox::with(&[("pay.yaml", PAY)]);
    let ledger = format!("ledger={}", place.path("ledger").display());
    for _ in 0..rounds {
        for form in ["", "--json=stream"] {
            head(&place, &format!("run pay.yaml -i {ledger} {form}")).exits(0);
            assert_eq!(place.last()["status"], "completed");
            row.add(1, Losses::default());
        }
        for words in ASKED {
            let said = head(&place, words);
            assert!([0, 141, -13].contains(&said.code), "{words}: {said:?}");
            row.add(1, Losses::default());
        }
    }
    let seen = settle(&place, Vec::new());
    let (losses, faults) = judge(&seen);
    assert!(faults.is_empty(), "{faults:#?}");
    row.add(0, losses);
    row.planted(plant(&seen));
    row.tell("the run goes on to its end");
}
