//! What comes after the steps proper: compensations, `on-failure`, `finally`.

use std::sync::Arc;

use orchestrator_core::engine::{RunHandle, RunReport};
use orchestrator_core::machine::{Asked, Command};
use orchestrator_core::{Engine, Workflow};
use serde_json::{Value, json};

use crate::bench::{Puppet, engine};

const SAGA: &str = "
name: saga
steps:
  hotel:
    uses: puppet
    with: { room: 12 }
    compensate: { uses: puppet, with: { cancel: '${{ self.room }}', why: '${{ run.error }}' } }
  seats:
    uses: puppet
    needs: hotel
    for_each: [A, B]
    with: { seat: '${{ item }}' }
    compensate: { uses: puppet, with: { free: '${{ self.seat }}', index: '${{ index }}' } }
  pay: { uses: puppet, needs: seats, with: { do: DO } }
on-failure:
  tell: { uses: puppet, with: { status: '${{ run.status }}', hotel: '${{ steps.hotel.room }}' } }
finally:
  tidy: { uses: puppet, with: '${{ run.status }}' }
  last: { uses: puppet, needs: tidy, if: success(), with: TIDY }
outputs: { room: '${{ steps.hotel.room }}' }
";

fn saga(engine: &Engine, pay: &str) -> Workflow {
    let text = SAGA.replace("DO", pay).replace("TIDY", "all is well");
    engine.parse(&text).unwrap_or_else(|problems| panic!("{problems}")).workflow
}

fn asked() -> Asked {
    Asked { by: "someone".into(), reason: None }
}

/// Reopens an ended run, and drives it.
async fn go_on(engine: &Engine, handle: &mut RunHandle, command: impl FnOnce(Asked) -> Command) {
    engine.command(handle.id(), command(asked())).await.unwrap();
    *handle = engine.drive(handle.id()).await.unwrap();
}

async fn run(pay: &str) -> (RunReport, Arc<Puppet>) {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let handle = engine.start(saga(&engine, pay)).await.unwrap();
    (handle.wait().await.unwrap(), puppet)
}

fn statuses(report: &RunReport) -> Vec<String> {
    let steps = report.steps.iter().filter(|step| step.status != "skipped");
    let name = |id: &str, item: Option<u32>| item.map_or(id.to_owned(), |item| format!("{id}[{item}]"));
    steps.map(|step| format!("{} {}", name(&step.id, step.item), step.status)).collect()
}

fn output(report: &RunReport, id: &str, item: Option<u32>) -> Value {
    report.steps.iter().find(|step| &*step.id == id && step.item == item).unwrap().output.clone()
}

