//! Several engines on one store: steps that others execute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orchestrator_core::engine::{Engine, EngineBuilder, RunHandle};
use orchestrator_core::id::{OwnerId, StepIx};
use orchestrator_core::machine::{Asked, Command, Decide};
use orchestrator_core::port::store::{Inbox, LogQuery, NewOwner, OfferQuery, Renewal, Serves, Store};
use orchestrator_core::testkit::HandClock;
use orchestrator_core::{MemoryStore, RunId};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Puppet, engine, workflow};
use crate::brake::Brake;

const LOOK: Duration = Duration::from_millis(5);

fn serves<const N: usize>(queues: &[&str], labels: [(&str, &str); N]) -> Serves {
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Serves { queues: queues.iter().map(|queue| Arc::from(*queue)).collect(), labels: BTreeMap::from(labels) }
}

/// One that takes work off others.
fn worker(puppet: &Arc<Puppet>, store: &Arc<MemoryStore>, queue: &str) -> EngineBuilder {
    let builder = engine(puppet).store(store.clone()).poll(Some(LOOK));
    builder.serve(serves(&[queue], []))
}

/// One that drives what is started here.
async fn driver(puppet: &Arc<Puppet>, store: &Arc<MemoryStore>) -> Engine {
    engine(puppet).store(store.clone()).start().await.unwrap()
}

async fn started(engine: &Engine, steps: &str) -> RunHandle {
    engine.start(workflow(engine, steps)).await.unwrap()
}

async fn kinds(store: &MemoryStore, run: RunId) -> Vec<&'static str> {
    let log = store.load(run).await.unwrap().unwrap();
    log.events.iter().map(|recorded| recorded.event.kind()).collect()
}

/// Waits until something holds.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::task::yield_now().await;
    }
}

async fn begun(puppet: &Puppet, step: &str, times: u32) {
    until(async || puppet.begun(step) >= times).await;
}

#[tokio::test]
async fn a_step_is_executed_by_who_serves_its_queue() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "gpu").start().await.unwrap();
    let engine = driver(&here, &store).await;
    let run = started(
        &engine,
        "
        a: { uses: puppet, with: { x: 1 } }
        b: { uses: puppet, needs: a, queue: gpu, with: { got: '${{ steps.a.x }}', long: '${{ run.id }}/${{ run.id }}/${{ run.id }}' } }
        c: { uses: puppet, needs: b, with: { got: '${{ steps.b.got }}', long: '${{ steps.b.long }}' } }",
    )
    .await;
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "completed");
    let counts = |puppet: &Puppet| ["a", "b", "c"].map(|step| puppet.begun(step));
    assert_eq!((counts(&here), counts(&there)), ([1, 0, 1], [0, 1, 0]));
    let long = format!("{0}/{0}/{0}", run.id());
    assert_eq!(report.steps[2].output, json!({ "got": 1, "long": long }));
    let kinds = kinds(&store, run.id()).await;
    let of_b: Vec<_> = kinds.iter().filter(|kind| ["step.offered", "step.claimed"].contains(kind)).collect();
    assert_eq!(of_b, [&"step.offered", &"step.claimed"]);
    // Nothing is left of it.
    assert_eq!(store.offers(OfferQuery::default()).await.unwrap().items, []);
    assert_eq!(store.inbox(run.id()).await.unwrap(), Inbox::default());
}

#[tokio::test]
async fn what_nobody_serves_waits_until_somebody_does() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let engine = driver(&here, &store).await;
    let run = started(
        &engine,
        "
        a: { uses: puppet, queue: gpu, labels: { zone: eu } }
        b: { uses: puppet }",
    )
    .await;
    run.progress().wait_for(|progress| progress.done == 1).await.unwrap();
    assert!(!kinds(&store, run.id()).await.contains(&"step.offered"), "there is nobody");
    // One that does not have what it asks for is as good as none.
    let elsewhere = engine_of(&there, &store, serves(&["gpu"], [("zone", "us")])).await;
    let other = engine_of(&there, &store, serves(&["cpu"], [("zone", "eu")])).await;
    assert_eq!((here.begun("a"), there.begun("a")), (0, 0));
    let _right = engine_of(&there, &store, serves(&["cpu", "gpu"], [("zone", "eu"), ("x", "y")])).await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((here.begun("a"), there.begun("a")), (0, 1));
    for engine in [elsewhere, other] {
        engine.stop(Duration::ZERO).await;
    }
}

async fn engine_of(puppet: &Arc<Puppet>, store: &Arc<MemoryStore>, serves: Serves) -> Engine {
    engine(puppet).store(store.clone()).poll(Some(LOOK)).serve(serves).start().await.unwrap()
}

