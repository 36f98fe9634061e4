//! Runs of steps that go on where earlier ones have been: after a retry, and in forks.

use std::sync::Arc;

use orchestrator_core::Engine;
use orchestrator_core::MemoryStore;
use orchestrator_core::engine::{FORKED_FROM, ForkError, ForkRun, RunHandle, RunReport};
use orchestrator_core::id::{StepIx, Unit};
use orchestrator_core::machine::{Asked, Command};
use orchestrator_core::port::store::{RunRow, Store};
use orchestrator_core::spec::Workflow;
use orchestrator_core::spec::inputs::Given;
use serde_json::json;

use crate::bench::{Puppet, engine};
use crate::brake::Brake;
use crate::children::{children, family};

/// Does `b` well from the third time on.
const BELOW: &str = "
inputs: { x: { type: integer } }
steps:
  a: { uses: puppet, with: { x: '${{ inputs.x }}', long: LONG } }
  b: { uses: puppet, needs: a, with: { do: flaky, times: 2 } }
  c: { uses: puppet, needs: b, with: { x: '${{ steps.a.x }}', long: '${{ steps.a.long }}' } }
outputs: { x: '${{ steps.c.x }}', long: '${{ steps.c.long }}' }
";

const ABOVE: &str = "
inputs: { x: { type: integer, default: 1 } }
steps:
  first: { uses: puppet }
  run: { uses: workflow, needs: first, with: { workflow: below, inputs: { x: '${{ inputs.x }}' } } }
  last: { uses: puppet, needs: run, with: { x: '${{ steps.run.x }}' } }
outputs: { x: '${{ steps.last.x }}', long: '${{ steps.run.long }}' }
";

fn below() -> String {
    BELOW.replace("LONG", &"y".repeat(300))
}

async fn bench() -> (Engine, Arc<Puppet>) {
    let puppet = Puppet::new();
    (engine(&puppet).start().await.unwrap(), puppet)
}

async fn run(engine: &Engine, workflow: Workflow) -> (RunHandle, RunReport) {
    let handle = engine.start(workflow).await.unwrap();
    let report = handle.wait().await.unwrap();
    (handle, report)
}

async fn retry(engine: &Engine, handle: &RunHandle, steps: Vec<Unit>) -> RunReport {
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(handle.id(), Command::Retry { steps, asked }).await.unwrap();
    engine.drive(handle.id()).await.unwrap().wait().await.unwrap()
}

fn step(at: u32) -> Unit {
    Unit::of(StepIx(at))
}

fn begun<const N: usize>(puppet: &Puppet, steps: [&str; N]) -> [u32; N] {
    steps.map(|step| puppet.begun(step))
}

async fn of(engine: &Engine, handle: &RunHandle) -> Vec<RunRow> {
    children(&**engine.store(), handle.id()).await
}

