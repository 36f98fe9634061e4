//! Who has a ticket, for how long, and what settling it does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::QueuePlace;
use super::desk::{Desk, LONG, number, numbered, numbers, sorted};
use crate::port::queue::{Receipt, Settled};
use crate::testkit::poll_and_drop;

pub(super) async fn a_ticket_that_is_with_somebody_is_hidden(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let other = desk.another().await;
    desk.publish([numbered(1), numbered(2)]).await;
    let first = desk.one().await;
    let second = other.one().await;
    assert_eq!(sorted(&[first, second.clone()]), [1, 2]);
    for handle in [&desk, &other] {
        assert_eq!(numbers(&handle.take(9).await), [0; 0]);
    }
    desk.place.pass(LONG / 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
    assert_eq!(desk.done(&second.receipt).await, Settled::Taken, "there is time left");
}

pub(super) async fn each_ticket_of_many_receivers_is_with_one(place: Arc<dyn QueuePlace>) {
    const MANY: u32 = 64;
    let desk = Desk::at(place).await;
    desk.publish((0..MANY).map(numbered)).await;
    let mut receivers = JoinSet::new();
    for _ in 0..16 {
        let desk = desk.another().await;
        receivers.spawn(async move {
            let mut came = Vec::new();
            loop {
                let more = desk.take(3).await;
                if more.is_empty() {
                    return came;
                }
                came.extend(more);
                tokio::task::yield_now().await;
            }
        });
    }
    let mut came = receivers.join_all().await.concat();
    // Whoever found nothing may have looked while others held what was left.
    came.extend(desk.take(MANY as usize).await);
    assert_eq!(sorted(&came), (0..MANY).collect::<Vec<_>>());
    let receipts: BTreeSet<&Receipt> = came.iter().map(|came| &came.receipt).collect();
    assert_eq!(receipts.len(), came.len(), "each has a receipt of its own");
}

pub(super) async fn what_is_not_settled_comes_again(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1), numbered(2)]).await;
    assert_eq!(sorted(&desk.take(9).await), [1, 2]);
    desk.place.pass(LONG * 2).await;
    assert_eq!(sorted(&desk.take_for(9, Duration::ZERO).await), [1, 2]);
    assert_eq!(sorted(&desk.take_for(9, Duration::ZERO).await), [1, 2], "hidden for no time");
    assert_eq!(sorted(&desk.take_for(9, Duration::from_nanos(1)).await), [1, 2], "cut to milliseconds");
    assert_eq!(sorted(&desk.take(9).await), [1, 2]);
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn each_delivery_is_counted(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let mut receipts = BTreeSet::new();
    for count in 1..=6 {
        let came = desk.one().await;
        assert_eq!(came.count, count);
        assert!(receipts.insert(came.receipt.clone()), "{} was another delivery", came.receipt);
        if count % 2 == 0 {
            desk.place.pass(LONG * 2).await;
        } else {
            assert_eq!(desk.release(&came.receipt).await, Settled::Taken);
        }
    }
}

pub(super) async fn what_is_done_is_gone(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish((1..=3).map(numbered)).await;
    let came = desk.take(9).await;
    let second = came.iter().find(|came| number(came) == 2).expect("it came");
    assert_eq!(desk.done(&second.receipt).await, Settled::Taken);
    assert_eq!(desk.done(&second.receipt).await, Settled::Late, "once");
    assert_eq!(desk.release(&second.receipt).await, Settled::Late, "what is gone does not come back");
    desk.place.pass(LONG * 2).await;
    assert_eq!(sorted(&desk.take(9).await), [1, 3]);
}

pub(super) async fn what_is_released_comes_again_at_once(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let first = desk.one().await;
    assert_eq!(desk.release(&first.receipt).await, Settled::Taken);
    assert_eq!(desk.release(&first.receipt).await, Settled::Late, "once");
    let again = desk.one().await;
    assert_eq!((number(&again), again.count), (1, 2));
    assert_eq!(desk.done(&again.receipt).await, Settled::Taken);
    desk.place.pass(LONG * 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn a_late_settle_changes_nothing(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let first = desk.one().await;
    desk.place.pass(LONG * 2).await;
    // Nobody has it yet, and yet it is late: something may have rung again for the same, and been folded into it.
    assert_eq!(desk.done(&first.receipt).await, Settled::Late);
    assert_eq!(desk.release(&first.receipt).await, Settled::Late);
    let second = desk.one().await;
    assert_eq!((number(&second), second.count), (1, 2));
    assert_eq!(desk.release(&first.receipt).await, Settled::Late);
    assert_eq!(numbers(&desk.take(9).await), [0; 0], "who has it now, has it");
    assert_eq!(desk.done(&first.receipt).await, Settled::Late);
    assert_eq!(desk.release(&second.receipt).await, Settled::Taken);
    let third = desk.one().await;
    assert_eq!(third.count, 3);
    assert_eq!(desk.done(&third.receipt).await, Settled::Taken);
}

pub(super) async fn a_receipt_settles_its_own_delivery_only(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish([numbered(1)]).await;
    let first = desk.one().await;
    desk.publish([numbered(1)]).await;
    let second = desk.one().await;
    assert_eq!(desk.done(&first.receipt).await, Settled::Taken);
    assert_eq!(desk.done(&first.receipt).await, Settled::Late);
    assert_eq!(desk.release(&second.receipt).await, Settled::Taken, "an equal ticket is not the same");
    assert_eq!(number(&desk.one().await), 1);
}

pub(super) async fn a_receiver_that_goes_away_loses_no_ticket(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish((0..9).map(numbered)).await;
    for polls in 0..8 {
        poll_and_drop(desk.take(1), polls).await;
    }
    desk.place.pass(LONG * 2).await;
    assert_eq!(sorted(&desk.take(99).await), (0..9).collect::<Vec<_>>());
}
