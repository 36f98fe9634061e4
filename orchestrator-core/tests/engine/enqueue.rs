//! Many runs in one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use orchestrator_core::engine::{Engine, StartError};
use orchestrator_core::port::store::{RunQuery, Store, StoreError};
use orchestrator_core::spec::Workflow;
use orchestrator_core::{MemoryStore, StartRun};
use serde_json::json;

use crate::bench::{Puppet, engine};
use crate::brake::Brake;

const FLOW: &str = "name: job\ninputs: { order: { type: integer } }\nsteps:\n  a: { uses: puppet }\n";

/// An engine that leaves what it creates to others, and what is to be created.
async fn client(store: Arc<dyn Store>) -> (Engine, Arc<Workflow>) {
    let client = engine(&Puppet::new()).store(store).start().await.unwrap();
    let flow = client.parse(FLOW).unwrap().workflow;
    (client, Arc::new(flow))
}

fn job(flow: &Arc<Workflow>, order: usize) -> StartRun {
    StartRun::new(flow.clone()).input("order", order)
}

async fn count(store: &dyn Store) -> usize {
    store.list_runs(RunQuery { limit: usize::MAX, ..RunQuery::default() }).await.unwrap().items.len()
}

#[tokio::test]
async fn many_runs_are_created_in_their_order() {
    let store = Arc::new(MemoryStore::default());
    let (client, flow) = client(store.clone()).await;
    let answers =
        client.enqueue_all((0..600).map(|order| job(&flow, order).label("order", order.to_string()))).await;
    assert_eq!(answers.len(), 600);
    for (order, answer) in answers.into_iter().enumerate() {
        let row = store.run(answer.unwrap()).await.unwrap().unwrap();
        assert_eq!((row.new.labels["order"].as_str(), row.status.as_ref()), (&*order.to_string(), "pending"));
    }
    assert_eq!(count(&*store).await, 600);
    assert!(client.enqueue_all(Vec::<StartRun>::new()).await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_one_harms_no_other() {
    let store = Arc::new(MemoryStore::default());
    let (client, flow) = client(store.clone()).await;
    let unknown = "name: other\nsteps:\n  a: { uses: nobody }\n";
    let mine =
        Engine::builder().step("nobody", |_: serde_json::Value| async { Ok(()) }).start().await.unwrap();
    let unknown = mine.parse(unknown).unwrap().workflow;
    let starts = [
        job(&flow, 0),
        StartRun::new(flow.clone()).input("order", "many"),
        StartRun::new(unknown),
        job(&flow, 1).idempotency_key(""),
        job(&flow, 2),
    ];
    let answers = client.enqueue_all(starts).await;
    assert!(matches!(
        &answers[..],
        [
            Ok(_),
            Err(StartError::Inputs(_)),
            Err(StartError::UnknownPlugin { .. }),
            Err(StartError::Invalid(_)),
            Ok(_)
        ]
    ));
    assert_eq!(count(&*store).await, 2);
}

#[tokio::test]
async fn runs_that_are_handed_in_again_are_the_first_ones() {
    let store = Arc::new(MemoryStore::default());
    let (client, flow) = client(store.clone()).await;
    let keyed = |order: usize| job(&flow, order).idempotency_key(format!("order-{order}"));
    let first: Vec<_> = client.enqueue_all((0..300).map(keyed)).await;
    let first: Vec<_> = first.into_iter().map(Result::unwrap).collect();
    // Some that are known, among others that are not, and one key with another content.
    let mixed = (0..300).step_by(3).map(keyed).chain((300..400).map(keyed));
    let mixed = mixed.chain([job(&flow, 7).idempotency_key("order-8")]);
    let mut answers = client.enqueue_all(mixed).await;
    assert!(matches!(answers.pop(), Some(Err(StartError::KeyReused { run })) if run == first[8]));
    for (at, answer) in answers.iter().take(100).enumerate() {
        assert_eq!(answer.as_ref().unwrap(), &first[3 * at]);
    }
    assert_eq!(count(&*store).await, 400);
    // The same key several times in one call.
    let answers = client.enqueue_all((0..3).map(|_| keyed(500))).await;
    let one = answers[0].as_ref().unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == one));
    assert_eq!(count(&*store).await, 401);
}

#[tokio::test]
async fn of_ten_thousand_few_are_held_at_a_time() {
    let store = Arc::new(MemoryStore::default());
    let (client, flow) = client(store.clone()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let held = Arc::strong_count(&flow);
    let starts = (0..10_000).map(|order| {
        asked.fetch_add(1, Ordering::Relaxed);
        // Each that is not written yet has the text of its workflow.
        most.fetch_max(Arc::strong_count(&flow.text) - held, Ordering::Relaxed);
        job(&flow, order)
    });
    let answers = client.enqueue_all(starts).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((answers.len(), asked.load(Ordering::Relaxed)), (10_000, 10_000));
    assert_eq!(count(&*store).await, 10_000);
    let most = most.load(Ordering::Relaxed);
    assert!(most < 3_000, "{most} were held at a time");
}

#[tokio::test]
async fn large_ones_are_held_by_their_bytes() {
    let store = Arc::new(MemoryStore::default());
    let (client, _) = client(store.clone()).await;
    let text = "name: large\ninputs: { text: { type: string } }\nsteps:\n  a: { uses: puppet }\n";
    let flow = Arc::new(client.parse(text).unwrap().workflow);
    let text = "x".repeat(1 << 20);
    let starts = (0..12).map(|number| {
        StartRun::new(flow.clone())
            .input("text", json!(format!("{number}{text}")))
            .label("n", number.to_string())
    });
    let answers = client.enqueue_all(starts).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(count(&*store).await, 12);
}

#[tokio::test]
async fn once_the_store_is_gone_nothing_more_is_tried() {
    let memory = Arc::new(MemoryStore::default());
    let store = Brake::new(memory.clone(), 0);
    let (client, flow) = client(store.clone()).await;
    let answers = client.enqueue_all((0..5_000).map(|order| job(&flow, order))).await;
    let gone = |answer: &Result<_, _>| matches!(answer, Err(StartError::Store(StoreError::Unavailable(_))));
    assert!(answers.len() == 5_000 && answers.iter().all(gone));
    assert_eq!(count(&*memory).await, 0);
}

#[tokio::test]
async fn callers_that_come_together_are_written_together() {
    // So many commits are passed on, and no more: were each run written by itself, most would be refused.
    let store = Brake::new(Arc::new(MemoryStore::default()), 100);
    let (client, flow) = client(store).await;
    let answers = client.enqueue_all((0..1_000).map(|order| job(&flow, order))).await;
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_worker_carries_out_what_was_left_at_once() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let (client, flow) = client(store.clone()).await;
    let runs = client.enqueue_all((0..500).map(|order| job(&flow, order))).await;
    let look = Some(Duration::from_millis(20));
    let worker = engine(&puppet).store(store.clone()).slots(64).poll(look).start().await.unwrap();
    let open = || RunQuery { open: true, limit: 1, ..RunQuery::default() };
    while !store.list_runs(open()).await.unwrap().items.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!((runs.len(), puppet.begun("a")), (500, 500));
    worker.stop(Duration::ZERO).await;
}
