//! What an engine takes up, carried out by its host.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{Engine, EngineBuilder, Work};
use orchestrator_core::port::queue::Ticket;
use orchestrator_core::port::store::{OfferQuery, Serves, Store};
use orchestrator_core::{MemoryStore, RunId};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::bench::{Puppet, engine, workflow};

const LOOK: Duration = Duration::from_millis(5);

fn builder(puppet: &Arc<Puppet>, store: &Arc<MemoryStore>) -> EngineBuilder {
    engine(puppet).store(store.clone()).poll(Some(LOOK))
}

/// An engine whose host takes work from a channel.
async fn handed(puppet: &Arc<Puppet>, store: &Arc<MemoryStore>) -> (Engine, UnboundedReceiver<Work>) {
    let (sender, receiver) = unbounded_channel();
    let serves = Serves { queues: vec!["gpu".into()], ..Serves::default() };
    let builder = builder(puppet, store).serve(serves);
    // What nobody receives is dropped with the answer.
    let engine = builder.hand_out(move |work| drop(sender.send(work))).start().await.unwrap();
    (engine, receiver)
}

/// Leaves a run to whoever looks for due runs.
async fn enqueued(engine: &Engine, steps: &str) -> RunId {
    engine.enqueue(workflow(engine, steps)).await.unwrap()
}

/// Waits until a run has ended: how.
async fn ended(engine: &Engine, run: RunId) -> String {
    loop {
        let report = engine.report(run).await.unwrap().unwrap();
        if report.finished_at.is_some() {
            return report.status;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until a step has begun so often.
async fn begun(puppet: &Puppet, step: &str, times: u32) {
    while puppet.begun(step) < times {
        tokio::task::yield_now().await;
    }
}

const GATE: &str = "\n        a: { uses: puppet, queue: gpu, with: { do: gate } }";

#[tokio::test]
async fn a_due_run_waits_for_its_host_and_lasts_until_it_is_let_go() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    let (engine, mut received) = handed(&puppet, &store).await;
    let run = enqueued(&engine, GATE).await;
    let work = received.recv().await.unwrap();
    assert_eq!(work.ticket(), Ticket::Run { run });
    assert_eq!(store.run(run).await.unwrap().unwrap().driver, None, "nobody carries it out yet");
    let carried = tokio::spawn(work.carry_out());
    begun(&puppet, "a", 1).await;
    assert!(!carried.is_finished(), "it is driven");
    puppet.gate.notify_one();
    carried.await.unwrap();
    assert_eq!(store.run(run).await.unwrap().unwrap().driver, None, "it is let go");
    assert_eq!(ended(&engine, run).await, "completed");
}

#[tokio::test]
async fn an_offer_waits_for_its_host_and_lasts_until_it_is_delivered() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let (worker, mut received) = handed(&there, &store).await;
    // It drives the run, and what it says itself is executed elsewhere.
    let driver = engine(&here).store(store.clone()).start().await.unwrap();
    let run = driver.start(workflow(&driver, GATE)).await.unwrap();
    let work = received.recv().await.unwrap();
    let Ticket::Step(ticket) = work.ticket() else { panic!("{work:?}") };
    assert_eq!((ticket.run, ticket.attempt), (run.id(), 1));
    let free = OfferQuery { free: true, limit: 9, ..OfferQuery::default() };
    assert_eq!(store.offers(free).await.unwrap().items.len(), 1, "nobody has claimed it");
    let carried = tokio::spawn(work.carry_out());
    begun(&there, "a", 1).await;
    assert!(!carried.is_finished(), "it is executed");
    there.gate.notify_one();
    carried.await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((here.begun("a"), there.begun("a")), (0, 1));
    worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn what_nobody_takes_is_carried_out_by_the_engine() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    let (engine, received) = handed(&puppet, &store).await;
    let waiting = enqueued(&engine, "\n        a: { uses: puppet, queue: gpu }").await;
    while received.is_empty() {
        tokio::task::yield_now().await;
    }
    // With what is in it.
    drop(received);
    let later = enqueued(&engine, "\n        a: { uses: puppet, queue: gpu }").await;
    for run in [waiting, later] {
        assert_eq!(ended(&engine, run).await, "completed");
    }
    assert_eq!(puppet.begun("a"), 2);
}

#[tokio::test]
async fn what_is_dropped_halfway_goes_on() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let (worker, mut received) = handed(&there, &store).await;
    let driver = engine(&here).store(store.clone()).start().await.unwrap();
    let offered = driver.start(workflow(&driver, GATE)).await.unwrap();
    let step = tokio::spawn(received.recv().await.unwrap().carry_out());
    begun(&there, "a", 1).await;
    let due = enqueued(&worker, GATE).await;
    let run = tokio::spawn(received.recv().await.unwrap().carry_out());
    begun(&there, "a", 2).await;
    for host in [step, run] {
        host.abort();
        assert!(host.await.unwrap_err().is_cancelled());
    }
    there.gate.notify_waiters();
    assert_eq!(offered.wait().await.unwrap().status, "completed");
    assert_eq!(ended(&worker, due).await, "completed");
    assert_eq!(there.begun("a"), 2, "nothing was executed again");
    worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_host_that_panics_loses_nothing() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    let (engine, mut received) = handed(&puppet, &store).await;
    let run = enqueued(&engine, "\n        a: { uses: puppet, queue: gpu }").await;
    let work = received.recv().await.unwrap();
    let handler = tokio::spawn(async move { panic!("as told, with {work:?}") });
    assert!(handler.await.unwrap_err().is_panic());
    assert_eq!(ended(&engine, run).await, "completed");
    // Where it takes work, too.
    let nervous = builder(&puppet, &store).hand_out(|work| panic!("as told, of {work:?}"));
    let nervous = nervous.start().await.unwrap();
    let run = nervous.start(workflow(&nervous, "\n        b: { uses: puppet }")).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_eq!((puppet.begun("a"), puppet.begun("b")), (1, 1));
}

#[tokio::test]
async fn a_stop_waits_for_what_the_host_carries_out() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::new()));
    let (engine, mut received) = handed(&puppet, &store).await;
    let run = enqueued(&engine, GATE).await;
    let carried = tokio::spawn(received.recv().await.unwrap().carry_out());
    begun(&puppet, "a", 1).await;
    engine.stop(Duration::ZERO).await;
    carried.await.unwrap();
    let row = store.run(run).await.unwrap().unwrap();
    assert_eq!((row.driver, row.finished_at), (None, None), "somebody else may go on");
}
