//! Queues that are paused: nothing begins from them, and what runs goes on to its end.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{
    Engine, EngineBuilder, PauseQueue, PausedQueue, QUEUE_KIND, RunHandle, RunReport, pause_queue,
    paused_queues, resume_queue,
};
use orchestrator_core::id::{DocumentId, OwnerId, StepIx};
use orchestrator_core::machine::{Asked, Command, Decide};
use orchestrator_core::port::store::{DocumentQuery, NewOwner, OfferQuery, Serves, Store, StoreError};
use orchestrator_core::{MemoryStore, RunId, StartRun};
use uuid::Uuid;

use crate::bench::{Puppet, engine, workflow};
use crate::children::{children, family};

const LOOK: Duration = Duration::from_millis(5);

fn on(puppet: &Arc<Puppet>, store: &Arc<MemoryStore>) -> EngineBuilder {
    engine(puppet).store(store.clone())
}

async fn started(engine: &Engine, steps: &str) -> RunHandle {
    engine.start(workflow(engine, steps)).await.unwrap()
}

async fn pause(store: &MemoryStore, queue: &str) -> (PausedQueue, bool) {
    let id = DocumentId::from_uuid(Uuid::now_v7());
    pause_queue(store, PauseQueue { id, queue: queue.into(), by: "kim".into() }).await.unwrap()
}

async fn resume(store: &MemoryStore, queue: &str) {
    resume_queue(store, queue).await.unwrap().expect("it was paused");
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::task::yield_now().await;
    }
}

/// Waits until a run stands still until somebody does something.
async fn blocked(run: &RunHandle) {
    run.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
}

/// Waits until the engine knows that the queue `default` is paused: what is started then does not begin.
async fn noticed(engine: &Engine) -> RunHandle {
    loop {
        let run = started(engine, "\n        probe: { uses: puppet }").await;
        let mut progress = run.progress();
        let seen =
            progress.wait_for(|progress| progress.ended || progress.status == "blocked").await.unwrap();
        if !seen.ended {
            drop(seen);
            return run;
        }
    }
}

/// What a report says of who waits for the end of a pause.
fn held(report: &RunReport) -> Vec<(&str, &str)> {
    let of_queue = report.waiting_for.iter().filter(|waiting| waiting.kind == "queue");
    of_queue
        .map(|waiting| {
            (waiting.step.as_deref().unwrap_or_default(), &*waiting.paused.as_ref().expect("a pause").queue)
        })
        .collect()
}

#[tokio::test]
async fn what_runs_goes_on_to_its_end_and_nothing_new_begins() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    let engine = on(&puppet, &store).start().await.unwrap();
    let run = started(
        &engine,
        "
        a: { uses: puppet, with: { do: gate } }
        b: { uses: puppet, needs: a }",
    )
    .await;
    until(async || puppet.begun("a") == 1).await;
    let (paused, is_new) = pause(&store, "default").await;
    assert!(is_new);
    let probe = noticed(&engine).await;
    until(async || {
        puppet.gate.notify_waiters();
        run.progress().borrow().done == 1
    })
    .await;
    blocked(&run).await;
    let report = run.report().await.unwrap();
    assert_eq!((report.steps[0].status, puppet.begun("b")), ("completed", 0));
    assert_eq!(held(&report), [("b", "default")]);
    let waiting = &report.waiting_for[0];
    let told = format!("waits because queue `default` is paused since {} by kim", paused.since);
    assert_eq!((waiting.message.as_str(), waiting.needs_someone()), (told.as_str(), true));
    let shown = serde_json::to_value(waiting).unwrap();
    assert_eq!(shown["paused"]["queue"], "default");
    assert_eq!(shown["paused"]["by"], "kim");

    resume(&store, "default").await;
    for run in [run, probe] {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    assert_eq!(puppet.begun("b"), 1);
}

#[tokio::test]
async fn an_attempt_that_waits_goes_on_though_its_queue_is_paused_and_the_next_does_not() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    let engine = on(&puppet, &store).start().await.unwrap();
    let run = started(
        &engine,
        "
        a: { uses: puppet, with: { do: approval } }
        b: { uses: puppet, needs: a, queue: default, with: { do: fail } }",
    )
    .await;
    blocked(&run).await;
    pause(&store, "default").await;
    noticed(&engine).await;
    let asked = Asked { by: "kim".into(), reason: None };
    let digest = run.report().await.unwrap().waiting_for[0].digest;
    let decide = Decide { step: StepIx(0).into(), digest, approved: true, asked, via: "test".into() };
    engine.command(run.id(), Command::Decide(decide)).await.unwrap();
    run.progress().wait_for(|progress| progress.done == 1).await.unwrap();
    blocked(&run).await;
    assert_eq!((puppet.begun("a"), puppet.begun("b")), (2, 0));
    assert_eq!(held(&run.report().await.unwrap()), [("b", "default")]);
    // Who waits can still be called off.
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(run.id(), Command::Cancel(asked)).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), held(&report).len()), ("cancelled", 0));
}

