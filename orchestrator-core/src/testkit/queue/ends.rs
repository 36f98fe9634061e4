//! What a queue says of itself, and what is left when it is closed.

use std::sync::Arc;
use std::time::Duration;

use super::QueuePlace;
use super::desk::{Desk, LONG, MAIN, numbered, sorted};
use super::letters::{number_of, oldest};
use crate::port::queue::{
    Clear, Clearing, Count, Counted, LetterId, NewTicket, QueueError, Receive, Settled, Settlement, Wait,
};

pub(super) async fn a_queue_says_what_it_is(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let said = desk.queue.describe();
    assert!(!said.kind.is_empty() && !said.location.is_empty() && !said.version.is_empty(), "{said:?}");
    assert!(!said.can.durable || desk.place.keeps(), "durable, in a place that does not keep: {said:?}");
    let other = desk.another().await;
    assert_eq!(other.queue.describe(), said, "whichever handle is asked");
    other.queue.close().await.expect("it closes");
    assert_eq!(other.queue.describe(), said, "without asking anybody");
}

pub(super) async fn what_is_kept_outlives_the_handles_and_what_is_not_is_gone(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let (can, keeps) = (desk.can(), desk.place.keeps());
    if can.letters > 0 {
        desk.publish([numbered(3)]).await;
        desk.bury_all("why").await;
    }
    desk.publish((1..=2).map(numbered)).await;
    let with_somebody = desk.one().await;
    desk.queue.close().await.expect("it closes");
    let again = desk.another().await;
    let receive = Receive { queues: vec![MAIN.into()], max: 9, visibility: LONG };
    if !keeps {
        match again.queue.receive(receive).await {
            Err(QueueError::Unavailable(_)) => {}
            answer => assert_eq!(answer, Ok(Vec::new()), "nothing is kept"),
        }
        return;
    }
    let came = again.queue.receive(receive).await.expect("it gives what there is");
    assert!(came.len() == 1 || (came.is_empty() && !can.durable), "durable, and yet: {came:?}");
    again.place.pass(LONG * 2).await;
    let came = again.take(9).await;
    if can.durable {
        assert_eq!(sorted(&came), [1, 2]);
        let again = came.iter().find(|came| came.ticket == with_somebody.ticket).expect("it came");
        assert_eq!(again.count, 2, "how often it was given out is kept as well");
        if can.letters > 0 {
            let letters = desk.another().await.letters().await;
            assert_eq!(letters.iter().map(number_of).collect::<Vec<_>>(), [3], "and so are dead letters");
        }
    }
}

pub(super) async fn a_closed_queue_is_unavailable(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    desk.publish((1..=2).map(numbered)).await;
    let came = desk.one().await;
    desk.queue.close().await.expect("it closes");
    desk.queue.close().await.expect("closing twice is fine");
    let receive = Receive { queues: vec![MAIN.into()], max: 9, visibility: LONG };
    let wait = |timeout| Wait { queues: vec![MAIN.into()], timeout };
    let clear = Clear { letter: LetterId::new("1"), how: Clearing::Drop };
    let answers = [
        ("publish", desk.try_publish(vec![numbered(3)]).await.err()),
        ("receive", desk.queue.receive(receive).await.err()),
        ("settle", desk.try_settle(&came.receipt, Settlement::Done).await.err()),
        ("count", desk.queue.count(Count { queues: vec![MAIN.into()] }).await.err()),
        ("letters", desk.queue.letters(oldest(None)).await.err()),
        ("clear", desk.queue.clear(clear).await.err()),
        ("wait", desk.queue.wait(wait(LONG)).await.err()),
        ("look", desk.queue.wait(wait(Duration::ZERO)).await.err()),
    ];
    let is_asked = |method: &str| desk.can().letters > 0 || !matches!(method, "letters" | "clear");
    let answers: Vec<_> = answers.into_iter().filter(|(method, _)| is_asked(method)).collect();
    let wrong = answers.iter().find(|(_, error)| !matches!(error, Some(QueueError::Unavailable(_))));
    assert_eq!(wrong, None, "closed, and yet it answers");
    assert!(answers.iter().all(|(_, error)| error.as_ref().is_some_and(QueueError::is_retryable)));
}

pub(super) async fn how_much_there_is_is_counted(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let (delayed, buries) = (desk.can().delayed, desk.can().letters > 0);
    desk.publish((1..=4).map(numbered)).await;
    if delayed {
        desk.publish([NewTicket { after: LONG * 3, ..numbered(5) }]).await;
    }
    desk.publish([NewTicket { queue: "other".into(), project: "other".into(), ..numbered(6) }]).await;
    let later = u64::from(delayed);
    let count = async |ready, hidden, letters| {
        let of =
            |queue: &str, ready, hidden, letters| Counted { queue: queue.into(), ready, hidden, letters };
        let expected = [of("other", 1, 0, 0), of(MAIN, ready, hidden, letters), of("nothing", 0, 0, 0)];
        let queues = expected.iter().map(|counted| counted.queue.clone()).collect();
        assert_eq!(desk.another().await.queue.count(Count { queues }).await.as_deref(), Ok(&expected[..]));
    };
    count(4, later, 0).await;
    let came = desk.take(2).await;
    count(2, 2 + later, 0).await;
    assert_eq!(desk.done(&came[0].receipt).await, Settled::Taken);
    count(2, 1 + later, 0).await;
    if buries {
        let how = Settlement::Bury { reason: "why".into() };
        assert_eq!(desk.try_settle(&came[1].receipt, how).await, Ok(Settled::Taken));
        count(2, later, 1).await;
    }
    desk.place.pass(LONG * 2).await;
    count(if buries { 2 } else { 3 }, later, u64::from(buries)).await;
}
