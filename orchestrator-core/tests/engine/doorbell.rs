//! Engines that ring for each other by a queue, and queues of which nothing can be expected.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engine::{Engine, EngineBuilder, RUNS_QUEUE, StartRun};
use orchestrator_core::memory::MemoryQueue;
use orchestrator_core::port::queue::{
    Clear, Count, Counted, DeadLetter, Delivery, LetterOrder, ListLetters, NewTicket, Publish, Queue,
    QueueError, QueueInfo, Receive, Settle, Settled, Ticket, Wait, Woken,
};
use orchestrator_core::port::store::{Serves, Store};
use orchestrator_core::{MemoryStore, RunId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bench::{Puppet, engine, workflow};
use crate::brake::Brake;

/// Nobody waits for so long here.
const HOUR: Duration = Duration::from_secs(3600);

/// What is wrong with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// It takes its time to publish.
    Slow,
    /// It takes tickets, and never has any.
    Loses,
    /// Each comes five times, in another order, and the last ones once more with the next.
    Doubles,
    Fails,
    /// It never answers.
    Hangs,
}

#[derive(Debug)]
struct Bell {
    right: MemoryQueue,
    fault: Fault,
    last: Mutex<Vec<NewTicket>>,
}

impl Bell {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self { right: MemoryQueue::new(), fault, last: Mutex::default() })
    }

    async fn answers(&self) -> Result<(), QueueError> {
        match self.fault {
            Fault::Fails => Err(QueueError::Unavailable("as told".to_owned())),
            Fault::Hangs => pending().await,
            _ => Ok(()),
        }
    }

    async fn letters_now(&self) -> Vec<DeadLetter> {
        let list = ListLetters { queue: None, order: LetterOrder::OldestFirst, after: None, limit: 99 };
        self.right.letters(list).await.unwrap()
    }

    async fn take(&self, queue: &str, visibility: Duration) -> Vec<Delivery> {
        self.right.receive(Receive { queues: vec![queue.into()], max: 99, visibility }).await.unwrap()
    }

    async fn put(&self, run: RunId) {
        let ticket = Ticket::Run { run };
        let (queue, project, after) = (RUNS_QUEUE.into(), "".into(), Duration::ZERO);
        let new = NewTicket { queue, project, priority: 0, after, ticket };
        self.right.publish(Publish { tickets: vec![new] }).await.unwrap();
    }

    async fn is_empty(&self, queue: &str) -> bool {
        let wait = Wait { queues: vec![queue.into()], timeout: Duration::ZERO };
        self.right.wait(wait).await == Ok(Woken::TimedOut)
    }
}

#[async_trait]
impl Queue for Bell {
    fn describe(&self) -> QueueInfo {
        self.right.describe()
    }

