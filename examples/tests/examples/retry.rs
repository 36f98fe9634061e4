//! `retry.yaml`

use crate::bench::{Bench, step};

#[test]
fn two_failures_are_followed_by_success() {
    let bench = Bench::new();
    let report = bench.run("retry.yaml", &[]);
    assert_eq!(report["outputs"]["attempts"], 3);
    assert_eq!(report["outputs"]["said"], "the service is ready");
    assert_eq!(step(&report, "flaky")["attempts"], 3);
    let logs = bench.orchestrator(&["runs", "logs", "@last", "--step", "flaky"]);
    assert_eq!(logs.code, Some(0), "{logs:?}");
    for attempt in 1..=3 {
        assert!(logs.stdout.contains(&format!("attempt {attempt}\n")), "{logs:?}");
    }
    assert_eq!(logs.stdout.matches("the service is not ready yet").count(), 2, "{logs:?}");
}
