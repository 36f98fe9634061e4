//! What others execute, as a driver sees it: offers that are taken back or claimed, and ends that are delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::RunReport;
use orchestrator_core::id::{OwnerId, StepIx};
use orchestrator_core::machine::{Asked, Command, Finished, Holds, StepOffered};
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{
    Claim, Claimed, Deliver, Delivered, Inbox, NewOffer, NewOwner, Remote, Serves, Store, StoreError,
};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::value::ValueRef;
use orchestrator_core::{Engine, RunId};
use uuid::Uuid;

use crate::stranded::{planted, why};

const TTL: Duration = Duration::from_secs(60);

/// A run that a driver has let go when it had offered its first step.
async fn offered() -> (Engine, RunId) {
    planted(|member| {
        let offered = StepOffered {
            step: StepIx(0).into(),
            attempt: 1,
            epoch: 1,
            effect: EffectClass::AtMostOnce,
            request: ValueRef::Inline("{\"with\":{}}".into()),
            decision: None,
            queue: "elsewhere".into(),
            labels: BTreeMap::new(),
            holds: Holds::default(),
            task: false,
        };
        let offers = vec![NewOffer {
            ticket: ticket(member.run),
            queue: offered.queue.clone(),
            labels: BTreeMap::new(),
            order: ValueRef::null(),
            priority: 0,
            task: None,
        }];
        member.remote = Some(Box::new(Remote { offers, ..Remote::default() }));
        member.events.push(offered.into());
        member.summary.due_at = None;
    })
    .await
}

fn ticket(run: RunId) -> StepTicket {
    StepTicket { run, generation: 1, step: StepIx(0), item: None, iteration: 0, attempt: 1, epoch: 1 }
}

#[tokio::test]
async fn a_run_that_waits_for_who_executes_what_it_offers_is_not_stranded() {
    let (engine, run) = offered().await;
    assert_eq!(why(&engine, run).await, None);
}

#[tokio::test]
async fn what_is_offered_is_taken_back_when_the_run_is_cancelled() {
    let (engine, run) = offered().await;
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(run, Command::Cancel(asked)).await.unwrap();
    let row = engine.store().run(run).await.unwrap().unwrap();
    assert!(row.due_at.is_some(), "somebody has to take it back");
    let report = engine.drive(run).await.unwrap().wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].status), ("cancelled", "cancelled"));
    let log = engine.store().load(run).await.unwrap().unwrap();
    let kinds: Vec<&str> = log.events.iter().map(|recorded| recorded.event.kind()).collect();
    assert!(kinds.contains(&"step.withdrawn"), "{kinds:?}");
}

#[tokio::test]
async fn what_somebody_has_claimed_is_not_taken_back_but_told_to_stop() {
    let (engine, run) = offered().await;
    let store = engine.store().clone();
    let worker = at_work(&store, run).await;
    engine.command(run, Command::Cancel(Asked { by: "kim".into(), reason: None })).await.unwrap();
    let handle = engine.drive(run).await.unwrap();
    let has_learned = |report: &RunReport| report.steps.iter().any(|step| step.status == "claimed");
    let learned = async || {
        let log = store.load(run).await.unwrap().unwrap();
        log.events.iter().any(|recorded| recorded.event.kind() == "step.claimed")
    };
    while !learned().await {
        tokio::task::yield_now().await;
    }
    assert!(has_learned(&handle.report().await.unwrap()));
    assert_eq!(store.stops(worker).await.unwrap(), [ticket(run)]);
    assert_eq!(why(&engine, run).await, None, "its driver is alive, and waits for its end");
}

/// Whoever executes elsewhere has claimed the offer.
async fn at_work(store: &Arc<dyn Store>, run: RunId) -> OwnerId {
    let worker = OwnerId::from_uuid(Uuid::now_v7());
    let serves = Serves { queues: vec!["elsewhere".into()], ..Serves::default() };
    store
        .register(NewOwner { id: worker, ttl: TTL, label: "a worker".into(), serves, outside: false })
        .await
        .unwrap();
    let claimed = store.claim(Claim { ticket: ticket(run), owner: worker }).await.unwrap();
    assert!(matches!(claimed, Claimed::Yours(_)), "{claimed:?}");
    worker
}