/// From which run each has begun, if from one.
fn origins(rows: &[RunRow]) -> Vec<Option<String>> {
    rows.iter().map(|row| row.new.labels.get(FORKED_FROM).cloned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_retry_does_again_only_what_has_failed_inside() {
    let (engine, puppet) = bench().await;
    let (handle, report) = run(&engine, family(&engine, &[("above", ABOVE), ("below", &below())])).await;
    assert_eq!(report.status, "failed");
    assert_eq!(retry(&engine, &handle, Vec::new()).await.status, "failed");
    let report = retry(&engine, &handle, vec![step(1)]).await;
    assert_eq!(report.outputs, json!({ "x": 1, "long": "y".repeat(300) }), "{:?}", report.error);
    assert_eq!(begun(&puppet, ["first", "a", "b", "c", "last"]), [1, 1, 3, 1, 1]);
    let rows = of(&engine, &handle).await;
    let before = |at: usize| Some(rows[at].run.to_string());
    assert_eq!(origins(&rows), [None, before(0), before(1)], "each goes on with the one before it");
    assert_eq!(rows.iter().map(|row| &*row.status).collect::<Vec<_>>(), ["failed", "failed", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_reaches_down_to_what_has_failed_below_and_keeps_the_items_that_have_not() {
    let (engine, puppet) = bench().await;
    let middle = "
inputs: { x: { type: integer } }
steps:
  before: { uses: puppet }
  each:
    uses: workflow
    needs: before
    for_each: [1, 2, 3]
    with: { workflow: below, inputs: { x: '${{ item }}' } }
outputs: { x: \"${{ steps.each.items | map(attribute='output') | map(attribute='x') | sum }}\", long: '' }
";
    let texts =
        [("above", &ABOVE.replace("workflow: below", "workflow: middle")), ("middle", &middle.to_owned())];
    let below = below();
    let texts = [(texts[0].0, &**texts[0].1), (texts[1].0, &**texts[1].1), ("below", &below)];
    let (handle, report) = run(&engine, family(&engine, &texts)).await;
    assert_eq!(report.status, "failed");
    // Of three items two have failed, whichever these are.
    assert_eq!(begun(&puppet, ["first", "before", "a", "b", "c"]), [1, 1, 3, 3, 1]);
    let report = retry(&engine, &handle, Vec::new()).await;
    assert_eq!(
        (report.status.as_str(), &report.outputs["x"]),
        ("completed", &json!(6)),
        "{:?}",
        report.error
    );
    assert_eq!(begun(&puppet, ["first", "before", "a", "b", "c"]), [1, 1, 3, 5, 3]);
}

#[tokio::test(start_paused = true)]
async fn of_many_items_only_the_one_that_has_failed_goes_on_inside() {
    let (engine, puppet) = bench().await;
    let all = "
steps:
  all: { uses: workflow, for_each: [1, 2, 3, 4], with: { workflow: below, inputs: { x: '${{ item }}' } } }
outputs: { x: \"${{ steps.all.items | map(attribute='output') | map(attribute='x') | list }}\" }
";
    let once = below().replace("times: 2", "times: 1");
    let (handle, report) = run(&engine, family(&engine, &[("all", all), ("below", &once)])).await;
    assert_eq!((report.status.as_str(), of(&engine, &handle).await.len()), ("failed", 4));
    let report = retry(&engine, &handle, Vec::new()).await;
    assert_eq!(report.outputs, json!({ "x": [1, 2, 3, 4] }), "{:?}", report.error);
    assert_eq!(begun(&puppet, ["a", "b", "c"]), [4, 5, 4]);
    let rows = of(&engine, &handle).await;
    assert_eq!((rows.len(), origins(&rows).iter().flatten().count()), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_inside_goes_on_too() {
    let (engine, puppet) = bench().await;
    let gated = below().replace("do: flaky, times: 2", "do: gate");
    let began = puppet.began.notified();
    let handle = engine.start(family(&engine, &[("above", ABOVE), ("below", &gated)])).await.unwrap();
    began.await;
    while puppet.begun("b") == 0 {
        puppet.began.notified().await;
    }
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(handle.id(), Command::Cancel(asked)).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "cancelled");
    puppet.gate.notify_one();
    assert_eq!(retry(&engine, &handle, Vec::new()).await.status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "b", "c"]), [1, 1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn from_the_beginning_it_is_within_a_generation_from_a_step_on_and_with_other_inputs() {
    let (engine, puppet) = bench().await;
    let policy = "inputs: { x: '${{ inputs.x }}' } }, retry: { on: [transient], initial: 1ms } }";
    let above = ABOVE.replace("inputs: { x: '${{ inputs.x }}' } } }", policy);
    let (handle, report) = run(&engine, family(&engine, &[("above", &above), ("below", &below())])).await;
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!(begun(&puppet, ["a", "b", "c"]), [3, 3, 1], "attempts of a policy");
    assert_eq!(origins(&of(&engine, &handle).await), [None, None, None]);

    let (engine, puppet) = bench().await;
    let (handle, report) = run(&engine, family(&engine, &[("above", ABOVE), ("below", &below())])).await;
    assert_eq!(report.status, "failed");
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(handle.id(), Command::Rerun { step: step(1), asked }).await.unwrap();
    assert_eq!(engine.drive(handle.id()).await.unwrap().wait().await.unwrap().status, "failed");
    assert_eq!(begun(&puppet, ["first", "a", "b"]), [1, 2, 2], "from a step on");
    let same = engine.fork(ForkRun::new(handle.id())).await.unwrap();
    assert_eq!(same.wait().await.unwrap().status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "b"]), [1, 2, 3], "a fork of what has failed goes on inside");
    let inputs = [("x".to_owned(), Given::Value(json!(2)))];
    let other = engine.fork(ForkRun::new(handle.id()).inputs(inputs)).await.unwrap();
    assert_eq!(other.wait().await.unwrap().outputs["x"], 2);
    assert_eq!(begun(&puppet, ["first", "a", "b"]), [1, 3, 4], "with other inputs");
    let asked = engine.fork(ForkRun::new(handle.id()).from([step(1)])).await.unwrap();
    assert_eq!(asked.wait().await.unwrap().status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "b"]), [1, 4, 5], "a step that is named as a whole");
}

#[tokio::test(start_paused = true)]
async fn a_step_above_that_is_repeated_too_makes_it_begin_anew() {
    let (engine, puppet) = bench().await;
    let above = ABOVE
        .replace("first: { uses: puppet }", "first: { uses: puppet, with: { do: flaky, times: 1 } }")
        .replace("needs: first, with", "needs: first, if: always(), with");
    let (handle, report) = run(&engine, family(&engine, &[("above", &above), ("below", &below())])).await;
    assert_eq!(report.status, "failed");
    assert_eq!(retry(&engine, &handle, Vec::new()).await.status, "failed");
    assert_eq!(begun(&puppet, ["first", "a", "b"]), [2, 2, 2]);
    assert_eq!(retry(&engine, &handle, Vec::new()).await.status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "b"]), [2, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_inside_is_not_passed_over() {
    let (engine, puppet) = bench().await;
    let unknown =
        below().replace("do: flaky, times: 2 }", "do: unknown, effect: at_most_once }, effect: at_most_once");
    let handle = engine.start(family(&engine, &[("above", ABOVE), ("below", &unknown)])).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    let asked = || Asked { by: "kim".into(), reason: None };
    engine.command(handle.id(), Command::Cancel(asked())).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "cancelled");
    let report = retry(&engine, &handle, Vec::new()).await;
    let error = report.steps[1].error.as_deref().unwrap();
    assert!(error.contains("is unknown: resolve it there first"), "{error}");
    let child = of(&engine, &handle).await[0].run;
    let output = orchestrator_core::value::ValueRef::Inline("{}".into());
    let applied = Command::Resolve { step: step(1), applied: Some(output), asked: asked() };
    engine.command(child, applied).await.unwrap();
    let report = retry(&engine, &handle, Vec::new()).await;
    assert_eq!((report.status.as_str(), begun(&puppet, ["a", "b", "c"])), ("completed", [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_fork_inside_keeps_what_came_before_there() {
    let (engine, puppet) = bench().await;
    let ok = below().replace("do: flaky, times: 2", "do: ok");
    let (handle, report) = run(&engine, family(&engine, &[("above", ABOVE), ("below", &ok)])).await;
    assert_eq!(report.status, "completed");
    let fork = engine.fork(ForkRun::new(handle.id()).inside(step(1), "c")).await.unwrap();
    let report = fork.wait().await.unwrap();
    assert_eq!(report.outputs, json!({ "x": 1, "long": "y".repeat(300) }), "{:?}", report.error);
    assert_eq!(begun(&puppet, ["first", "a", "b", "c", "last"]), [1, 1, 1, 2, 2]);
    let rows = of(&engine, &fork).await;
    assert_eq!(origins(&rows), [Some(of(&engine, &handle).await[0].run.to_string())]);
    // What is kept as a whole can be entered later.
    let kept = engine.fork(ForkRun::new(fork.id()).from([step(2)])).await.unwrap();
    assert_eq!(kept.wait().await.unwrap().status, "completed");
    let fork = engine.fork(ForkRun::new(kept.id()).inside(step(1), "b").inside(step(1), "c")).await.unwrap();
    assert_eq!(fork.wait().await.unwrap().status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "b", "c", "last"]), [1, 1, 2, 3, 4]);
    // As a whole it begins at its beginning, and so it does below another that is done again.
    let whole = ForkRun::new(handle.id()).inside(step(1), "c").from([step(1)]);
    assert_eq!(engine.fork(whole).await.unwrap().wait().await.unwrap().status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "c"]), [1, 2, 4]);
    let after = ForkRun::new(handle.id()).inside(step(1), "c").from([step(0)]);
    assert_eq!(engine.fork(after).await.unwrap().wait().await.unwrap().status, "completed");
    assert_eq!(begun(&puppet, ["first", "a", "c"]), [2, 3, 5]);
}

const MANY: &str = "
steps:
  each:
    uses: workflow
    for_each: [1, 2]
    with: { workflow: middle, inputs: { x: '${{ item }}' } }
  side: { uses: puppet }
";

const MIDDLE: &str = "
inputs: { x: { type: integer } }
steps:
  pre: { uses: puppet }
  deep: { uses: workflow, needs: pre, with: { workflow: below, inputs: { x: '${{ inputs.x }}' } } }
";

#[tokio::test(start_paused = true)]
async fn a_fork_reaches_into_one_item_two_levels_down() {
    let (engine, puppet) = bench().await;
    let ok = below().replace(
        "uses: puppet, needs: a, with: { do: flaky, times: 2 }",
        "uses: puppet, needs: a, for_each: [7, 8]",
    );
    let texts = [("many", MANY), ("middle", MIDDLE), ("below", &*ok)];
    let (handle, report) = run(&engine, family(&engine, &texts)).await;
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!(begun(&puppet, ["pre", "a", "b", "c", "side"]), [2, 2, 4, 2, 1]);
    let item = Unit::item_of(StepIx(0), 1);
    let fork = engine.fork(ForkRun::new(handle.id()).inside(item, "deep/b[1]")).await.unwrap();
    assert_eq!(fork.wait().await.unwrap().status, "completed");
    assert_eq!(begun(&puppet, ["pre", "a", "b", "c", "side"]), [2, 2, 5, 3, 1]);
    assert_eq!(of(&engine, &fork).await.len(), 1);

    let refused = async |step: Unit, place: &str| {
        engine.fork(ForkRun::new(handle.id()).inside(step, place)).await.unwrap_err()
    };
    let error = refused(item, "deep/d").await;
    assert_eq!(error.to_string(), "`each[1]/deep`, a run of workflow `below`, has no step `d`");
    assert!(matches!(error, ForkError::UnknownPlace { known, .. } if known == ["a", "b", "c"]));
    for (step, place, told) in [
        (item, "deep/b[2]", "`b[2]` is no item: the step has 2 in `each[1]/deep`"),
        (item, "pre/x", "step `pre` has no steps inside: it does not run another workflow"),
        (step(1), "x", "step `side` has no steps inside: it does not run another workflow"),
        (step(0), "pre", "step `each` has a run for each item: name one of them, as in `each[0]`"),
    ] {
        assert_eq!(refused(step, place).await.to_string(), told);
    }
    let top = of(&engine, &handle).await.len() + of(&engine, &fork).await.len();
    assert_eq!(top, 3, "what is refused leaves nothing");
}

#[tokio::test]
async fn after_a_crash_between_any_two_commits_of_a_retry_nothing_is_done_twice_that_has_succeeded() {
    let mut crashes = 0;
    for commits in 1.. {
        let store = Arc::new(MemoryStore::default());
        let puppet = Puppet::new();
        let first = engine(&puppet).store(store.clone()).start().await.unwrap();
        let once = below().replace("times: 2", "times: 1");
        let texts = [("above", ABOVE), ("below", &*once)];
        let (handle, report) = run(&first, family(&first, &texts)).await;
        assert_eq!(report.status, "failed");
        let asked = Asked { by: "kim".into(), reason: None };
        first.command(handle.id(), Command::Retry { steps: Vec::new(), asked }).await.unwrap();
        store.retire(first.owner()).await.unwrap();

        let brake = Brake::new(store.clone(), commits);
        let second = engine(&puppet).store(brake.clone()).start().await.unwrap();
        let driven = async {
            second.drive(handle.id()).await.unwrap().wait().await.unwrap();
        };
        let ended = tokio::select! {
            () = brake.stuck.notified() => false,
            () = driven => true,
        };
        if ended {
            break;
        }
        crashes += 1;
        store.retire(second.owner()).await.unwrap();
        let third = engine(&puppet).store(store.clone()).start().await.unwrap();
        let report = third.drive(handle.id()).await.unwrap().wait().await.unwrap();
        assert_eq!(report.status, "completed", "after {commits} commits: {:?}", report.error);
        let begun = begun(&puppet, ["first", "a"]);
        assert_eq!((begun, of(&third, &handle).await.len()), ([1, 1], 2), "after {commits} commits");
    }
    assert!(crashes >= 3, "only {crashes} places to crash at");
}