/// The steps in the order in which they ended.
async fn ended(handle: &RunHandle, of: &str) -> Vec<String> {
    let report = handle.report().await.unwrap();
    let mut steps: Vec<_> = report
        .steps
        .iter()
        .filter(|step| step.id.ends_with(of) && step.attempts > 0)
        .map(|step| (step.finished_at, step.id.to_string(), step.item))
        .collect();
    steps.sort();
    steps.into_iter().map(|(_, id, item)| format!("{id}{item:?}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failure_undoes_what_was_done_the_last_first_then_tells_and_tidies() {
    let (report, puppet) = run("fail").await;
    assert_eq!(report.status, "failed");
    assert_eq!(report.error.as_deref(), Some("step `pay` failed: as told"));
    let expected = [
        "hotel completed",
        "seats completed",
        "seats[0] completed",
        "seats[1] completed",
        "pay failed",
        "hotel.compensate completed",
        "seats.compensate completed",
        "seats.compensate[0] completed",
        "seats.compensate[1] completed",
        "tell completed",
        "tidy completed",
    ];
    assert_eq!(statuses(&report), expected);
    assert_eq!(
        output(&report, "hotel.compensate", None),
        json!({ "cancel": 12, "why": "step `pay` failed: as told" })
    );
    assert_eq!(output(&report, "seats.compensate", Some(1)), json!({ "free": "B", "index": 1 }));
    assert_eq!(output(&report, "tell", None), json!({ "status": "failed", "hotel": 12 }));
    assert_eq!(output(&report, "tidy", None), json!("failed"));
    assert_eq!(puppet.begun("last"), 0, "`success()` speaks of the run");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_completes_undoes_nothing_and_tidies() {
    let (report, puppet) = run("ok").await;
    assert_eq!((report.status.as_str(), &report.outputs), ("completed", &json!({ "room": 12 })));
    assert_eq!(output(&report, "last", None), json!("all is well"));
    for step in ["hotel.compensate", "seats.compensate", "tell"] {
        assert_eq!(puppet.begun(step), 0, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_is_done_again_by_a_retry() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let mut handle = engine.start(saga(&engine, "flaky")).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "failed");
    go_on(&engine, &mut handle, |asked| Command::Retry { steps: vec![], asked }).await;
    let report = handle.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!((puppet.begun("hotel"), puppet.begun("seats"), puppet.begun("pay")), (2, 4, 2));
    assert_eq!((puppet.begun("hotel.compensate"), puppet.begun("tidy")), (1, 2));
    // And undone once more, because somebody wants it.
    go_on(&engine, &mut handle, Command::Compensate).await;
    let report = handle.wait().await.unwrap();
    assert_eq!(report.status, "cancelled");
    assert_eq!((puppet.begun("hotel.compensate"), puppet.begun("seats.compensate")), (2, 4));
    assert_eq!((puppet.begun("tidy"), puppet.begun("tell")), (2, 1), "they have had their turn");
    let again = engine.command(handle.id(), Command::Compensate(asked())).await;
    assert!(again.is_err(), "nothing is left to undo");
    assert_eq!(ended(&handle, ".compensate").await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_tidies_and_a_second_cancel_stops_that_too() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "name: a
steps:
  work: { uses: puppet, with: { do: gate } }
finally:
  tidy: { uses: puppet, with: { do: gate } }
  more: { uses: puppet, needs: tidy }
";
    let workflow = engine.parse(text).unwrap().workflow;
    let began = puppet.began.notified();
    let handle = engine.start(workflow).await.unwrap();
    began.await;
    let began = puppet.began.notified();
    engine.command(handle.id(), Command::Cancel(asked())).await.unwrap();
    began.await;
    assert_eq!((puppet.begun("work"), puppet.begun("tidy")), (1, 1));
    engine.command(handle.id(), Command::Cancel(asked())).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!(report.status, "cancelled");
    assert_eq!(statuses(&report), ["work cancelled", "tidy cancelled", "more cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_compensation_holds_up_the_rest_until_it_is_retried() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "name: a
steps:
  one: { uses: puppet, compensate: { uses: puppet } }
  two: { uses: puppet, needs: one, compensate: { uses: puppet, with: { do: flaky } } }
  three: { uses: puppet, needs: two, with: { do: flaky } }
";
    let mut handle = engine.start(engine.parse(text).unwrap().workflow).await.unwrap();
    let report = handle.wait().await.unwrap();
    let error = "step `three` failed: failure 1; then step `two.compensate` failed: failure 1";
    assert_eq!((report.status.as_str(), report.error.as_deref()), ("failed", Some(error)));
    assert_eq!(puppet.begun("one.compensate"), 0, "what came before it stays");
    go_on(&engine, &mut handle, |asked| Command::Retry { steps: vec![], asked }).await;
    assert_eq!(handle.wait().await.unwrap().status, "failed");
    assert_eq!(
        (puppet.begun("one.compensate"), puppet.begun("two.compensate"), puppet.begun("three")),
        (1, 2, 1)
    );
    go_on(&engine, &mut handle, |asked| Command::Retry { steps: vec![], asked }).await;
    assert_eq!(handle.wait().await.unwrap().status, "completed");
    assert_eq!((puppet.begun("one"), puppet.begun("two"), puppet.begun("three")), (2, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_misses_its_deadline_is_stopped_and_has_failed() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "name: a
steps:
  slow: { uses: puppet, with: { do: gate }, deadline: 10s }
  again: { uses: puppet, with: { do: fail }, deadline: 5s, retry: { max_attempts: 9, initial: 3s, backoff: fixed } }
  many: { uses: puppet, for_each: [1, 2, 3], strategy: { max-parallel: 1 }, with: { do: nap }, deadline: 90s }
  asks: { uses: puppet, with: { do: approval }, deadline: 20s }
";
    let handle = engine.start(engine.parse(text).unwrap().workflow).await.unwrap();
    let report = handle.wait().await.unwrap();
    let error = |step: usize| report.steps[step].error.clone().unwrap_or_default();
    assert_eq!(error(0), "took longer than its deadline of 10s");
    assert_eq!(error(1), "took longer than its deadline of 5s");
    assert!(puppet.begun("again") < 5, "nobody tries on after that");
    let many: Vec<&str> = report.steps[3..6].iter().map(|step| step.status).collect();
    assert_eq!(many, ["completed", "failed", "failed"], "{report:#?}");
    assert_eq!(error(2), "2 of 3 items failed, the first of them 1: took longer than its deadline of 90s");
    assert_eq!((report.steps[6].status, &*error(6)), ("failed", "took longer than its deadline of 20s"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_misses_its_deadline_fails_undoes_and_tidies() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "name: a
deadline: 1m
steps:
  one: { uses: puppet, compensate: { uses: puppet } }
  two: { uses: puppet, needs: one, with: { do: gate } }
  three: { uses: puppet, needs: two }
finally:
  tidy: { uses: puppet, with: '${{ run.error }}' }
";
    let handle = engine.start(engine.parse(text).unwrap().workflow).await.unwrap();
    let report = handle.wait().await.unwrap();
    let why = "the run took longer than its deadline of 1m";
    assert_eq!((report.status.as_str(), report.error.as_deref()), ("failed", Some(why)));
    let expected =
        ["one completed", "two cancelled", "three cancelled", "one.compensate completed", "tidy completed"];
    assert_eq!(statuses(&report), expected);
    assert_eq!(output(&report, "tidy", None), json!(why));
}

#[tokio::test]
async fn a_step_that_ends_last_is_undone_with_what_it_gave_however_long_that_is() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "
name: late
steps:
  early: { uses: puppet, with: { do: fail } }
  late:
    uses: puppet
    needs: early
    if: always()
    with: { text: LONG }
    compensate: { uses: puppet, with: { undo: '${{ self.text }}' } }
";
    let long = "x".repeat(1_000);
    let workflow = engine.parse(&text.replace("LONG", &long)).unwrap().workflow;
    let report = engine.start(workflow).await.unwrap().wait().await.unwrap();
    assert_eq!(statuses(&report), ["early failed", "late completed", "late.compensate completed"]);
    assert_eq!(report.steps[2].output, json!({ "undo": long }));
}
