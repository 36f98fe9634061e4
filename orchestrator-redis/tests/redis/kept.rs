//! What is kept in Redis, and what is not any more.

use std::time::Duration;

use orchestrator_core::port::queue::{
    LetterOrder, ListLetters, MAX_DELAY, NewTicket, Queue as _, QueueError, Settled,
};
use orchestrator_core::testkit::QueuePlace;
use orchestrator_redis::RedisQueue;

use crate::place::{Base, Desk, LONG, number, numbered, numbers};

#[tokio::test]
async fn equal_tickets_that_wait_are_one_in_the_better_place() {
    let base = Base::new();
    let queue = base.queue().await;
    for _ in 0..50 {
        queue.put(vec![numbered(1), numbered(1)]).await.unwrap();
    }
    queue.put(vec![numbered(2), NewTicket { priority: 1, ..numbered(2) }]).await.unwrap();
    assert_eq!(numbers(&queue.take(99).await.unwrap()), [2, 1, 2], "of another priority, it is another");

    // It is to come later, and something has happened now.
    queue.put(vec![NewTicket { after: LONG, ..numbered(3) }]).await.unwrap();
    assert_eq!(queue.take(9).await.unwrap().len(), 0);
    queue.put(vec![numbered(3), NewTicket { after: LONG, ..numbered(3) }]).await.unwrap();
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [3]);
    assert_eq!(base.ask::<u32>(&["HLEN", &format!("{}:tickets", base.prefix)]).await, 4);
}

#[tokio::test]
async fn what_comes_back_is_folded_into_one_that_waits_and_its_count_is_kept() {
    let base = Base::new();
    let queue = base.queue().await;
    for round in 1..=5 {
        queue.put(vec![numbered(1)]).await.unwrap();
        let came = queue.take(9).await.unwrap();
        assert_eq!((came.len(), came[0].count), (1, round), "never more than one");
        queue.put(vec![numbered(1)]).await.unwrap();
        if round % 2 == 0 {
            base.pass(LONG * 2).await;
        } else {
            assert_eq!(queue.release(&came[0], Duration::ZERO).await, Ok(Settled::Taken));
        }
    }
}

#[tokio::test]
async fn a_receipt_does_not_hold_for_what_stands_in_line_again() {
    let base = Base::new();
    let queue = base.queue().await;
    queue.put(vec![numbered(1), numbered(2)]).await.unwrap();
    let before = queue.take(2).await.unwrap();
    base.pass(LONG * 2).await;
    // Puts both in line, and gives one.
    assert_eq!(numbers(&queue.take(1).await.unwrap()), [1]);
    assert_eq!(queue.done(&before[1]).await, Ok(Settled::Late));
    assert_eq!(queue.release(&before[1], LONG).await, Ok(Settled::Late));
    assert_eq!(numbers(&queue.take(1).await.unwrap()), [2], "it is untouched");
}

#[tokio::test]
async fn nothing_is_left_of_what_is_done() {
    let base = Base::new();
    let queue = base.queue().await;
    let mut tickets: Vec<NewTicket> = (0..40).map(numbered).collect();
    for (nth, new) in tickets.iter_mut().enumerate() {
        new.project = format!("p{}", nth % 7).into();
        new.priority = nth as i32 % 3 - 1;
        new.after = if nth % 5 == 0 { LONG } else { Duration::ZERO };
    }
    queue.put(tickets.clone()).await.unwrap();
    queue.put(tickets).await.unwrap();
    let first = queue.take(20).await.unwrap();
    for (nth, delivery) in first.iter().enumerate() {
        match nth % 3 {
            0 => assert_eq!(queue.done(delivery).await, Ok(Settled::Taken)),
            1 => assert_eq!(queue.release(delivery, LONG).await, Ok(Settled::Taken)),
            _ => {}
        }
    }
    base.pass(LONG * 2).await;
    let rest = queue.take(99).await.unwrap();
    assert_eq!(rest.len(), 40 - 7);
    for delivery in &rest {
        assert_eq!(queue.done(delivery).await, Ok(Settled::Taken));
    }
    assert_eq!(queue.take(9).await, Ok(Vec::new()));
    assert_eq!(base.keys().await, ["number"]);
}

#[tokio::test]
async fn many_that_come_out_at_once_are_put_in_line_before_the_first_is_given() {
    let base = Base::new();
    let queue = base.queue().await;
    let mut all: Vec<NewTicket> =
        (0..2500).map(|number| NewTicket { after: LONG, ..numbered(number) }).collect();
    // The one that comes out last stands first.
    all.push(NewTicket { after: LONG + Duration::from_secs(1), priority: 9, ..numbered(9000) });
    for some in all.chunks(250) {
        queue.put(some.to_vec()).await.unwrap();
    }
    base.pass(LONG * 2).await;
    let came = queue.take(256).await.unwrap();
    assert_eq!((came.len(), number(&came[0])), (256, 9000));
    let rest = (0..255).collect::<Vec<_>>();
    assert_eq!(numbers(&came[1..]), rest, "in their order");
}