/// How it has ended: with an output that is kept beside the log.
fn end(run: RunId, owner: OwnerId) -> Deliver {
    let json = format!("\"{}\"", "x".repeat(100));
    let (reference, stored) = ValueRef::from_json(json.into()).unwrap();
    let end = serde_json::to_string(&Finished::Succeeded(reference)).unwrap();
    let values = stored.into_iter().collect();
    Deliver { ticket: ticket(run), owner, end: end.into(), values, logs: Vec::new() }
}

#[tokio::test]
async fn what_is_delivered_while_a_driver_waits_is_taken_in() {
    let (engine, run) = offered().await;
    let store = engine.store().clone();
    let worker = at_work(&store, run).await;
    let handle = engine.drive(run).await.unwrap();
    handle.progress().wait_for(|progress| progress.driven && progress.seq > 2).await.unwrap();
    assert_eq!(store.deliver(end(run, worker)).await.unwrap(), Delivered::Kept);
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 1));
    assert_eq!(report.output::<String>("a").unwrap(), "x".repeat(100));
    assert_eq!(store.inbox(run).await.unwrap(), Inbox::default());
    let log = store.load(run).await.unwrap().unwrap();
    let kinds: Vec<&str> = log.events.iter().map(|recorded| recorded.event.kind()).collect();
    let expected =
        ["run.created", "step.offered", "driver.taken", "step.claimed", "step.succeeded", "run.ended"];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn what_was_delivered_before_makes_the_run_due_and_is_taken_in() {
    let (engine, run) = offered().await;
    let store = engine.store().clone();
    let worker = at_work(&store, run).await;
    assert_eq!(store.claim_due(9).await.unwrap(), []);
    store.deliver(end(run, worker)).await.unwrap();
    // A worker may die when it has said what there is to say.
    store.retire(worker).await.unwrap();
    assert_eq!(store.claim_due(9).await.unwrap().iter().map(|due| due.run).collect::<Vec<_>>(), [run]);
    let report = engine.drive(run).await.unwrap().wait().await.unwrap();
    assert_eq!(report.status, "completed");
}

#[tokio::test]
async fn what_is_lost_with_its_executor_is_unknown_if_it_must_be_done_at_most_once() {
    let (engine, run) = offered().await;
    let store = engine.store().clone();
    let worker = at_work(&store, run).await;
    let handle = engine.drive(run).await.unwrap();
    store.retire(worker).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    assert_eq!(handle.report().await.unwrap().steps[0].status, "outcome_unknown");
    assert_eq!(store.deliver(end(run, worker)).await.unwrap(), Delivered::Fenced);
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown() {
    let (engine, run) = offered().await;
    let store = engine.store().clone();
    let owner = at_work(&store, run).await;
    let end = Deliver { end: "{\"begun\":1}".into(), ..end(run, owner) };
    store.deliver(end).await.unwrap();
    let handle = engine.drive(run).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    assert_eq!(handle.report().await.unwrap().steps[0].status, "outcome_unknown");
}

#[tokio::test]
async fn an_engine_that_would_serve_what_no_step_can_name_does_not_start() {
    for name in ["", "two words", "new\nline"] {
        let serves = Serves { queues: vec![name.into()], ..Serves::default() };
        let refused = Engine::builder().serve(serves).start().await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::Invalid(why) if why.starts_with("no queue is called `")),
            "{refused}"
        );
    }
}

/// What it says that it does, and others count on, it has to be able to do.
#[tokio::test]
async fn an_engine_that_could_not_take_what_is_offered_does_not_start() {
    let serves = || Serves { queues: vec!["default".into()], ..Serves::default() };
    for (builder, way_out) in [
        (Engine::builder().share(), "name its queues with `serve`, or leave out `share`"),
        (Engine::builder().serve(serves()).poll(None), "let it look with `poll`, or leave out `serve`"),
        (
            Engine::builder().serve(serves()).share().poll(None),
            "let it look with `poll`, or leave out `serve`",
        ),
    ] {
        let refused = builder.start().await.unwrap_err();
        assert!(matches!(&refused, StoreError::Invalid(why) if why.ends_with(way_out)), "{refused}");
    }
    let engine = Engine::builder().serve(serves()).share().start().await.unwrap();
    engine.stop(Duration::ZERO).await;
}
