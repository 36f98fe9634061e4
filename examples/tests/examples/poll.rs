//! `poll.yaml`

use crate::bench::{Bench, step};

#[test]
fn it_asks_until_the_service_is_ready() {
    let bench = Bench::new();
    let report = bench.run("poll.yaml", &[]);
    assert_eq!(report["outputs"]["said"], "the service is ready, asked 3 times");
    assert_eq!(step(&report, "ask")["attempts"], 3);
    assert_eq!(bench.file("asked.txt").as_deref(), Some("asked\nasked\nasked\n"));
}