    async fn publish(&self, publish: Publish) -> Result<(), QueueError> {
        self.answers().await?;
        match self.fault {
            Fault::Loses => return Ok(()),
            Fault::Slow => {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            }
            Fault::Doubles => {
                let mut tickets = std::mem::replace(&mut *self.last.lock().unwrap(), publish.tickets.clone());
                for round in 0..5 {
                    let mut again = publish.tickets.clone();
                    again.rotate_left(round % publish.tickets.len().max(1));
                    again.reverse();
                    tickets.extend(again);
                }
                for some in tickets.chunks(200) {
                    self.right.publish(Publish { tickets: some.to_vec() }).await?;
                }
                return Ok(());
            }
            _ => {}
        }
        self.right.publish(publish).await
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Delivery>, QueueError> {
        self.answers().await?;
        self.right.receive(receive).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError> {
        self.answers().await?;
        self.right.settle(settle).await
    }

    async fn letters(&self, list: ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        self.answers().await?;
        self.right.letters(list).await
    }

    async fn clear(&self, clear: Clear) -> Result<Settled, QueueError> {
        self.answers().await?;
        self.right.clear(clear).await
    }

    async fn count(&self, count: Count) -> Result<Vec<Counted>, QueueError> {
        self.answers().await?;
        self.right.count(count).await
    }

    async fn wait(&self, wait: Wait) -> Result<Woken, QueueError> {
        self.answers().await?;
        self.right.wait(wait).await
    }

    async fn close(&self) -> Result<(), QueueError> {
        self.right.close().await
    }
}

fn gpu() -> Serves {
    Serves { queues: vec!["gpu".into()], labels: BTreeMap::new() }
}

fn with_bell(puppet: &Arc<Puppet>, store: Arc<dyn Store>, bell: &Arc<Bell>) -> EngineBuilder {
    engine(puppet).store(store).queue(bell.clone())
}

fn job(engine: &Engine) -> StartRun {
    StartRun::new(workflow(engine, "a: { uses: puppet }"))
}

async fn is_completed(store: &MemoryStore, run: RunId) -> bool {
    store.run(run).await.unwrap().is_some_and(|row| &*row.status == "completed")
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_rung_for_takes_up_what_is_due_at_once() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let bell = Bell::new(Fault::Nothing);
    // Nothing else would tell it: it looks once a second.
    let worker = with_bell(&there, Brake::deaf(store.clone()), &bell).poll(Some(HOUR)).start().await.unwrap();
    let client = with_bell(&here, store.clone(), &bell).start().await.unwrap();
    let begun = Instant::now();
    for round in 1..=8 {
        let began = there.began.notified();
        client.enqueue(job(&client)).await.unwrap();
        began.await;
        assert_eq!(there.begun("a"), round);
    }
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
    worker.stop(Duration::ZERO).await;
    client.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn an_offer_rings_for_who_serves_and_its_end_for_who_drives() {
    let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
    let bell = Bell::new(Fault::Nothing);
    let deaf = || Brake::deaf(store.clone());
    let worker = with_bell(&there, deaf(), &bell).poll(Some(HOUR)).serve(gpu()).start().await.unwrap();
    let driver = with_bell(&here, deaf(), &bell).start().await.unwrap();
    let flow = (0..8).map(|step| match step {
        0 => "s0: { uses: puppet, queue: gpu }\n".to_owned(),
        _ => format!("s{step}: {{ uses: puppet, queue: gpu, needs: s{} }}\n", step - 1),
    });
    let flow = workflow(&driver, &flow.collect::<String>());
    let begun = Instant::now();
    let report = driver.start(flow).await.unwrap().wait().await.unwrap();
    assert_eq!((&*report.status, there.begun("s7")), ("completed", 1));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let owners = [driver.owner(), worker.owner()];
    worker.stop(Duration::ZERO).await;
    driver.stop(Duration::ZERO).await;
    for owner in owners {
        assert!(bell.is_empty(&owner.to_string()).await, "nothing is left for who is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_tickets_runs_end() {
    for fault in [Fault::Loses, Fault::Doubles, Fault::Fails, Fault::Hangs] {
        let (here, there, store) = (Puppet::new(), Puppet::new(), Arc::new(MemoryStore::new()));
        let bell = Bell::new(fault);
        let worker = with_bell(&there, store.clone(), &bell).poll(Some(Duration::from_millis(200)));
        let worker = worker.serve(Serves { queues: vec!["gpu".into(), "default".into()], ..gpu() });
        let worker = worker.start().await.unwrap();
        let driver = with_bell(&here, store.clone(), &bell).start().await.unwrap();
        let begun = Instant::now();
        let steps = "
            a: { uses: puppet, queue: gpu }
            b: { uses: puppet, needs: a }
            c: { uses: puppet, needs: b, queue: gpu }";
        let driven = driver.start(workflow(&driver, steps)).await.unwrap();
        for answer in driver.enqueue_all((0..40).map(|_| job(&driver))).await {
            answer.unwrap();
        }
        assert_eq!(&*driven.wait().await.unwrap().status, "completed", "{fault:?}");
        while there.begun("a") < 41 {
            tokio::time::timeout(Duration::from_secs(60), there.began.notified()).await.unwrap_or_else(
                |_| {
                    panic!("{fault:?}: {} of 41 have begun", there.begun("a"));
                },
            );
        }
        assert_eq!((there.begun("a"), there.begun("c")), (41, 1), "{fault:?}: each once");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{fault:?} holds nobody up: {took:?}");
        let begun = Instant::now();
        worker.stop(Duration::from_secs(1)).await;
        driver.stop(Duration::from_secs(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(6), "{fault:?}: {:?}", begun.elapsed());
        assert_eq!(bell.letters_now().await, [], "{fault:?}: each was of use");
    }
}

#[tokio::test]
async fn what_is_of_no_use_to_anybody_is_buried() {
    let (here, store, bell) = (Puppet::new(), Arc::new(MemoryStore::new()), Bell::new(Fault::Nothing));
    let alone = engine(&here).store(store.clone()).start().await.unwrap();
    let ended = alone.start(workflow(&alone, "a: { uses: puppet }")).await.unwrap();
    ended.wait().await.unwrap();
    // Nobody who was given it has lived to settle it.
    bell.put(ended.id()).await;
    for _ in 0..16 {
        assert_eq!(bell.take(RUNS_QUEUE, Duration::ZERO).await.len(), 1);
    }
    let worker = with_bell(&here, store.clone(), &bell).poll(Some(HOUR)).start().await.unwrap();
    until(async || !bell.letters_now().await.is_empty()).await;
    let letters = bell.letters_now().await;
    assert_eq!((letters[0].count, letters[0].ticket), (17, Some(Ticket::Run { run: ended.id() })));
    let nobody = RunId::from_uuid(Uuid::from_u128(7));
    bell.put(nobody).await;
    // One of a run that has ended is done with.
    bell.put(ended.id()).await;
    until(async || bell.letters_now().await.len() == 2 && bell.is_empty(RUNS_QUEUE).await).await;
    worker.stop(Duration::ZERO).await;
    let letters = bell.letters_now().await;
    assert_eq!(&*letters[1].reason, &*format!("the store knows no run {nobody}"));
    assert_eq!(letters.len(), 2);
}

#[tokio::test]
async fn what_is_rung_for_is_published_before_an_engine_has_stopped() {
    let (here, store, bell) = (Puppet::new(), Arc::new(MemoryStore::new()), Bell::new(Fault::Slow));
    let client = with_bell(&here, store.clone(), &bell).start().await.unwrap();
    let runs = client.enqueue_all((0..300).map(|_| job(&client))).await;
    client.stop(Duration::ZERO).await;
    let mut came = Vec::new();
    loop {
        let more = bell.take(RUNS_QUEUE, HOUR).await;
        if more.is_empty() {
            break;
        }
        came.extend(more.iter().map(|delivery| delivery.ticket.run()));
    }
    let mut runs: Vec<RunId> = runs.into_iter().map(Result::unwrap).collect();
    runs.sort_unstable();
    came.sort_unstable();
    assert_eq!(came, runs);
    assert!(!is_completed(&store, runs[0]).await, "nobody has taken it up");
}

#[tokio::test]
async fn what_is_not_committed_is_not_rung_for() {
    let (here, store, bell) = (Puppet::new(), Arc::new(MemoryStore::new()), Bell::new(Fault::Nothing));
    let client = with_bell(&here, Brake::new(store.clone(), 1), &bell).start().await.unwrap();
    let kept = client.enqueue(job(&client)).await.unwrap();
    client.enqueue(job(&client)).await.unwrap_err();
    client.stop(Duration::ZERO).await;
    let came = bell.take(RUNS_QUEUE, HOUR).await;
    assert_eq!(came.iter().map(|delivery| delivery.ticket.run()).collect::<Vec<_>>(), [kept]);
}
