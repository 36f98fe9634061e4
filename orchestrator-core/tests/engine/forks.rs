//! Runs that begin where another has been.

use std::sync::Arc;

use orchestrator_core::Engine;
use orchestrator_core::engine::{ForkError, ForkRun, RunHandle, RunReport};
use orchestrator_core::id::{StepIx, Unit};
use orchestrator_core::spec::inputs::Given;
use serde_json::{Value, json};

use crate::bench::{Puppet, engine};
use crate::children::family;

async fn bench() -> (Engine, Arc<Puppet>) {
    let puppet = Puppet::new();
    (engine(&puppet).start().await.unwrap(), puppet)
}

async fn run(engine: &Engine, text: &str) -> (RunHandle, RunReport) {
    let workflow = engine.parse(text).unwrap_or_else(|problems| panic!("{problems}")).workflow;
    let handle = engine.start(workflow).await.unwrap();
    let report = handle.wait().await.unwrap();
    (handle, report)
}

fn step(at: u32) -> Unit {
    Unit::of(StepIx(at))
}

fn output(report: &RunReport, id: &str) -> Value {
    report.output(id).unwrap()
}

const LINE: &str = "name: a
inputs: { x: { type: integer, default: 1 } }
steps:
  a: { uses: puppet, with: { x: '${{ inputs.x }}', long: LONG } }
  b: { uses: puppet, needs: a, with: { x: '${{ inputs.x }}', a: '${{ steps.a.x }}' } }
  c: { uses: puppet, needs: b, with: { b: '${{ steps.b.x }}' } }
  d: { uses: puppet }
outputs: { c: '${{ steps.c.b }}', a: '${{ steps.a.long }}' }
";

#[tokio::test(start_paused = true)]
async fn a_fork_keeps_what_came_before_and_sees_other_inputs_from_there_on() {
    let (engine, puppet) = bench().await;
    let long = "x".repeat(500);
    let (first, report) = run(&engine, &LINE.replace("LONG", &long)).await;
    assert_eq!(report.status, "completed");
    let inputs = [("x".to_owned(), Given::Value(json!(2)))];
    let handle = engine.fork(ForkRun::new(first.id()).from([step(1)]).inputs(inputs)).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), &report.inputs), ("completed", &json!({ "x": 2 })));
    assert_eq!(report.outputs, json!({ "c": 2, "a": long }), "what is kept can be read in the new run");
    assert_eq!(output(&report, "b"), json!({ "x": 2, "a": 1 }));
    let begun = ["a", "b", "c", "d"].map(|step| puppet.begun(step));
    assert_eq!(begun, [1, 2, 2, 1], "what came before, or stands beside it, is not done again");
    let before = first.report().await.unwrap();
    assert_eq!((before.status.as_str(), output(&before, "b")), ("completed", json!({ "x": 1, "a": 1 })));
    let again = engine.fork(ForkRun::new(handle.id()).from([step(2)])).await.unwrap();
    assert_eq!(again.wait().await.unwrap().outputs["c"], 2, "a fork can be forked");
}

