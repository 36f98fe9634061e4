//! Servers that forget: nothing of it is an error for longer than it lasts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use orchestrator_core::port::queue::{
    Clear, Clearing, LetterOrder, ListLetters, NewTicket, Queue as _, QueueError, Settled, Woken,
};
use orchestrator_core::testkit::QueuePlace;
use orchestrator_redis::RedisQueue;
use orchestrator_redis::testkit::Server;

use crate::place::{Base, Desk, LONG, numbered, numbers};

/// The queue does everything that a queue does.
async fn works(queue: &RedisQueue, number: u128) {
    queue.put(vec![numbered(number), numbered(number + 1)]).await.unwrap();
    assert_eq!(queue.wait_for(LONG).await, Ok(Woken::Rung));
    let came = queue.take(99).await.unwrap();
    let of =
        |wanted| came.iter().find(|came| numbers(std::slice::from_ref(came)) == [wanted]).expect("it comes");
    assert_eq!(queue.done(of(number)).await, Ok(Settled::Taken));
    assert_eq!(queue.release(of(number + 1), Duration::ZERO).await, Ok(Settled::Taken));
    let again = queue.take(99).await.unwrap();
    assert_eq!(numbers(&again), [number + 1]);
    assert_eq!(queue.done(&again[0]).await, Ok(Settled::Taken));
}

