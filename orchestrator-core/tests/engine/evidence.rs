//! A success counts only if what the step declares holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use orchestrator_core::engine::RunReport;
use orchestrator_core::port::evidence::Inspector;
use serde_json::Value;

use crate::bench::{Puppet, engine, workflow};

/// Finds `late` when it is asked for the second time, and never `never`; the repository changes at every look if `moves`.
#[derive(Debug, Default)]
struct Eyes {
    looks: AtomicU32,
    moves: bool,
}

#[async_trait]
impl Inspector for Eyes {
    async fn missing(&self, _: &Path, patterns: &[Arc<str>]) -> Result<Vec<String>, String> {
        let looks = self.looks.fetch_add(1, Ordering::SeqCst);
        let is_missing = |name: &&Arc<str>| &***name == "never" || (&***name == "late" && looks == 0);
        Ok(patterns.iter().filter(is_missing).map(|name| format!("{name}: there is no such file")).collect())
    }

    async fn repository(&self, _: &Path) -> Result<String, String> {
        let looks = self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(if self.moves { looks.to_string() } else { String::new() })
    }
}

async fn ran(inspector: Option<Eyes>, step: &str) -> RunReport {
    let puppet = Puppet::new();
    let mut builder = engine(&puppet);
    if let Some(eyes) = inspector {
        builder = builder.inspector(Arc::new(eyes));
    }
    let engine = builder.start().await.unwrap();
    let flow = workflow(&engine, &format!("a: {{ uses: puppet, {step} }}"));
    engine.start(flow).await.unwrap().wait().await.unwrap()
}

fn error(report: &RunReport) -> &str {
    report.steps[0].error.as_deref().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn files_must_be_there_and_the_next_attempt_hears_what_was_missing() {
    let step =
        "with: { do: heard }, evidence: { files: [late, there] }, retry: { max_attempts: 2, on: evidence }";
    let report = ran(Some(Eyes::default()), step).await;
    let output: Value = report.output("a").unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 2));
    assert_eq!(output["heard"], "the evidence does not hold: late: there is no such file");
    let report = ran(Some(Eyes::default()), "evidence: { files: never }").await;
    assert_eq!(error(&report), "the evidence does not hold: never: there is no such file");
}

#[tokio::test(start_paused = true)]
async fn the_output_must_be_what_it_is_declared_to_be() {
    let declared = "evidence: { output: { type: object, required: [n], properties: { n: { minimum: 2 } } } }";
    for (with, expected) in [("{ n: 2 }", ""), ("{ n: 1 }", "output.n: "), ("{ m: 1 }", "output")] {
        let report = ran(None, &format!("with: {with}, {declared}")).await;
        assert_eq!(report.status == "completed", expected.is_empty(), "{with}: {report:?}");
        assert!(error(&report).contains(expected), "{with}: {report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_diff_is_there_or_is_not() {
    for (moves, wanted, completes) in
        [(true, "nonempty", true), (false, "nonempty", false), (false, "empty", true), (true, "empty", false)]
    {
        let eyes = Eyes { moves, ..Eyes::default() };
        let report = ran(Some(eyes), &format!("evidence: {{ diff: {wanted} }}")).await;
        assert_eq!(report.status == "completed", completes, "{moves} {wanted}: {report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_looked_at_and_without_eyes_nothing_is_taken_on_trust() {
    let report = ran(Some(Eyes::default()), "with: { do: fail }, evidence: { files: never }").await;
    assert_eq!(error(&report), "as told");
    let report = ran(None, "evidence: { files: there }").await;
    assert!(error(&report).contains("it has no inspector"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn evidence_comes_before_the_judge() {
    let report = ran(Some(Eyes::default()), "evidence: { files: never }, qa: true").await;
    assert_eq!((report.status.as_str(), report.waiting_for.len()), ("failed", 0));
}
