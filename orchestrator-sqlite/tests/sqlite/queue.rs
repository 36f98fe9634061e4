//! The queue of a store: what the kit of queues cannot see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::id::RunId;
use orchestrator_core::port::queue::{
    Delivery, LetterOrder, ListLetters, MAX_TICKETS, NewTicket, Publish, Queue, QueueError, Receive, Settle,
    Settled, Settlement, Ticket, Wait, Woken,
};
use orchestrator_core::port::store::{Prune, Store};
use orchestrator_core::time::Timestamp;
use orchestrator_sqlite::{Options, SqliteQueue, SqliteStore};
use uuid::Uuid;

use crate::place::Folder;

const LONG: Duration = Duration::from_secs(3600);

fn numbered(project: &str, number: u128) -> NewTicket {
    NewTicket {
        queue: "q".into(),
        project: project.into(),
        priority: 0,
        after: Duration::ZERO,
        ticket: Ticket::Run { run: RunId::from_uuid(Uuid::from_u128(number)) },
    }
}

async fn publish(queue: &SqliteQueue, project: &str, number: u128) {
    queue.publish(Publish { tickets: vec![numbered(project, number)] }).await.unwrap();
}

async fn take(queue: &SqliteQueue) -> Result<Vec<Delivery>, QueueError> {
    queue.receive(Receive { queues: vec!["q".into()], max: 9, visibility: LONG }).await
}

async fn done(queue: &SqliteQueue, delivery: &Delivery) -> Result<Settled, QueueError> {
    queue.settle(Settle { receipt: delivery.receipt.clone(), how: Settlement::Done }).await
}

fn numbers(came: &[Delivery]) -> Vec<u128> {
    came.iter().map(|came| came.ticket.run().as_uuid().as_u128()).collect()
}

async fn turns(folder: &Folder) -> Vec<String> {
    let asked = sqlx::query_scalar("SELECT project FROM orchestrator_turns ORDER BY turn");
    asked.fetch_all(&mut folder.bare().await).await.unwrap()
}

#[tokio::test]
async fn a_queue_ends_without_its_store_and_not_the_other_way_round() {
    let folder = Folder::new();
    let store = folder.store().await;
    let (one, other) = (store.queue(), store.queue());
    publish(&one, "p", 1).await;
    one.close().await.unwrap();
    assert!(matches!(take(&one).await, Err(QueueError::Unavailable(_))));
    assert_eq!(numbers(&take(&other).await.unwrap()), [1]);
    store.now().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(take(&other).await, Err(QueueError::Unavailable(_))));
    let wait = Wait { queues: vec!["q".into()], timeout: LONG };
    assert!(matches!(other.wait(wait).await, Err(QueueError::Unavailable(_))));
}

