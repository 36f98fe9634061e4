//! Who waits is told, and told of nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::QueuePlace;
use super::desk::{Desk, LONG, MAIN, numbered, numbers};
use crate::port::queue::{NewTicket, QueueError, Settled, Wait, Woken};

pub(super) async fn what_is_there_already_rings(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    assert_eq!(desk.looks().await, Woken::TimedOut);
    desk.publish([numbered(1)]).await;
    // Whoever finds nothing and then begins to wait must not miss what came in between.
    let wait = Wait { queues: vec!["other".into(), MAIN.into()], timeout: LONG };
    assert_eq!(desk.queue.wait(wait).await, Ok(Woken::Rung));
    assert_eq!(desk.another().await.looks().await, Woken::Rung);
    assert_eq!(numbers(&desk.take(9).await), [1], "waiting takes nothing");
}

pub(super) async fn who_waits_hears_of_what_is_published(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let waiting = desk.begin_to_wait().await;
    desk.publish([numbered(1)]).await;
    waiting.rings().await;
    desk.one().await;
    let waiting = desk.begin_to_wait().await;
    desk.another().await.publish([numbered(2)]).await;
    waiting.rings().await;
}

pub(super) async fn who_waits_hears_of_what_is_released(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let came = desk.one().await;
    let waiting = desk.begin_to_wait().await;
    assert_eq!(desk.another().await.release(&came.receipt).await, Settled::Taken);
    waiting.rings().await;
}

pub(super) async fn who_waits_hears_of_what_comes_out(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let came = desk.take_for(9, LONG / 3).await;
    let waiting = desk.begin_to_wait().await;
    desk.place.pass(LONG / 2).await;
    waiting.rings().await;
    assert_eq!(desk.done(&came[0].receipt).await, Settled::Late);
    let again = desk.one().await;
    assert_eq!(desk.done(&again.receipt).await, Settled::Taken);
    if desk.can().delayed {
        desk.publish([NewTicket { after: LONG / 3, ..numbered(2) }]).await;
        let waiting = desk.begin_to_wait().await;
        desk.place.pass(LONG / 2).await;
        waiting.rings().await;
        assert_eq!(numbers(&desk.take(9).await), [2]);
    }
}

pub(super) async fn other_queues_do_not_ring(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let mut waiting = desk.begin_to_wait().await;
    desk.publish([NewTicket { queue: "other".into(), ..numbered(1) }]).await;
    waiting.goes_on().await;
    assert_eq!(desk.looks().await, Woken::TimedOut);
    desk.publish([numbered(2)]).await;
    waiting.rings().await;
}

pub(super) async fn what_is_hidden_does_not_ring(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    assert_eq!(numbers(&desk.take(9).await), [1]);
    assert_eq!(desk.looks().await, Woken::TimedOut, "it is with somebody");
    let mut waiting = desk.begin_to_wait().await;
    if desk.can().delayed {
        desk.publish([NewTicket { after: LONG * 3, ..numbered(2) }]).await;
        waiting.goes_on().await;
        assert_eq!(desk.looks().await, Woken::TimedOut, "it is for later");
    }
    desk.publish([numbered(3)]).await;
    waiting.rings().await;
}

pub(super) async fn a_ring_is_for_everybody_each_time(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let other = desk.another().await;
    let waiting = [desk.begin_to_wait().await, other.begin_to_wait().await, desk.begin_to_wait().await];
    desk.publish([numbered(1)]).await;
    for waiting in waiting {
        waiting.rings().await;
    }
    assert_eq!((desk.looks().await, other.looks().await), (Woken::Rung, Woken::Rung));
    let wait = Wait { queues: vec![MAIN.into()], timeout: LONG };
    assert_eq!(desk.queue.wait(wait).await, Ok(Woken::Rung), "nobody has received it");
}

pub(super) async fn who_goes_away_takes_no_ring_along(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let before = desk.begin_to_wait().await;
    drop(before);
    let during = desk.begin_to_wait().await;
    let waiting = desk.begin_to_wait().await;
    desk.publish([numbered(1)]).await;
    drop(during);
    waiting.rings().await;
    assert_eq!(desk.looks().await, Woken::Rung);
}

pub(super) async fn who_looks_and_waits_in_turn_misses_nothing(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    for number in 0..60 {
        let other = desk.another().await;
        let publisher = tokio::spawn(async move {
            // Before the look, between the look and the waiting, or in the middle of it.
            for _ in 0..number % 6 {
                tokio::task::yield_now().await;
            }
            other.publish([numbered(number)]).await;
        });
        let came = loop {
            let some = desk.take(9).await;
            if !some.is_empty() {
                break some;
            }
            // There is no second ring to make up for one that is missed.
            assert_eq!(desk.wait_for(LONG).ends().await, Ok(Woken::Rung));
        };
        assert_eq!(numbers(&came), [number]);
        publisher.await.expect("it publishes");
    }
}

pub(super) async fn waiting_ends_when_its_time_is_over(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let mut waiting = desk.wait_for(Duration::from_millis(1));
    let answer = match waiting.poll().await {
        Some(answer) => answer,
        None => {
            // A clock that is in the test's hands ends it with this, any other by itself.
            desk.place.pass(Duration::from_secs(1)).await;
            waiting.ends().await
        }
    };
    assert_eq!(answer, Ok(Woken::TimedOut));
}

pub(super) async fn who_waits_is_told_of_the_end(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let waiting = desk.begin_to_wait().await;
    desk.queue.close().await.expect("it closes");
    let answer = waiting.ends().await;
    assert!(matches!(answer, Err(QueueError::Unavailable(_))), "{answer:?}");
}
