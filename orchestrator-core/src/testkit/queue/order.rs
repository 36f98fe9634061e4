//! Who comes first.

use std::sync::Arc;
use std::time::Duration;

use super::QueuePlace;
use super::desk::{Desk, LONG, numbered, numbers, sorted};
use crate::port::queue::{AGEING, Delivery, NewTicket, Settled};

pub(super) async fn equally_urgent_tickets_come_as_they_were_published(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([4, 1, 5].map(numbered)).await;
    desk.publish([numbered(9)]).await;
    desk.place.pass(Duration::from_secs(1)).await;
    desk.publish([2, 6].map(numbered)).await;
    let mut came = desk.take(1).await;
    came.extend(desk.take(3).await);
    came.extend(desk.take(9).await);
    if desk.can().priority {
        assert_eq!(numbers(&came), [4, 1, 5, 9, 2, 6]);
    }
    assert_eq!(sorted(&came), [1, 2, 4, 5, 6, 9], "in whatever order, all of them come");
}

pub(super) async fn waiting_makes_urgent(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let of = |number, priority| {
        let priority = if desk.can().priority { priority } else { 0 };
        NewTicket { priority, ..numbered(number) }
    };
    desk.publish([of(1, 0), of(2, 1)]).await;
    desk.place.pass(AGEING / 2).await;
    desk.publish([of(3, 1)]).await;
    desk.place.pass(AGEING * 3 / 4).await;
    // The first has waited for longer than one priority is worth, and for less than two.
    desk.publish([of(4, 1), of(5, 2)]).await;
    let came = desk.take(9).await;
    if desk.can().priority {
        // 3 has waited for three quarters of that: 5, with one priority more, passes it, and 2, which has waited for one
        // and a quarter, is not passed.
        assert_eq!(numbers(&came), [2, 5, 3, 1, 4]);
    }
    assert_eq!(sorted(&came), [1, 2, 3, 4, 5]);
}

pub(super) async fn what_comes_back_stands_behind_what_has_waited(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish((1..=3).map(numbered)).await;
    let first = desk.one().await;
    assert_eq!(desk.release(&first.receipt).await, Settled::Taken);
    let second = desk.one().await;
    assert_ne!(numbers(&[first]), numbers(std::slice::from_ref(&second)), "others have waited");
    // Its visibility passes: it comes back too, and stands behind the others.
    desk.place.pass(LONG * 2).await;
    let came = desk.take(9).await;
    if desk.can().priority {
        assert_eq!(numbers(&came), [3, 1, 2]);
    }
    assert_eq!(sorted(&came), [1, 2, 3]);
}

/// Tickets of projects, numbered in order.
fn of_projects(projects: &str) -> Vec<NewTicket> {
    let of = |(number, project): (u32, char)| NewTicket {
        project: project.to_string().into(),
        ..numbered(number)
    };
    (0..).zip(projects.chars()).map(of).collect()
}

fn projects(came: &[Delivery]) -> String {
    came.iter().map(|came| &*came.project).collect()
}

/// What the order of projects is if they take turns: nobody comes twice while another waits.
fn assert_turns(came: &[Delivery], can_fair: bool) {
    let order: Vec<char> = projects(came).chars().collect();
    if !can_fair {
        return;
    }
    for (at, project) in order.iter().enumerate() {
        let Some(before) = order[..at].iter().rposition(|other| other == project) else { continue };
        let waits = order[at..].iter().find(|other| !order[before..at].contains(other));
        assert_eq!(waits, None, "{project} comes again while another has waited: {}", projects(came));
    }
}

pub(super) async fn projects_take_turns(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish(of_projects("AAAAAABBBC")).await;
    let mut came = Vec::new();
    // One at a time, and several at once.
    for max in [1, 1, 1, 1, 3, 2, 9] {
        came.extend(desk.take(max).await);
    }
    assert_turns(&came, desk.can().fair);
    if desk.can().priority {
        let inside: Vec<u32> = if desk.can().fair {
            let mut came = came.clone();
            came.sort_by(|one, other| one.project.cmp(&other.project));
            numbers(&came)
        } else {
            // Whose a ticket is does not count.
            numbers(&came)
        };
        assert_eq!(inside, (0..10).collect::<Vec<_>>(), "in the order in which they were published");
    }
    assert_eq!(sorted(&came), (0..10).collect::<Vec<_>>());
}

pub(super) async fn who_always_comes_back_holds_up_nobody(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish(of_projects("BBB")).await;
    let mut came = Vec::new();
    for round in 0..8 {
        // One project has never more than one ticket, and has one each time.
        desk.publish([NewTicket { project: "A".into(), ..numbered(100 + round) }]).await;
        let one = desk.one().await;
        assert_eq!(desk.done(&one.receipt).await, Settled::Taken);
        came.push(one);
    }
    let of_b = projects(&came[..7]).matches('B').count();
    assert!(!desk.can().fair || of_b == 3, "its turn comes each second time: {}", projects(&came));
    let rest = desk.take(99).await;
    assert_eq!(came.len() + rest.len(), 11, "all come");
}

pub(super) async fn the_urgent_of_one_project_hold_up_no_other(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let mut tickets = of_projects("AAAAB");
    if desk.can().priority {
        tickets[..4].iter_mut().for_each(|new| new.priority = 9);
    }
    desk.publish(tickets).await;
    let came = desk.take(2).await;
    let mut all = came.clone();
    all.extend(desk.take(9).await);
    assert_turns(&all, desk.can().fair);
    if desk.can().priority && !desk.can().fair {
        assert_eq!(projects(&all), "AAAAB");
    }
    assert_eq!(sorted(&all), (0..5).collect::<Vec<_>>());
}