#[tokio::test]
async fn there_are_no_more_tickets_than_there_may_be() {
    let base = Base::new();
    let options = base.options().with_capacity(3);
    let queue = RedisQueue::connect_with(&base.url, options).await.unwrap();
    queue.put(vec![numbered(1), numbered(2)]).await.unwrap();
    let refused = queue.put(vec![numbered(3), numbered(4)]).await.unwrap_err();
    assert!(refused.is_retryable() && refused.to_string().contains("3 tickets"), "{refused}");
    let came = queue.take(9).await.unwrap();
    assert_eq!(numbers(&came), [1, 2], "all or none");
    assert_eq!(queue.done(&came[0]).await, Ok(Settled::Taken));
    queue.put(vec![numbered(3), numbered(4)]).await.unwrap();
}

#[tokio::test]
async fn queues_with_other_prefixes_and_databases_are_others() {
    let (one, other) = (Base::new(), Base::new());
    let third = Base { url: format!("{}?db=1", one.url), prefix: one.prefix.clone() };
    let queues = [one.queue().await, other.queue().await, third.queue().await];
    for (nth, queue) in (0..).zip(&queues) {
        queue.put(vec![numbered(nth)]).await.unwrap();
    }
    for (nth, queue) in (0..).zip(&queues) {
        assert_eq!(numbers(&queue.take(9).await.unwrap()), [nth]);
    }
}

#[tokio::test]
async fn the_longest_times_are_exact() {
    let base = Base::new();
    let queue = base.queue().await;
    let new = |number, priority| NewTicket { after: MAX_DELAY, priority, ..numbered(number) };
    queue.put(vec![new(1, i32::MIN), new(2, i32::MAX), new(3, i32::MAX)]).await.unwrap();
    base.pass(MAX_DELAY - Duration::from_secs(60)).await;
    assert_eq!(queue.take(9).await, Ok(Vec::new()));
    base.pass(Duration::from_secs(60)).await;
    let came = queue.take_for(9, MAX_DELAY).await.unwrap();
    assert_eq!(numbers(&came), [2, 3, 1]);
    base.pass(MAX_DELAY - Duration::from_secs(60)).await;
    assert_eq!(queue.done(&came[0]).await, Ok(Settled::Taken));
    base.pass(Duration::from_secs(60)).await;
    assert_eq!(queue.done(&came[1]).await, Ok(Settled::Late));
}

#[tokio::test]
async fn what_is_no_ticket_at_all_is_buried_as_it_is() {
    let base = Base::new();
    let queue = base.queue().await;
    let later = NewTicket { after: LONG, ..numbered(2) };
    queue.put(vec![numbered(1), later, numbered(3)]).await.unwrap();
    let tickets = format!("{}:tickets", base.prefix);
    let garbage = "for nth, number in ipairs(redis.call('HKEYS', KEYS[1])) do
        if cmsgpack.unpack(redis.call('HGET', KEYS[1], number))[6] ~= ARGV[1] then
            redis.call('HSET', KEYS[1], number, string.char(193, 255, 0) .. 'garbage')
        end
    end";
    let whole = serde_json::to_string(&numbered(3).ticket).unwrap();
    let _: Option<u32> = base.ask(&["EVAL", garbage, "1", &tickets, &whole]).await;
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [3]);
    base.pass(LONG * 2).await;
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [3], "what comes out of hiding is no better");
    let list = ListLetters { queue: None, order: LetterOrder::OldestFirst, after: None, limit: 9 };
    let letters = queue.letters(list).await.unwrap();
    assert_eq!(letters.len(), 2);
    for letter in letters {
        assert!(letter.text.ends_with("garbage") && letter.ticket.is_none(), "{letter:?}");
        assert_eq!((&*letter.queue, &*letter.reason), ("q", "what is kept of it cannot be read"));
    }
    assert_eq!(base.ask::<u32>(&["HLEN", &tickets]).await, 1, "nothing is kept of them beside");
}

#[tokio::test]
async fn a_queue_of_a_closed_handle_says_so() {
    let queue = Base::new().queue().await;
    orchestrator_core::port::queue::Queue::close(&queue).await.unwrap();
    assert!(matches!(queue.put(vec![]).await, Err(QueueError::Unavailable(_))));
    assert!(matches!(queue.take(0).await, Err(QueueError::Unavailable(_))));
}