#[tokio::test]
async fn what_there_is_no_slot_for_goes_to_others() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "default").slots(4).start().await.unwrap();
    let engine = engine(&here).store(store.clone()).slots(1).serve(serves(&["default"], [])).share();
    let engine = engine.poll(Some(LOOK)).start().await.unwrap();
    // Each holds its slot until the gate opens, which is not before all have begun.
    let run = started(
        &engine,
        "
        a: { uses: puppet, for_each: [1, 2, 3, 4, 5], with: { do: gate } }",
    )
    .await;
    until(async || here.begun("a") + there.begun("a") == 5).await;
    assert_eq!((here.begun("a"), there.begun("a")), (1, 4));
    until(async || {
        here.gate.notify_waiters();
        there.gate.notify_waiters();
        run.progress().borrow().ended
    })
    .await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
}

#[tokio::test]
async fn one_that_does_not_share_keeps_what_says_nothing() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "default").start().await.unwrap();
    let engine = engine(&here).store(store.clone()).slots(1).start().await.unwrap();
    let run = started(&engine, "\n        a: { uses: puppet, for_each: [1, 2, 3, 4, 5] }").await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((here.begun("a"), there.begun("a")), (5, 0));
}

#[tokio::test]
async fn a_cancel_reaches_what_others_execute() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "gpu").start().await.unwrap();
    let engine = driver(&here, &store).await;
    let run = started(&engine, "\n        a: { uses: puppet, queue: gpu, with: { do: gate } }").await;
    begun(&there, "a", 1).await;
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(run.id(), Command::Cancel(asked)).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].status), ("cancelled", "cancelled"));
}

#[tokio::test]
async fn a_pause_takes_back_what_nobody_has_claimed() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let worker = worker(&there, &store, "gpu").slots(1).start().await.unwrap();
    let engine = driver(&here, &store).await;
    let run =
        started(&engine, "\n        a: { uses: puppet, queue: gpu, for_each: [1, 2], with: { do: gate } }")
            .await;
    begun(&there, "a", 1).await;
    until(async || kinds(&store, run.id()).await.iter().filter(|kind| **kind == "step.offered").count() == 2)
        .await;
    let asked = || Asked { by: "kim".into(), reason: None };
    engine.command(run.id(), Command::Pause(asked())).await.unwrap();
    until(async || kinds(&store, run.id()).await.contains(&"step.withdrawn")).await;
    there.gate.notify_waiters();
    run.progress().wait_for(|progress| progress.status == "paused").await.unwrap();
    until(async || store.offers(OfferQuery::default()).await.unwrap().items.is_empty()).await;
    assert_eq!(there.begun("a"), 1, "nothing begins");
    engine.command(run.id(), Command::Resume(asked())).await.unwrap();
    begun(&there, "a", 2).await;
    there.gate.notify_waiters();
    assert_eq!(run.wait().await.unwrap().status, "completed");
    worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn who_is_drained_gives_back_what_it_executes() {
    let (here, first, second) = (Puppet::new(), Puppet::new(), Puppet::new());
    let store = Arc::new(MemoryStore::new());
    let leaving = worker(&first, &store, "gpu").start().await.unwrap();
    let engine = driver(&here, &store).await;
    let flow = "\n        a: { uses: puppet, queue: gpu, with: { do: gate, effect: at_most_once } }";
    let run = started(&engine, flow).await;
    begun(&first, "a", 1).await;
    let _staying = worker(&second, &store, "gpu").start().await.unwrap();
    leaving.stop(Duration::ZERO).await;
    begun(&second, "a", 1).await;
    second.gate.notify_one();
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((first.begun("a"), second.begun("a")), (1, 1));
}

