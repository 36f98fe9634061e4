//! `saga.yaml`

use serde_json::Value;

use crate::bench::{Bench, step};

fn outputs(report: &Value, step: &str) -> Vec<String> {
    let steps = report["steps"].as_array().expect("a list of steps");
    let of = steps.iter().filter(|entry| entry["id"] == step && entry["output"]["stdout"].is_string());
    of.map(|entry| entry["output"]["stdout"].as_str().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn what_was_booked_stays_when_the_payment_goes_through() {
    let bench = Bench::new();
    let report = bench.run("saga.yaml", &[]);
    assert_eq!(report["outputs"]["said"], "paid for 3 bookings");
    assert_eq!(outputs(&report, "count"), ["completed with 3 bookings"]);
    assert_eq!(step(&report, "hotel.compensate")["status"], "skipped");
}

#[test]
fn what_was_booked_is_given_back_the_last_first_when_it_does_not() {
    let bench = Bench::new();
    let file = crate::bench::example_file("saga.yaml");
    let file = file.to_str().expect("the path is UTF-8");
    let ran = bench.orchestrator(&["run", file, "-i", "fail=true", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("a report");
    assert_eq!(bench.file("booked.txt").as_deref(), Some(""));
    assert_eq!(outputs(&report, "seats.compensate"), ["gave back seat 4A", "gave back seat 4B"]);
    assert_eq!(outputs(&report, "count"), ["failed with 0 bookings"]);
    let ended = |id: &str, item: Option<u64>| {
        let steps = report["steps"].as_array().expect("a list of steps");
        let found = steps.iter().find(|step| step["id"] == id && step["item"].as_u64() == item);
        found.expect("the step")["finished_at"].as_str().expect("it has ended").to_owned()
    };
    assert!(ended("seats.compensate", Some(1)) <= ended("hotel.compensate", None), "the last first");
}