const MAP: &str = "name: a
steps:
  map: { uses: puppet, for_each: [0, 1, 2, 3], with: { do: DO, item: '${{ item }}' } }
  sum: { uses: puppet, needs: map, with: { of: \"${{ steps.map.items | map(attribute='status') | list }}\" } }
";

#[tokio::test(start_paused = true)]
async fn a_fork_of_a_half_failed_map_does_again_only_what_was_asked() {
    let (engine, puppet) = bench().await;
    // The first two executions fail, whichever items these are.
    let text = MAP.replace("do: DO", "do: flaky, times: 2");
    let (first, report) = run(&engine, &text).await;
    assert_eq!((report.status.as_str(), puppet.begun("map")), ("failed", 4));
    let failed: Vec<u32> =
        report.steps.iter().filter(|step| step.status == "failed").filter_map(|step| step.item).collect();
    assert_eq!(failed.len(), 2, "{report:#?}");
    let one = Unit::item_of(StepIx(0), failed[0]);
    let handle = engine.fork(ForkRun::new(first.id()).from([one])).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), puppet.begun("map")), ("failed", 5), "the other stays as it was");
    let handle = engine.fork(ForkRun::new(first.id())).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), puppet.begun("map")), ("completed", 9), "as a whole, without a name");
    assert_eq!(output(&report, "sum"), json!({ "of": vec!["completed"; 4] }));
    let both = failed.iter().map(|item| Unit::item_of(StepIx(0), *item));
    let handle = engine.fork(ForkRun::new(first.id()).from(both)).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "completed");
    assert_eq!(puppet.begun("map"), 11);
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_is_done_again_and_what_is_kept_is_not_undone() {
    let (engine, puppet) = bench().await;
    let text = "name: a
steps:
  one: { uses: puppet, compensate: { uses: puppet } }
  two: { uses: puppet, needs: one, with: { do: flaky, times: 2 } }
";
    let (first, report) = run(&engine, text).await;
    assert_eq!((report.status.as_str(), puppet.begun("one.compensate")), ("failed", 1));
    let handle = engine.fork(ForkRun::new(first.id()).from([step(1)])).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "failed");
    assert_eq!((puppet.begun("one"), puppet.begun("one.compensate")), (2, 2));
    let (first, _) = run(&engine, "name: b\nsteps: { p: { uses: puppet, compensate: { uses: puppet } }, q: { uses: puppet, needs: p } }").await;
    let text = engine.fork(ForkRun::new(first.id()).from([step(1)])).await.unwrap();
    assert_eq!(text.wait().await.unwrap().status, "completed");
    assert_eq!((puppet.begun("p"), puppet.begun("q"), puppet.begun("p.compensate")), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_cannot_be_is_refused_and_leaves_nothing() {
    let (engine, _) = bench().await;
    let (first, _) = run(&engine, &LINE.replace("LONG", "x")).await;
    let fork = |from: Vec<Unit>| engine.fork(ForkRun::new(first.id()).from(from));
    assert!(matches!(fork(vec![]).await, Err(ForkError::Rejected(_))), "nothing has failed");
    assert!(matches!(fork(vec![step(9)]).await, Err(ForkError::Rejected(_))));
    let inputs = [("y".to_owned(), Given::Value(json!(2)))];
    let wrong = engine.fork(ForkRun::new(first.id()).from([step(0)]).inputs(inputs)).await;
    assert!(matches!(wrong, Err(ForkError::Start(_))), "{wrong:?}");
    let runs = engine
        .store()
        .list_runs(orchestrator_core::port::store::RunQuery { limit: 10, ..Default::default() });
    assert_eq!(runs.await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fork_has_children_of_its_own_of_the_revisions_that_were_pinned() {
    let (engine, puppet) = bench().await;
    let below = "
inputs: { x: { type: integer } }
steps: { w: { uses: puppet, with: { x: '${{ inputs.x }}' } } }
outputs: { x: '${{ steps.w.x }}' }
";
    let above = "
steps:
  a: { uses: puppet, with: { x: 1 } }
  b: { uses: workflow, needs: a, with: { workflow: below, inputs: { x: '${{ steps.a.x }}' } } }
  c: { uses: puppet, needs: b, with: { x: '${{ steps.b.x }}' } }
";
    let workflow = family(&engine, &[("above", above), ("below", below)]);
    let handle = engine.start(workflow).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "completed");
    let again = engine.fork(ForkRun::new(handle.id()).from([step(1)])).await.unwrap();
    assert_eq!(again.wait().await.unwrap().status, "completed");
    let last = engine.fork(ForkRun::new(again.id()).from([step(2)])).await.unwrap();
    assert_eq!(last.wait().await.unwrap().status, "completed");
    let begun = ["a", "w", "c"].map(|step| puppet.begun(step));
    assert_eq!(begun, [1, 2, 3], "what is kept is not carried out again");
}