#[tokio::test]
async fn what_the_dead_have_claimed_begins_again_or_is_unknown() {
    for (effect, status) in [("idempotent", "completed"), ("at_most_once", "blocked")] {
        let (here, first, second) = (Puppet::new(), Puppet::new(), Puppet::new());
        let store = Arc::new(MemoryStore::new());
        let dying = worker(&first, &store, "gpu").start().await.unwrap();
        let engine = driver(&here, &store).await;
        let flow =
            format!("\n        a: {{ uses: puppet, queue: gpu, with: {{ do: gate, effect: {effect} }} }}");
        let run = started(&engine, &flow).await;
        begun(&first, "a", 1).await;
        let _staying = worker(&second, &store, "gpu").start().await.unwrap();
        // As it is for others when its time is over, or it is known to be dead.
        store.retire(dying.owner()).await.unwrap();
        // Whoever is the next: the dead one notices soon, and is somebody else then.
        let open = async {
            loop {
                first.gate.notify_one();
                second.gate.notify_one();
                tokio::task::yield_now().await;
            }
        };
        let mut progress = run.progress();
        tokio::select! {
            reached = progress.wait_for(|progress| progress.status == status) => drop(reached.unwrap()),
            () = open => {}
        }
        let begun = first.begun("a") + second.begun("a");
        assert_eq!(begun, 1 + u32::from(effect == "idempotent"), "{effect}");
        if effect == "at_most_once" {
            assert_eq!(run.report().await.unwrap().steps[0].status, "outcome_unknown");
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_person_goes_on_elsewhere() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "gpu").start().await.unwrap();
    let engine = driver(&here, &store).await;
    let run = started(&engine, "\n        a: { uses: puppet, queue: gpu, with: { do: approval } }").await;
    run.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    let asked = Asked { by: "kim".into(), reason: None };
    let decide = Decide { step: StepIx(0).into(), digest: None, approved: true, asked, via: "test".into() };
    engine.command(run.id(), Command::Decide(decide)).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((here.begun("a"), there.begun("a")), (0, 2));
}

#[tokio::test]
async fn a_run_outlives_its_driver_while_others_execute() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "gpu").start().await.unwrap();
    let engine = driver(&here, &store).await;
    let flow = "\n        a: { uses: puppet, queue: gpu, with: { do: gate } }\n        b: { uses: puppet, needs: a, queue: gpu }";
    let run = started(&engine, flow).await;
    begun(&there, "a", 1).await;
    engine.stop(Duration::ZERO).await;
    let row = store.run(run.id()).await.unwrap().unwrap();
    assert_eq!((row.driver, row.due_at), (None, None), "nobody need drive it");
    there.gate.notify_one();
    // The worker takes it up when there is something in its inbox, and drives it to its end.
    until(async || store.run(run.id()).await.unwrap().unwrap().finished_at.is_some()).await;
    assert_eq!((there.begun("a"), there.begun("b")), (1, 1));
}

#[tokio::test]
async fn lines_of_output_come_along() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "gpu").start().await.unwrap();
    let engine = driver(&here, &store).await;
    let run = started(&engine, "\n        a: { uses: puppet, queue: gpu, with: { do: say } }").await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    let query = LogQuery { run: run.id(), step: None, after: 0, tail: false, limit: 9 };
    let lines = store.logs(query).await.unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| &*line.line.text).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[tokio::test]
async fn an_inbox_that_cannot_be_read_holds_up_nobody_and_is_read_once_it_can_be() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let _worker = worker(&there, &store, "gpu").start().await.unwrap();
    let spoiled = Brake::new(store.clone(), i64::MAX);
    spoiled.spoiled.store(true, Ordering::SeqCst);
    let engine = engine(&here).store(spoiled.clone()).start().await.unwrap();
    let run = started(
        &engine,
        "
        a: { uses: puppet, queue: gpu }
        b: { uses: puppet, with: { do: gate } }",
    )
    .await;
    until(async || store.inbox(run.id()).await.unwrap().rows.len() == 1).await;
    begun(&here, "b", 1).await;
    here.gate.notify_one();
    let mut progress = run.progress();
    let goes_on = progress.wait_for(|progress| progress.done == 1);
    tokio::time::timeout(Duration::from_secs(20), goes_on).await.expect("its driver goes on").unwrap();
    assert_eq!(store.inbox(run.id()).await.unwrap().rows.len(), 1, "it stays");
    spoiled.spoiled.store(false, Ordering::SeqCst);
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((there.begun("a"), here.begun("b")), (1, 1));
}

/// Lets everybody do what there is to do at this time of the clock.
async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_offered_is_not_taken_back_for_want_of_a_new_look_at_others() {
    let (here, clock) = (Puppet::new(), Arc::<HandClock>::default());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    // One that is alive and busy: it claims nothing.
    let ttl = Duration::from_millis(1_500);
    let busy = OwnerId::from_uuid(Uuid::now_v7());
    let owner =
        NewOwner { id: busy, ttl, label: "busy".into(), serves: serves(&["gpu"], []), outside: false };
    store.register(owner).await.unwrap();
    let begun = store.now().await.unwrap();
    let engine = engine(&here).store(store.clone()).clock(clock.clone()).start().await.unwrap();
    let run = started(
        &engine,
        "
        a: { uses: puppet, queue: gpu }
        b: { uses: puppet, queue: nobodys }
        c: { uses: puppet, with: { do: gate } }",
    )
    .await;
    while !kinds(&store, run.id()).await.contains(&"step.offered") {
        clock.pass(Duration::from_millis(20));
        settle().await;
    }
    // Others are looked for once more; of `b` there is nothing new.
    clock.pass(Duration::from_millis(1_020));
    settle().await;
    assert!(store.now().await.unwrap().since(begun) < ttl, "it was seen alive");
    assert!(matches!(store.renew(busy, ttl).await.unwrap(), Renewal::Alive(_)));
    // As far as it was seen, its time is over: but nobody has looked.
    clock.pass((begun + ttl.mul_f64(1.1)).since(store.now().await.unwrap()));
    here.gate.notify_one();
    run.progress().wait_for(|progress| progress.done == 1).await.unwrap();
    settle().await;
    let kinds = kinds(&store, run.id()).await;
    assert!(!kinds.contains(&"step.withdrawn"), "{kinds:?}");
}
