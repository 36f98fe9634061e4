//! `signal.yaml`

use crate::bench::{Bench, step};

#[test]
fn it_goes_on_with_what_the_signal_carries() {
    let bench = Bench::new();
    let done = bench.start("signal.yaml", &[]);
    assert_eq!(done.code, Some(9), "nobody has paid yet: {done:?}");
    assert!(done.stderr.contains("runs signal run_"), "the next command is told: {done:?}");
    assert_eq!(done.json()["waiting_for"][0]["signal"], "paid");
    let wrong = bench.orchestrator(&["runs", "signal", "@last", "paid", "--data", "{\"amount\": -1}"]);
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    let given = bench.orchestrator(&["runs", "signal", "@last", "paid", "--data", "{\"amount\": 12.5}"]);
    assert_eq!(given.code, Some(0), "{given:?}");
    let resumed = bench.orchestrator(&["runs", "resume", "@last", "--json"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let report = resumed.json();
    let said = report["outputs"]["said"].as_str().expect("it has said something");
    assert!(said.starts_with("sent a book for 12.5, paid by "), "{said}");
    assert_eq!(step(&report, "reserve")["attempts"], 1, "what had ended was not repeated");
}
