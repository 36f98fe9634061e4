//! What is published comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::QueuePlace;
use super::desk::{Desk, LONG, number, numbered, numbers, sorted};
use crate::id::{RunId, StepIx};
use crate::port::queue::{
    MAX_PROJECT, MAX_QUEUE_NAME, MAX_RECEIPT, MAX_TICKETS, NewTicket, QueueError, Receive, Settled,
    StepTicket, Ticket,
};
use crate::testkit::poll_and_drop;

pub(super) async fn a_published_ticket_comes_as_it_was(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let run = RunId::from_uuid(Uuid::now_v7());
    let largest = StepTicket {
        run: RunId::from_uuid(Uuid::max()),
        generation: u32::MAX,
        step: StepIx(u32::MAX),
        item: Some(u32::MAX - 1),
        iteration: u32::MAX,
        attempt: u32::MAX,
        epoch: i64::MAX as u64,
    };
    let plain = StepTicket { run, item: None, iteration: 0, ..largest };
    let first_item = StepTicket { run, item: Some(0), ..largest };
    for ticket in [Ticket::Run { run }, Ticket::Step(largest), Ticket::Step(plain), Ticket::Step(first_item)]
    {
        let priority = if desk.can().priority { i32::MIN } else { 0 };
        let new = NewTicket { project: "Büro \u{1F6AA}' --".into(), priority, ticket, ..numbered(0) };
        desk.publish([new.clone()]).await;
        let came = desk.one().await;
        assert_eq!(
            (&came.queue, &came.project, came.priority, came.ticket),
            (&new.queue, &new.project, new.priority, new.ticket)
        );
        assert_eq!(came.count, 1);
        assert!(came.receipt.as_str().len() <= MAX_RECEIPT, "a receipt of {}", came.receipt);
        assert_eq!(desk.done(&came.receipt).await, Settled::Taken);
    }
}

pub(super) async fn another_handle_gives_what_was_published(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let other = desk.another().await;
    desk.publish([numbered(1)]).await;
    let came = other.one().await;
    assert_eq!(number(&came), 1);
    assert_eq!(numbers(&desk.take(9).await), [0; 0], "it is with somebody");
    assert_eq!(desk.done(&came.receipt).await, Settled::Taken, "a receipt holds through any handle");
    assert_eq!(other.done(&came.receipt).await, Settled::Late);
}

pub(super) async fn one_that_is_refused_keeps_all_from_being_published(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let refused = NewTicket { queue: "".into(), ..numbered(2) };
    let answer = desk.try_publish(vec![numbered(1), refused, numbered(3)]).await;
    assert!(matches!(answer, Err(QueueError::Invalid(_))), "{answer:?}");
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn who_goes_away_publishes_all_or_nothing(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    for polls in 0..8 {
        poll_and_drop(desk.try_publish((0..3).map(numbered).collect()), polls).await;
        let came = desk.take(9).await;
        // Nothing yet, or all of it; and perhaps all of what a call before has left to others to finish.
        assert_eq!(came.len() % 3, 0, "after {polls} polls: {:?}", numbers(&came));
        for delivery in came {
            desk.done(&delivery.receipt).await;
        }
    }
}

pub(super) async fn the_largest_publish_is_taken(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let queue: Arc<str> =
        "Q_-.9".repeat(MAX_QUEUE_NAME).chars().take(MAX_QUEUE_NAME).collect::<String>().into();
    let project: Arc<str> = "p".repeat(MAX_PROJECT).into();
    let all = 0..u32::try_from(MAX_TICKETS).expect("a few");
    let new = |number| NewTicket { queue: queue.clone(), project: project.clone(), ..numbered(number) };
    desk.publish(all.clone().map(new)).await;
    desk.publish([]).await;
    let receive = Receive { queues: vec![queue.clone()], max: MAX_TICKETS, visibility: LONG };
    let came = desk.queue.receive(receive).await.expect("it gives what there is");
    assert_eq!(sorted(&came), all.collect::<Vec<_>>());
}

pub(super) async fn a_queue_gives_its_own_tickets_only(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    // Names that are one to somebody who is careless with case, with patterns or with beginnings.
    let names = ["main", "Main", "mai", "main.", "main_1", "main-1"];
    let of = |(number, queue): (u32, &str)| NewTicket { queue: queue.into(), ..numbered(number) };
    desk.publish((0..).zip(names).map(of)).await;
    for (number, queue) in (0..).zip(names) {
        let receive = Receive { queues: vec![queue.into()], max: 9, visibility: LONG };
        let came = desk.queue.receive(receive).await.expect("it gives what there is");
        assert_eq!(numbers(&came), [number], "of {queue}");
        assert_eq!(*came[0].queue, *queue);
    }
}

pub(super) async fn several_queues_are_one_line(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let of =
        |number: u32| NewTicket { queue: ["b", "a", "c"][number as usize % 3].into(), ..numbered(number) };
    desk.publish((0..9).map(of)).await;
    let queues: Vec<Arc<str>> = ["a", "nothing", "b", "a"].map(Into::into).into();
    let receive = |max| Receive { queues: queues.clone(), max, visibility: LONG };
    let mut came = desk.queue.receive(receive(2)).await.expect("it gives what there is");
    came.extend(desk.queue.receive(receive(9)).await.expect("it gives what there is"));
    if desk.can().priority {
        assert_eq!(numbers(&came), [0, 1, 3, 4, 6, 7], "in the order of the whole");
    }
    assert_eq!(sorted(&came), [0, 1, 3, 4, 6, 7], "each once, though a queue was named twice");
}

pub(super) async fn no_more_come_than_are_asked_for(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish((0..7).map(numbered)).await;
    let mut seen = BTreeSet::new();
    for (max, expected) in [(0, 0), (1, 1), (3, 3), (0, 0), (9, 3), (9, 0)] {
        let came = desk.take(max).await;
        assert_eq!(came.len(), expected, "of at most {max}");
        seen.extend(numbers(&came));
    }
    assert_eq!(seen, (0..7).collect());
}

pub(super) async fn an_equal_ticket_comes_once_or_twice(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1), numbered(1)]).await;
    let came = desk.take(9).await;
    assert!(matches!(numbers(&came)[..], [1] | [1, 1]), "{came:?}");
    for delivery in &came {
        assert_eq!(desk.done(&delivery.receipt).await, Settled::Taken);
    }
    desk.place.pass(LONG * 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn one_like_a_ticket_that_is_with_somebody_is_another(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let first = desk.one().await;
    // Something has happened after the first was received: whoever has it may not have seen that.
    desk.publish([numbered(1)]).await;
    assert_eq!(desk.done(&first.receipt).await, Settled::Taken);
    let second = desk.one().await;
    assert_eq!((number(&second), second.count), (1, 1));
    assert_ne!(second.receipt, first.receipt);
    assert_eq!(desk.done(&second.receipt).await, Settled::Taken);
}
