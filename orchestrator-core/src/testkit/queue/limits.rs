//! What cannot be, and what not every queue can do.

use std::sync::Arc;
use std::time::Duration;

use super::QueuePlace;
use super::desk::{Desk, LONG, MAIN, numbered, numbers, sorted};
use crate::port::queue::{
    Count, MAX_DELAY, MAX_PROJECT, MAX_QUEUE_NAME, MAX_QUEUES, MAX_TICKETS, NewTicket, QueueError, Receipt,
    Receive, Settled, Settlement, Wait,
};

const TOO_LONG: Duration = MAX_DELAY.saturating_add(Duration::from_millis(1));

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(answer: &Result<T, QueueError>, what: &str) {
    assert!(matches!(answer, Err(QueueError::Invalid(_))), "{what}: {answer:?}");
}

pub(super) async fn what_cannot_be_published_is_refused(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let long = "q".repeat(MAX_QUEUE_NAME + 1);
    for name in ["", "a b", "ä", "a/b", "a\n", "a\0", &long] {
        let new = NewTicket { queue: name.into(), ..numbered(1) };
        assert_invalid(&desk.try_publish(vec![new]).await, &format!("the queue {name:?}"));
    }
    let long = "p".repeat(MAX_PROJECT + 1);
    for project in ["a\0b", &long] {
        let new = NewTicket { project: project.into(), ..numbered(1) };
        assert_invalid(&desk.try_publish(vec![new]).await, &format!("the project {project:?}"));
    }
    let new = NewTicket { after: TOO_LONG, ..numbered(1) };
    assert_invalid(&desk.try_publish(vec![new]).await, "hidden for too long");
    let many = vec![numbered(1); MAX_TICKETS + 1];
    assert_invalid(&desk.try_publish(many).await, "too many");
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn what_cannot_be_asked_for_is_refused(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let main: Vec<Arc<str>> = vec![MAIN.into()];
    let many = vec![MAIN.into(); MAX_QUEUES + 1];
    for queues in [vec![], vec!["a b".into()], vec![MAIN.into(), "".into()], many] {
        let receive = Receive { queues: queues.clone(), max: 1, visibility: LONG };
        assert_invalid(&desk.queue.receive(receive).await, &format!("to receive of {queues:?}"));
        let count = Count { queues: queues.clone() };
        assert_invalid(&desk.queue.count(count).await, &format!("to count in {queues:?}"));
        let wait = Wait { queues: queues.clone(), timeout: Duration::ZERO };
        assert_invalid(&desk.queue.wait(wait).await, &format!("to wait for {queues:?}"));
    }
    let receive = Receive { queues: main.clone(), max: MAX_TICKETS + 1, visibility: LONG };
    assert_invalid(&desk.queue.receive(receive).await, "too many");
    let receive = Receive { queues: main.clone(), max: 1, visibility: TOO_LONG };
    assert_invalid(&desk.queue.receive(receive).await, "hidden for too long");
    let wait = Wait { queues: main, timeout: TOO_LONG };
    assert_invalid(&desk.queue.wait(wait).await, "to wait for too long");

    let came = desk.take_for(1, MAX_DELAY).await;
    assert_eq!(numbers(&came), [1], "nothing was taken by what was refused");
    let receipt = &came[0].receipt;
    let answer = desk.try_settle(receipt, Settlement::Release { after: TOO_LONG }).await;
    assert_invalid(&answer, "released for too long");
    assert_eq!(desk.done(receipt).await, Settled::Taken, "what was refused has settled nothing");
    for text in ["", ".", "1", "-1.-1", "no receipt", "'; --", "18446744073709551616.1"] {
        assert_eq!(desk.done(&Receipt::new(text)).await, Settled::Late, "the receipt {text:?}");
    }
}

pub(super) async fn a_ticket_can_be_due_later_or_that_is_refused(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let later = NewTicket { after: LONG, ..numbered(2) };
    let published = desk.try_publish(vec![numbered(1), later]).await;
    if !desk.can().delayed {
        assert_eq!(published, Err(QueueError::Unsupported("delayed")));
        assert_eq!(numbers(&desk.take(9).await), [0; 0], "all or nothing");
        return;
    }
    assert_eq!(published, Ok(()));
    desk.publish([NewTicket { after: MAX_DELAY, ..numbered(3) }]).await;
    assert_eq!(numbers(&desk.take(9).await), [1]);
    desk.place.pass(LONG / 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
    desk.place.pass(LONG).await;
    // The first has come out again too: an hour and a half have passed.
    let came = desk.take(9).await;
    assert_eq!(sorted(&came), [1, 2]);
    assert!(
        came.iter().all(|came| came.count == if numbers(std::slice::from_ref(came)) == [1] { 2 } else { 1 })
    );
}

pub(super) async fn a_release_can_be_for_later_or_that_is_refused(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let came = desk.one().await;
    let answer = desk.try_settle(&came.receipt, Settlement::Release { after: LONG * 2 }).await;
    if !desk.can().delayed {
        assert_eq!(answer, Err(QueueError::Unsupported("delayed")));
        assert_eq!(numbers(&desk.take(9).await), [0; 0], "it is still with somebody");
        assert_eq!(desk.done(&came.receipt).await, Settled::Taken, "the receipt still holds");
        return;
    }
    assert_eq!(answer, Ok(Settled::Taken));
    assert_eq!(desk.done(&came.receipt).await, Settled::Late);
    desk.place.pass(LONG + LONG / 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0], "neither its visibility nor its time is what counts");
    desk.place.pass(LONG).await;
    let again = desk.one().await;
    assert_eq!(again.count, 2);
    assert_eq!(desk.done(&came.receipt).await, Settled::Late);
    assert_eq!(desk.done(&again.receipt).await, Settled::Taken);
}

pub(super) async fn the_urgent_come_first_or_urgency_is_refused(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let of = |(number, priority)| NewTicket { priority, ..numbered(number) };
    let tickets = [(1, 0), (2, 2), (3, -1), (4, 1), (5, 2), (6, i32::MAX), (7, i32::MIN)].map(of);
    let published = desk.try_publish(tickets.clone().into()).await;
    if !desk.can().priority {
        assert_eq!(published, Err(QueueError::Unsupported("priority")));
        assert_eq!(numbers(&desk.take(9).await), [0; 0], "all or nothing");
        return;
    }
    assert_eq!(published, Ok(()));
    let came = desk.take(9).await;
    assert_eq!(numbers(&came), [6, 2, 5, 4, 1, 3, 7]);
    let priorities: Vec<i32> = came.iter().map(|came| came.priority).collect();
    assert_eq!(priorities, [i32::MAX, 2, 2, 1, 0, -1, i32::MIN], "as they were published");
}
