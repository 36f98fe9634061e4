//! `qa-gate.yaml`

use crate::bench::{Bench, Done, step};

fn judge(bench: &Bench, verdict: &[&str]) -> Done {
    let judged = bench.orchestrator(&[&["runs", "qa", "@last", "draft"], verdict].concat());
    assert_eq!(judged.code, Some(0), "{judged:?}");
    bench.orchestrator(&["runs", "resume", "@last", "--json"])
}

#[test]
fn it_drafts_until_someone_passes_it() {
    let bench = Bench::new();
    let done = bench.start("qa-gate.yaml", &[]);
    assert_eq!(done.code, Some(9), "nobody has looked at it: {done:?}");
    assert_eq!(step(&done.json(), "draft")["status"], "needs_qa");
    let again = judge(&bench, &["--fail", "--comment", "name the version"]);
    assert_eq!(again.code, Some(9), "the second draft waits too: {again:?}");
    let shown = again.json()["waiting_for"][0]["show"].to_string();
    assert!(shown.contains("It is version 2.0.0."), "{shown}");
    assert_eq!(bench.file("published.md"), None);
    let passed = judge(&bench, &["--pass"]);
    assert_eq!(passed.code, Some(0), "{passed:?}");
    assert_eq!(step(&passed.json(), "draft")["attempts"], 2);
    let published = bench.file("published.md").expect("it is published");
    assert_eq!(published, "We are glad to announce a new version.\nIt is version 2.0.0.\n");
}