#[tokio::test]
async fn nothing_is_offered_to_a_paused_queue_and_other_queues_go_on() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    pause(&store, "gpu").await;
    let serves = Serves { queues: vec!["gpu".into(), "cpu".into()], ..Serves::default() };
    let _worker = on(&there, &store).poll(Some(LOOK)).serve(serves).start().await.unwrap();
    // It was paused before it was started: a pause outlives whoever looks.
    let engine = on(&here, &store).start().await.unwrap();
    let run = started(
        &engine,
        "
        a: { uses: puppet, queue: gpu }
        b: { uses: puppet, queue: cpu }
        c: { uses: puppet }",
    )
    .await;
    run.progress().wait_for(|progress| progress.done == 2).await.unwrap();
    blocked(&run).await;
    assert_eq!(store.offers(OfferQuery::default()).await.unwrap().items, []);
    let report = run.report().await.unwrap();
    assert_eq!(held(&report), [("a", "gpu")]);
    assert_eq!(report.waiting_for.len(), 1, "that nobody serves it is none of the reasons");
    resume(&store, "gpu").await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((here.begun("a"), there.begun("a"), there.begun("b"), here.begun("c")), (0, 1, 1, 1));
}

#[tokio::test]
async fn what_is_offered_already_is_claimed_by_nobody() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let both = || Serves { queues: vec!["gpu".into(), "cpu".into()], ..Serves::default() };
    // One that claims nothing.
    let idle = OwnerId::from_uuid(Uuid::now_v7());
    let (ttl, label) = (Duration::from_secs(60), "idle".to_owned());
    store.register(NewOwner { id: idle, ttl, label, serves: both(), outside: false }).await.unwrap();
    let engine = on(&here, &store).start().await.unwrap();
    let run = started(&engine, "\n        a: { uses: puppet, queue: gpu }").await;
    let offered = async || store.offers(OfferQuery::default()).await.unwrap().items.len();
    until(async || offered().await == 1).await;
    pause(&store, "gpu").await;

    let _worker = on(&there, &store).poll(Some(LOOK)).serve(both()).start().await.unwrap();
    // What is offered to the other queue later is claimed at a look that finds both.
    let other = started(&engine, "\n        b: { uses: puppet, queue: cpu }").await;
    assert_eq!(other.wait().await.unwrap().status, "completed");
    assert_eq!((there.begun("a"), there.begun("b")), (0, 1));
    let report = run.report().await.unwrap();
    assert_eq!((report.steps[0].status, held(&report)), ("queued", vec![("a", "gpu")]));
    resume(&store, "gpu").await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!(there.begun("a"), 1);
}

#[tokio::test]
async fn no_run_is_begun_that_carries_out_a_step_of_a_paused_queue() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    pause(&store, "default").await;
    let engine = on(&puppet, &store).start().await.unwrap();
    let parent = "\nsteps:\n  child: { uses: workflow, with: { workflow: below } }\n";
    let below = "\nsteps:\n  deep: { uses: puppet }\n";
    let run = engine.start(family(&engine, &[("above", parent), ("below", below)])).await.unwrap();
    blocked(&run).await;
    assert_eq!(children(&*store, run.id()).await.len(), 0);
    assert_eq!(held(&run.report().await.unwrap()), [("child", "default")]);
    resume(&store, "default").await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
}

#[tokio::test]
async fn runs_that_would_only_wait_are_left_in_the_store() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    pause(&store, "default").await;
    let client = on(&puppet, &store).start().await.unwrap();
    let flow = Arc::new(workflow(&client, "\n        a: { uses: puppet }"));
    let mut runs: Vec<RunId> = Vec::new();
    for _ in 0..1_500 {
        runs.push(client.enqueue(StartRun::new(flow.clone())).await.unwrap());
    }
    let serves = Serves { queues: vec!["default".into(), "gpu".into()], ..Serves::default() };
    let worker = on(&puppet, &store).poll(Some(LOOK)).slots(200).serve(serves).start().await.unwrap();
    let driven = async || {
        let mut driven = 0;
        for run in &runs {
            driven += usize::from(store.run(*run).await.unwrap().unwrap().driver == Some(worker.owner()));
        }
        driven
    };
    until(async || driven().await >= 1_000).await;
    // With each of these it looks for runs again.
    for _ in 0..10 {
        let marker = started(&client, "\n        m: { uses: puppet, queue: gpu }").await;
        assert_eq!(marker.wait().await.unwrap().status, "completed");
    }
    let held = driven().await;
    assert!(held < 1_200, "{held}");
    resume(&store, "default").await;
    until(async || puppet.begun("a") == 1_500).await;
}

#[tokio::test]
async fn pausing_twice_and_resuming_what_is_not_paused_changes_nothing() {
    let store = MemoryStore::new();
    let (first, is_new) = pause(&store, "gpu").await;
    assert!(is_new);
    let id = DocumentId::from_uuid(Uuid::now_v7());
    let again = PauseQueue { id, queue: "gpu".into(), by: "ana".into() };
    assert_eq!(pause_queue(&store, again).await.unwrap(), (first.clone(), false), "it stays as it is");
    pause(&store, "a.b-c_1").await;
    let names: Vec<_> = paused_queues(&store).await.unwrap().into_iter().map(|paused| paused.queue).collect();
    assert_eq!(names, ["a.b-c_1".into(), "gpu".into()] as [Arc<str>; 2]);
    assert_eq!(resume_queue(&store, "gpu").await.unwrap(), Some(first));
    assert_eq!(resume_queue(&store, "gpu").await.unwrap(), None);
    assert_eq!(resume_queue(&store, "never").await.unwrap(), None);
    for name in ["", "no spaces", &"x".repeat(65)] {
        let wrong = PauseQueue { id, queue: name.into(), by: "kim".into() };
        let answer = pause_queue(&store, wrong).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{name}: {answer:?}");
    }
    let all = DocumentQuery { kind: QUEUE_KIND.into(), ..DocumentQuery::default() };
    assert_eq!(store.documents(all).await.unwrap().items.len(), 1);
}
