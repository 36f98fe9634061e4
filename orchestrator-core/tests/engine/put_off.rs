//! Runs that are to begin later.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::stranded;
use orchestrator_core::machine::{Asked, Command, Event};
use orchestrator_core::port::store::Store;
use orchestrator_core::spec::Workflow;
use orchestrator_core::time::{Timestamp, wall_clock};
use orchestrator_core::{Engine, MemoryStore, RunHandle, StartRun};
use tokio::time::Instant;

use crate::bench::{Puppet, engine, workflow};

const HOUR: Duration = Duration::from_secs(3_600);

const FLOW: &str = "a: { uses: puppet }";

/// Has ten minutes, and never ends by itself.
const LATE: &str = "name: late\ndeadline: 10m\nsteps:\n  a: { uses: puppet, with: { do: stubborn } }";

fn later(flow: Workflow) -> StartRun {
    StartRun::new(flow).not_before(wall_clock() + HOUR)
}

/// A run that is to begin in an hour, and when it was started.
async fn put_off(engine: &Engine, text: &str) -> (RunHandle, Instant) {
    let flow = engine.parse(text).unwrap().workflow;
    (engine.start(later(flow)).await.unwrap(), Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_put_off_begins_when_its_time_has_come_and_not_before() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let run = engine.start(later(workflow(&engine, FLOW))).await.unwrap();
    tokio::time::advance(HOUR - Duration::from_secs(5)).await;
    let report = run.report().await.unwrap();
    assert_eq!((report.status.as_str(), report.started_at, puppet.begun("a")), ("pending", None, 0));
    let due = report.not_before.expect("when it is to begin");
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.not_before), ("completed", None));
    assert!(report.started_at.unwrap() >= due && report.started_at.unwrap() < due + Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_left_to_others_is_due_to_them_when_its_time_has_come() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let client = engine(&puppet).store(store.clone()).start().await.unwrap();
    // The store goes by the true time.
    let due = wall_clock() + Duration::from_millis(300);
    let start = StartRun::new(workflow(&client, FLOW)).not_before(due);
    let run = client.enqueue(start).await.unwrap();
    client.stop(Duration::ZERO).await;
    assert_eq!(stranded(&*store, run).await.unwrap(), None);
    let look = Some(Duration::from_millis(20));
    let worker = engine(&puppet).store(store.clone()).poll(look).start().await.unwrap();
    let row = loop {
        let row = store.run(run).await.unwrap().unwrap();
        if row.finished_at.is_some() {
            break row;
        }
        tokio::task::yield_now().await;
    };
    assert!(row.started_at.unwrap() >= due, "{:?} is before {due}", row.started_at);
    assert_eq!(puppet.begun("a"), 1);
    worker.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_put_off_can_be_cancelled_at_once() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "name: last\nsteps:\n  a: { uses: puppet }\nfinally:\n  last: { uses: puppet }";
    let (run, began) = put_off(&engine, text).await;
    let cancel = Command::Cancel(Asked { by: "kim".into(), reason: None });
    engine.command(run.id(), cancel).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), puppet.begun("a"), puppet.begun("last")), ("cancelled", 0, 1));
    assert!(began.elapsed() < HOUR, "what is done in any case does not wait for the hour");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_from_when_the_run_is_to_begin() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let (run, began) = put_off(&engine, LATE).await;
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "failed", "{:?}", report.error);
    let took = began.elapsed().as_secs();
    assert!((4_190..4_300).contains(&took), "an hour and ten minutes, not {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_time_that_has_passed_is_now() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let start = StartRun::new(workflow(&engine, FLOW)).not_before(wall_clock() - HOUR);
    let run = engine.start(start).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.not_before), ("completed", None));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_nobody_can_write_down_is_the_last_that_can_be() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let engine = engine(&puppet).store(store.clone()).start().await.unwrap();
    let never = StartRun::new(workflow(&engine, FLOW)).not_before(Timestamp::from_millis(i64::MAX));
    let run = engine.enqueue(never).await.unwrap();
    let log = store.load(run).await.unwrap().unwrap();
    for recorded in log.events {
        let body = recorded.event.body().unwrap();
        assert_eq!(Event::read(recorded.event.kind(), &body).unwrap(), recorded.event, "{body}");
    }
    assert_eq!(
        "9999-12-30T22:00:00.999Z".parse::<Timestamp>().unwrap().to_string(),
        "9999-12-30T22:00:00.000Z"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_before_its_time_and_is_retried_is_put_off_no_more() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let run = engine.start(later(workflow(&engine, FLOW))).await.unwrap();
    let asked = || Asked { by: "kim".into(), reason: None };
    engine.command(run.id(), Command::Cancel(asked())).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, "cancelled");
    let began = Instant::now();
    engine.command(run.id(), Command::Retry { steps: Vec::new(), asked: asked() }).await.unwrap();
    let run = engine.drive(run.id()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.not_before), ("completed", None));
    assert!(began.elapsed() < HOUR);
}

#[tokio::test(start_paused = true)]
async fn what_was_put_off_begins_at_once_where_somebody_wants_that() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let (run, began) = put_off(&engine, LATE).await;
    let now = || Command::BeginNow(Asked { by: "kim".into(), reason: Some("it hurries".into()) });
    assert!(engine.command(run.id(), now()).await.unwrap().changed);
    assert!(!engine.command(run.id(), now()).await.unwrap().changed, "it was so already");
    assert_eq!(run.report().await.unwrap().not_before, None);
    assert_eq!(run.wait().await.unwrap().status, "failed");
    let took = began.elapsed().as_secs();
    assert!((590..700).contains(&took), "its deadline counts from then: ten minutes, not {took} s");
    assert!(engine.command(run.id(), now()).await.is_err(), "one that has ended does not begin");
}

#[tokio::test]
async fn what_is_left_to_others_is_due_to_them_as_soon_as_somebody_wants_that() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let client = engine(&puppet).store(store.clone()).start().await.unwrap();
    let start = StartRun::new(workflow(&client, FLOW)).not_before(wall_clock() + HOUR);
    let run = client.enqueue(start).await.unwrap();
    let asked = Asked { by: "kim".into(), reason: None };
    assert!(client.command(run, Command::BeginNow(asked)).await.unwrap().changed);
    client.stop(Duration::ZERO).await;
    let worker =
        engine(&puppet).store(store.clone()).poll(Some(Duration::from_millis(20))).start().await.unwrap();
    while store.run(run).await.unwrap().unwrap().finished_at.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(puppet.begun("a"), 1);
    worker.stop(Duration::ZERO).await;
}
