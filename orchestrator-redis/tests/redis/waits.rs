//! Who waits is told at once, and asks seldom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::port::queue::{Queue, QueueError, Woken};
use orchestrator_redis::testkit::Server;

use crate::place::{Base, Desk, LONG, numbered};

/// How often a server has carried out scripts.
async fn scripts(base: &Base) -> u64 {
    let said: String = base.ask(&["INFO", "commandstats"]).await;
    let of = said.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    of.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_at_once() {
    const ROUNDS: u32 = 20;
    let base = Base::new();
    let (queue, other) = (Arc::new(base.queue().await), base.queue().await);
    let mut late = Duration::ZERO;
    for round in 0..ROUNDS {
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move {
                let woken = queue.wait_for(LONG).await;
                (woken, Instant::now())
            }
        });
        // Until it waits indeed.
        let before = Instant::now();
        assert_eq!(other.wait_for(Duration::from_millis(30)).await, Ok(Woken::TimedOut));
        assert!(before.elapsed() >= Duration::from_millis(30));
        let published = Instant::now();
        other.put(vec![numbered(round.into())]).await.unwrap();
        let (woken, at) = waiting.await.unwrap();
        assert_eq!(woken, Ok(Woken::Rung));
        late += at.saturating_duration_since(published);
        assert_eq!(queue.take(9).await.unwrap().len(), 1);
    }
    // Who only looks now and then, each 200 ms or each second, is later.
    assert!(late < Duration::from_millis(80) * ROUNDS, "{:?} each time", late / ROUNDS);
}

#[tokio::test]
async fn who_waits_does_not_ask_again_and_again() {
    let server = Server::start();
    let base = Base::of(&server);
    let queue = base.queue().await;
    assert_eq!(queue.wait_for(Duration::ZERO).await, Ok(Woken::TimedOut));
    let before = scripts(&base).await;
    assert_eq!(queue.wait_for(Duration::from_millis(1500)).await, Ok(Woken::TimedOut));
    let asked = scripts(&base).await - before;
    assert!((2..=8).contains(&asked), "{asked} looks in a second and a half");
}

#[tokio::test]
async fn what_comes_out_by_the_clock_rings() {
    let base = Base::new();
    let queue = base.queue().await;
    let mut new = numbered(1);
    new.after = Duration::from_millis(120);
    let begun = Instant::now();
    queue.put(vec![new]).await.unwrap();
    assert_eq!(queue.wait_for(LONG).await, Ok(Woken::Rung));
    assert!(begun.elapsed() >= Duration::from_millis(119), "{:?}", begun.elapsed());
    assert_eq!(queue.take_for(9, Duration::from_millis(60)).await.unwrap().len(), 1);
    assert_eq!(queue.wait_for(Duration::ZERO).await, Ok(Woken::TimedOut));
    let begun = Instant::now();
    assert_eq!(queue.wait_for(LONG).await, Ok(Woken::Rung), "its visibility has passed");
    assert!(
        begun.elapsed() < Duration::from_millis(800),
        "not by a look now and then: {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn who_waits_is_told_of_the_end_at_once() {
    let queue = Base::new().queue().await;
    // From here on it listens.
    assert_eq!(queue.wait_for(Duration::from_millis(300)).await, Ok(Woken::TimedOut));
    let begun = Instant::now();
    let (woken, closed) = tokio::join!(queue.wait_for(LONG), async {
        tokio::task::yield_now().await;
        queue.close().await
    });
    assert_eq!(closed, Ok(()));
    assert!(matches!(woken, Err(QueueError::Unavailable(_))), "{woken:?}");
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_may_not_use_the_channel_is_told_within_a_moment() {
    let server = Server::start();
    let root = Base::of(&server);
    let _: String = root.ask(&["ACL", "SETUSER", "me", "on", ">word", "~*", "resetchannels", "+@all"]).await;
    let base = Base { url: format!("{}?user=me&pass=word", server.url()), prefix: "p".to_owned() };
    let (queue, other) = (Arc::new(base.queue().await), base.queue().await);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.wait_for(LONG).await }
    });
    assert_eq!(other.wait_for(Duration::from_millis(50)).await, Ok(Woken::TimedOut));
    other.put(vec![numbered(1)]).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(Woken::Rung));
    assert_eq!(queue.take(9).await.unwrap().len(), 1);
}
