//! Steps that someone must pass.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::CommandError;
use orchestrator_core::id::Unit;
use orchestrator_core::machine::{Asked, Command, Judge};
use orchestrator_core::{MemoryStore, RunHandle};
use serde_json::{Value, json};

use crate::bench::{Puppet, engine, workflow};

fn judge(step: Unit, passed: bool) -> Command {
    let asked = Asked { by: "kim".into(), reason: Some("too short".into()) };
    Command::Judge(Judge { step, digest: None, passed, asked, via: "test".into() })
}

async fn blocked(run: &RunHandle) {
    run.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_runs_again_with_the_words_of_the_judge() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = "a: { uses: puppet, with: { do: heard }, retry: { max_attempts: 2 }, qa: { message: \"heard ${{ self.heard }}?\", show: \"${{ self.heard }}\" } }
        b: { uses: puppet, needs: a, with: \"${{ steps.a.heard }}\" }";
    let run = engine.start(workflow(&engine, flow)).await.unwrap();
    blocked(&run).await;
    let report = run.report().await.unwrap();
    assert_eq!((report.steps[0].status, &report.steps[0].output), ("needs_qa", &Value::Null));
    let waiting = &report.waiting_for[0];
    assert_eq!((waiting.kind, &*waiting.message, &waiting.show), ("qa", "heard null?", &Some(Value::Null)));
    assert!(waiting.needs_someone() && waiting.digest.is_some());
    engine.command(run.id(), judge(waiting.ix, false)).await.unwrap();
    run.progress().wait_for(|progress| progress.status == "running").await.unwrap();
    blocked(&run).await;
    let again = run.report().await.unwrap().waiting_for;
    assert_eq!(&*again[0].message, "heard too short?");
    assert_ne!(again[0].digest, waiting.digest, "it is another thing to judge");
    engine.command(run.id(), judge(waiting.ix, true)).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(
        (report.status.as_str(), report.output::<Value>("b").unwrap()),
        ("completed", json!("too short"))
    );
    let late = engine.command(run.id(), judge(waiting.ix, true)).await.unwrap_err();
    assert!(matches!(late, CommandError::Rejected(_)));
}

#[tokio::test(start_paused = true)]
async fn the_verdict_outlives_the_engine_that_asked() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let first = engine(&puppet).store(store.clone()).start().await.unwrap();
    let text = format!("a: {{ uses: puppet, with: {{ text: {} }}, qa: true }}", "x".repeat(100));
    let run = first.start(workflow(&first, &text)).await.unwrap();
    blocked(&run).await;
    first.stop(Duration::from_secs(1)).await;
    let second = engine(&puppet).store(store).start().await.unwrap();
    let step = second.report(run.id()).await.unwrap().unwrap().waiting_for[0].ix;
    second.command(run.id(), judge(step, true)).await.unwrap();
    let report = second.drive(run.id()).await.unwrap().wait().await.unwrap();
    assert_eq!(report.output::<Value>("a").unwrap()["text"], "x".repeat(100));
    assert_eq!((report.steps[0].attempts, puppet.begun("a")), (1, 1), "it is not executed again");
}

#[tokio::test(start_paused = true)]
async fn items_and_repetitions_are_judged_one_by_one() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = "a: { uses: puppet, for_each: [x, y], with: { item: \"${{ item }}\" }, qa: true }
        b: { uses: puppet, needs: a, with: { n: 1 }, repeat: { until: self.n == 1, max: 2 }, qa: { timeout: { after: 1h, then: approve } } }";
    let run = engine.start(workflow(&engine, flow)).await.unwrap();
    blocked(&run).await;
    for waiting in run.report().await.unwrap().waiting_for {
        engine.command(run.id(), judge(waiting.ix, true)).await.unwrap();
    }
    // Nobody judges the other, and its author takes that for a yes.
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{report:?}");
    assert!(report.finished_at.unwrap().since(report.created_at) >= Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_be_rendered_fails_the_step() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = "a: { uses: puppet, with: { n: 1 }, qa: { message: \"${{ self.m }}\" } }";
    let report = engine.start(workflow(&engine, flow)).await.unwrap().wait().await.unwrap();
    assert!(
        report.steps[0].error.as_deref().is_some_and(|error| error.starts_with("qa.message (line 3): ")),
        "{report:?}"
    );
}