#[tokio::test]
async fn a_ticket_that_cannot_be_read_keeps_nobody_from_the_others() {
    let folder = Folder::new();
    let queue = folder.store().await.queue();
    for number in 1..=3 {
        publish(&queue, "p", number).await;
    }
    let forged =
        sqlx::query("UPDATE orchestrator_tickets SET ticket = '{\"kind\":\"walk\"}' WHERE arrival = 1");
    assert_eq!(forged.execute(&mut folder.bare().await).await.unwrap().rows_affected(), 1);
    assert_eq!(numbers(&take(&queue).await.unwrap()), [2, 3]);
    let wait = Wait { queues: vec!["q".into()], timeout: Duration::ZERO };
    assert_eq!(queue.wait(wait).await, Ok(Woken::TimedOut), "nobody comes for it again and again");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM orchestrator_tickets")
        .fetch_one(&mut folder.bare().await)
        .await
        .unwrap();
    assert_eq!(left, 2, "it is no ticket any more");
    let list = ListLetters { queue: None, order: LetterOrder::default(), after: None, limit: 9 };
    let letters = queue.letters(list).await.unwrap();
    assert_eq!(letters.iter().map(|letter| &*letter.text).collect::<Vec<_>>(), [r#"{"kind":"walk"}"#]);
}

#[tokio::test]
async fn turns_of_projects_without_tickets_are_pruned() {
    let folder = Folder::new();
    let store = folder.store().await;
    let queue = store.queue();
    for (project, number) in [("idle", 1), ("busy", 2)] {
        publish(&queue, project, number).await;
    }
    let came = take(&queue).await.unwrap();
    assert_eq!(done(&queue, &came[0]).await, Ok(Settled::Taken));
    assert_eq!(turns(&folder).await, ["idle", "busy"]);
    let prune = Prune { project: None, before: Timestamp::from_millis(0), limit: 9, dry: false };
    store.prune(prune).await.unwrap();
    assert_eq!(turns(&folder).await, ["busy"]);
    // It begins anew, behind who waits.
    publish(&queue, "busy", 3).await;
    publish(&queue, "idle", 4).await;
    assert_eq!(numbers(&take(&queue).await.unwrap()), [3, 4]);
}

#[tokio::test]
async fn tickets_move_with_their_store() {
    let (here, there) = (Folder::new(), Folder::new());
    let store = here.store().await;
    let queue = store.queue();
    publish(&queue, "p", 1).await;
    let came = take(&queue).await.unwrap();
    publish(&queue, "p", 2).await;
    let target =
        SqliteStore::open(there.file().to_str().unwrap(), Options::default().as_it_is()).await.unwrap();
    store.copy_to(&target, &|_| ()).await.unwrap();
    assert!(matches!(take(&queue).await, Err(QueueError::Unavailable(why)) if why.contains("sealed")));
    let moved = there.store().await.queue();
    assert_eq!(numbers(&take(&moved).await.unwrap()), [2]);
    assert_eq!(done(&moved, &came[0]).await, Ok(Settled::Taken), "a receipt holds there as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_while_it_receives_gives_back_what_it_would_have_had() {
    let folder = Folder::new();
    let queue = folder.store().await.queue();
    for number in 1..=3 {
        publish(&queue, "p", number).await;
    }
    let mut writes = folder.bare().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut writes).await.unwrap();
    // It has begun, and waits for who writes.
    assert!(tokio::time::timeout(Duration::from_millis(100), take(&queue)).await.is_err());
    sqlx::query("ROLLBACK").execute(&mut writes).await.unwrap();
    let came = take(&queue).await.unwrap();
    assert_eq!(numbers(&came), [1, 2, 3], "nobody has it, and the order is as it was");
}

/// Reading all tickets for each that is looked at takes seconds for each that is given.
#[tokio::test]
async fn what_is_not_given_is_not_read() {
    const MANY: u128 = 5_000;
    let folder = Folder::new();
    let queue = folder.store().await.queue();
    let all: Vec<NewTicket> = (0..MANY).map(|at| numbered(&format!("p{}", at % 50), at)).collect();
    for tickets in all.chunks(MAX_TICKETS) {
        queue.publish(Publish { tickets: tickets.to_vec() }).await.unwrap();
    }
    let begun = Instant::now();
    for round in 0..10 {
        let receive = Receive { queues: vec!["q".into()], max: 2, visibility: LONG };
        assert_eq!(numbers(&queue.receive(receive).await.unwrap()), [round * 2, round * 2 + 1]);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn as_many_are_given_as_there_are_whatever_is_asked_for_twice() {
    let folder = Folder::new();
    let queue = folder.store().await.queue();
    publish(&queue, "p", 1).await;
    publish(&queue, "p", 2).await;
    let named = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    // Three are asked for as four.
    for (queues, number) in [(named(&["q", "r", "q"]), 1), (named(&["r", "q", "q", "q", "s"]), 2)] {
        let receive = Receive { queues, max: 1, visibility: Duration::ZERO };
        let came = queue.receive(receive).await.unwrap();
        assert_eq!(numbers(&came), [number]);
        assert_eq!(came[0].count, 1);
    }
    let receive = Receive { queues: named(&["q", "r", "q"]), max: 2, visibility: LONG };
    assert_eq!(numbers(&queue.receive(receive).await.unwrap()), [1, 2]);
}

async fn waited(queue: &SqliteQueue) -> Duration {
    let begun = Instant::now();
    let wait = Wait { queues: vec!["q".into()], timeout: LONG };
    assert_eq!(queue.wait(wait).await, Ok(Woken::Rung));
    begun.elapsed()
}

/// Whoever only looks each second is later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_when_it_is_time() {
    const ROUNDS: u32 = 8;
    let folder = Folder::new();
    let (queue, other) = (folder.store().await.queue(), folder.store().await.queue());
    let mut late = Duration::ZERO;
    for round in 0..ROUNDS {
        // By the same handle, by another process, and by the clock.
        let (from, after) = match round % 3 {
            0 => (&queue, 0),
            1 => (&other, 0),
            _ => (&other, 150),
        };
        let after = Duration::from_millis(after);
        let new = NewTicket { after, ..numbered("p", u128::from(round)) };
        let publish = async {
            // Until it waits indeed.
            assert!(
                tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.is_err()
            );
            from.publish(Publish { tickets: vec![new] }).await.unwrap();
            Instant::now()
        };
        let (waited, published) = tokio::join!(
            async {
                waited(&queue).await;
                Instant::now()
            },
            publish
        );
        late += waited.saturating_duration_since(published).saturating_sub(after);
        assert_eq!(take(&queue).await.unwrap().len(), 1);
    }
    assert!(late < Duration::from_millis(200) * ROUNDS, "{:?} each time", late / ROUNDS);
}

#[tokio::test]
async fn milliseconds_count() {
    let folder = Folder::new();
    let queue = folder.store().await.queue();
    publish(&queue, "p", 1).await;
    let visibility = Duration::from_millis(900);
    let receive = Receive { queues: vec!["q".into()], max: 1, visibility };
    assert_eq!(numbers(&queue.receive(receive.clone()).await.unwrap()), [1]);
    assert_eq!(numbers(&queue.receive(receive).await.unwrap()), [0; 0], "it is hidden, less than a second");
    assert!(waited(&queue).await < Duration::from_secs(2));
}
