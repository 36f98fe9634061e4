//! The queue of a store: that nobody waits for anybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::id::RunId;
use orchestrator_core::port::queue::{
    Delivery, NewTicket, Publish, Queue, Receive, Settle, Settled, Settlement, Ticket, Wait, Woken,
};
use orchestrator_postgres::PostgresQueue;
use sqlx::Executor;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::place::Base;

const LONG: Duration = Duration::from_secs(3600);

fn numbered(number: u128) -> NewTicket {
    NewTicket {
        queue: "q".into(),
        project: "p".into(),
        priority: 0,
        after: Duration::ZERO,
        ticket: Ticket::Run { run: RunId::from_uuid(Uuid::from_u128(number)) },
    }
}

async fn publish(queue: &PostgresQueue, numbers: std::ops::RangeInclusive<u128>) {
    queue.publish(Publish { tickets: numbers.map(numbered).collect() }).await.unwrap();
}

async fn take(queue: &PostgresQueue, max: usize) -> Vec<Delivery> {
    queue.receive(Receive { queues: vec!["q".into()], max, visibility: LONG }).await.unwrap()
}

fn numbers(came: &[Delivery]) -> Vec<u128> {
    came.iter().map(|came| came.ticket.run().as_uuid().as_u128()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_is_taking_is_passed_over() {
    let base = Base::new().await;
    let store = base.store().await;
    let (queue, other) = (store.queue(), store.queue());
    publish(&queue, 1..=4).await;
    // As one that is in the middle of receiving the first.
    let taking = "SELECT 1 FROM orchestrator_tickets ORDER BY arrival LIMIT 1 FOR UPDATE; \
                  SELECT 1 FROM orchestrator_turns FOR UPDATE";
    let mut receiver = base.database.begin(taking).await;
    let came = take(&queue, 2).await;
    assert_eq!(numbers(&came), [2, 3]);
    let settle = Settle { receipt: came[0].receipt.clone(), how: Settlement::Done };
    assert_eq!(queue.settle(settle).await, Ok(Settled::Taken));
    publish(&other, 5..=5).await;
    assert_eq!(numbers(&take(&other, 9).await), [4, 5]);
    receiver.execute("ROLLBACK").await.unwrap();
    assert_eq!(numbers(&take(&queue, 9).await), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_at_the_same_moment_finds_another() {
    const MANY: u128 = 12;
    let base = Base::new().await;
    let store = base.store().await;
    publish(&store.queue(), 1..=MANY).await;
    let mut receivers = JoinSet::new();
    for _ in 0..MANY {
        let queue = store.queue();
        receivers.spawn(async move { take(&queue, 1).await });
    }
    let came = receivers.join_all().await;
    assert!(came.iter().all(|came| came.len() == 1), "each has one");
    let mut all = numbers(&came.concat());
    all.sort_unstable();
    assert_eq!(all, (1..=MANY).collect::<Vec<_>>());
}

/// Two who publish the same new projects: he who waits for the other has not written yet what that one is about to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_publishes_waits_for_nobody_who_waits_for_him() {
    let base = Base::new().await;
    let queue = base.store().await.queue();
    let of = |project: &str, number| NewTicket { project: project.into(), ..numbered(number) };
    let mut other =
        base.database.begin("INSERT INTO orchestrator_turns (project, turn) VALUES ('a', 1)").await;
    let tickets = vec![of("b", 1), of("a", 2)];
    let publishing = tokio::spawn(async move { queue.publish(Publish { tickets }).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while base.database.ask(waiting).await == 0 {
        assert!(!publishing.is_finished(), "it has not waited");
    }
    other.execute("INSERT INTO orchestrator_turns (project, turn) VALUES ('b', 2)").await.unwrap();
    other.execute("COMMIT").await.unwrap();
    assert_eq!(publishing.await.unwrap(), Ok(()));
    assert_eq!(base.database.ask("SELECT count(*) FROM orchestrator_tickets").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_by_other_processes_at_once() {
    const ROUNDS: u32 = 10;
    let base = Base::new().await;
    let (queue, other) = (Arc::new(base.store().await.queue()), base.store().await.queue());
    let wait = |timeout| Wait { queues: vec!["q".into()], timeout };
    let mut late = Duration::ZERO;
    for round in 0..u128::from(ROUNDS) {
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.wait(wait(LONG)).await, Instant::now()) }
        });
        // Until it waits indeed.
        assert_eq!(other.wait(wait(Duration::from_millis(50))).await, Ok(Woken::TimedOut));
        let published = Instant::now();
        publish(&other, round..=round).await;
        let (woken, at) = waiting.await.unwrap();
        assert_eq!(woken, Ok(Woken::Rung));
        late += at.saturating_duration_since(published);
        assert_eq!(take(&queue, 9).await.len(), 1);
    }
    // Who only looks each second is later.
    assert!(late < Duration::from_millis(200) * ROUNDS, "{:?} each time", late / ROUNDS);
}