#[tokio::test]
async fn what_is_flushed_is_gone_and_no_receipt_of_it_holds() {
    let server = Server::start();
    let base = Base::of(&server);
    let queue = base.queue().await;
    queue.put(vec![numbered(1), numbered(2)]).await.unwrap();
    let before = queue.take(1).await.unwrap();
    let _: String = base.ask(&["FLUSHALL"]).await;
    let _: String = base.ask(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(queue.done(&before[0]).await, Ok(Settled::Late));
    assert_eq!(queue.take(9).await, Ok(Vec::new()));
    assert_eq!(queue.wait_for(Duration::from_millis(1)).await, Ok(Woken::TimedOut));
    works(&queue, 10).await;
    queue.put(vec![numbered(3)]).await.unwrap();
    let after = queue.take(9).await.unwrap();
    assert_eq!(queue.done(&before[0]).await, Ok(Settled::Late), "a receipt is never used again");
    assert_eq!(queue.done(&after[0]).await, Ok(Settled::Taken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_goes_on_when_the_server_is_back() {
    let server = Server::start();
    let base = Base::of(&server);
    let (queue, other) = (base.queue().await, base.queue().await);
    let mut receipts = BTreeSet::new();
    for round in 0..3 {
        queue.put(vec![numbered(1)]).await.unwrap();
        let before = queue.take(1).await.unwrap();
        assert!(receipts.insert(before[0].receipt.clone()), "a receipt is never used again");
        let waiting = tokio::spawn({
            let base = Base::of(&server);
            async move {
                let queue = base.queue().await;
                queue.wait_for(LONG).await
            }
        });
        // It looks, in one script, and then waits.
        assert_eq!(other.wait_for(Duration::from_millis(50)).await, Ok(Woken::TimedOut));
        let begun = Instant::now();
        server.stop();
        let error = waiting.await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(800), "at once: {:?}", begun.elapsed());
        assert!(matches!(error, Err(QueueError::Unavailable(_))), "who waits is told: {error:?}");
        for queue in [&queue, &other] {
            let answers = [
                queue.put(vec![numbered(2)]).await.err(),
                queue.take(1).await.err(),
                queue.done(&before[0]).await.err(),
                queue.wait_for(LONG).await.err(),
                queue.wait_for(Duration::ZERO).await.err(),
            ];
            for error in answers {
                assert!(error.as_ref().is_some_and(QueueError::is_retryable), "{error:?}");
            }
        }
        server.resume();
        works(&queue, 10 * (round + 1)).await;
        works(&other, 10 * (round + 1)).await;
        assert_eq!(queue.done(&before[0]).await, Ok(Settled::Late));
    }
}

#[tokio::test]
async fn any_single_key_can_be_lost() {
    let base = Base::new();
    let queue = base.queue().await;
    let mut lost = BTreeSet::new();
    for round in 0.. {
        let first = 1000 * (round + 1);
        let all: Vec<NewTicket> = (0..12)
            .map(|nth| NewTicket {
                project: ["a", "b", "p"][nth as usize % 3].into(),
                after: if nth % 4 == 3 { LONG } else { Duration::ZERO },
                ..numbered(first + nth)
            })
            .collect();
        queue.put(all).await.unwrap();
        let buried = queue.take(1).await.unwrap();
        assert_eq!(queue.bury(&buried[0]).await, Ok(Settled::Taken));
        let held = queue.take(3).await.unwrap();
        let keys = base.keys().await;
        let Some(key) = keys.into_iter().find(|key| !lost.contains(key)) else { break };
        let _: u32 = base.ask(&["DEL", &format!("{}:{key}", base.prefix)]).await;
        lost.insert(key);
        for delivery in &held {
            queue.done(delivery).await.unwrap();
        }
        // Letters that are there can be listed, and cleared, whatever else is lost.
        let list = ListLetters { queue: None, order: LetterOrder::NewestFirst, after: None, limit: 9 };
        for letter in queue.letters(list).await.unwrap() {
            let clear = Clear { letter: letter.id, how: Clearing::Publish };
            assert_eq!(queue.clear(clear).await, Ok(Settled::Taken));
        }
        works(&queue, first + 100).await;
        base.pass(LONG * 2).await;
        works(&queue, first + 200).await;
        base.pass(LONG * 2).await;
        // Whatever there still is comes, and then there is nothing, and nothing that says there is.
        for delivery in queue.take(256).await.unwrap() {
            queue.done(&delivery).await.unwrap();
        }
        base.pass(LONG * 2).await;
        assert_eq!(queue.take(256).await, Ok(Vec::new()), "without {lost:?}");
        assert_eq!(queue.wait_for(Duration::ZERO).await, Ok(Woken::TimedOut), "without {lost:?}");
    }
    let expected = [
        "dead",
        "dead:q",
        "folds",
        "hidden:q",
        "number",
        "projects",
        "queues",
        "ready:q:a",
        "ready:q:b",
        "ready:q:p",
        "tickets",
        "turns:q",
    ];
    assert_eq!(lost, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn projects_take_turns_though_their_turns_are_lost() {
    let base = Base::new();
    let queue = base.queue().await;
    let of = |project: &'static str, first| {
        (first..first + 6).map(move |number| NewTicket { project: project.into(), ..numbered(number) })
    };
    queue.put(of("a", 0).chain(of("b", 100)).collect()).await.unwrap();
    queue.take(1).await.unwrap();
    let _: u32 = base.ask(&["DEL", &format!("{}:projects", base.prefix)]).await;
    let mut order = String::new();
    for _ in 0..8 {
        order.push_str(&queue.take(1).await.unwrap()[0].project);
    }
    assert!(["abababab", "babababa"].contains(&order.as_str()), "{order}");
}

#[tokio::test]
async fn a_server_without_memory_takes_no_more_and_gives_what_it_has() {
    let server = Server::start_with(&["--maxmemory-policy", "noeviction"]);
    let base = Base::of(&server);
    let queue = base.queue().await;
    queue.put((1..=5).map(numbered).collect()).await.unwrap();
    queue.put(vec![NewTicket { after: LONG, ..numbered(6) }]).await.unwrap();
    let first = queue.take(2).await.unwrap();
    let _: String = base.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let keys = base.keys().await;
    let error = queue.put(vec![numbered(8), numbered(9)]).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("no memory left"), "{error}");
    assert_eq!(base.keys().await, keys, "nothing of it is written");
    // What makes room must not need any.
    assert_eq!(queue.done(&first[0]).await, Ok(Settled::Taken));
    assert_eq!(queue.release(&first[1], Duration::ZERO).await, Ok(Settled::Taken));
    let buried = queue.take(1).await.unwrap();
    assert_eq!(queue.bury(&buried[0]).await, Ok(Settled::Taken), "it is taken away first");
    let list = ListLetters { queue: None, order: LetterOrder::NewestFirst, after: None, limit: 9 };
    let letter = queue.letters(list).await.unwrap().remove(0);
    let clear = Clear { letter: letter.id, how: Clearing::Publish };
    assert_eq!(queue.clear(clear).await, Ok(Settled::Taken));
    let rest = queue.take(2).await.unwrap();
    let _: String = base.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    base.pass(LONG * 2).await;
    let _: String = base.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let mut all = numbers(&queue.take(99).await.unwrap());
    all.sort_unstable();
    assert_eq!(all, [2, 3, 4, 5, 6], "{rest:?}");
    let _: String = base.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    works(&queue, 10).await;
}
