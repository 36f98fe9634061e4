//! Dead letters.

use std::sync::Arc;
use std::time::Duration;

use super::QueuePlace;
use super::desk::{Desk, LONG, MAIN, number, numbered, numbers, sorted};
use crate::port::queue::{
    Clear, Clearing, DeadLetter, LetterId, LetterOrder, ListLetters, MAX_LETTER_TEXT, MAX_REASON,
    MAX_RECEIPT, MAX_TICKETS, NewTicket, QueueError, Receive, Settled, Settlement, Ticket, Woken,
};

/// The most letters of a queue that a place of tests should have room for.
const FEW: u32 = 256;

fn bury(reason: &str) -> Settlement {
    Settlement::Bury { reason: reason.into() }
}

pub(super) fn oldest(queue: Option<&str>) -> ListLetters {
    ListLetters {
        queue: queue.map(Into::into),
        order: LetterOrder::OldestFirst,
        after: None,
        limit: MAX_TICKETS,
    }
}

/// The number of the ticket that a letter was.
pub(super) fn number_of(letter: &DeadLetter) -> u32 {
    match letter.ticket {
        Some(Ticket::Step(step)) => step.attempt,
        other => panic!("a ticket with a number was buried, and not {other:?}"),
    }
}

fn numbers_of(letters: &[DeadLetter]) -> Vec<u32> {
    letters.iter().map(number_of).collect()
}

impl Desk {
    pub(super) async fn bury_all(&self, reason: &str) {
        for came in self.take(MAX_TICKETS).await {
            assert_eq!(self.try_settle(&came.receipt, bury(reason)).await, Ok(Settled::Taken));
        }
    }

    pub(super) async fn list(&self, list: ListLetters) -> Vec<DeadLetter> {
        self.queue.letters(list).await.expect("it lists them")
    }

    pub(super) async fn letters(&self) -> Vec<DeadLetter> {
        self.list(oldest(None)).await
    }

    pub(super) async fn clear(&self, letter: &LetterId, how: Clearing) -> Result<Settled, QueueError> {
        self.queue.clear(Clear { letter: letter.clone(), how }).await
    }

    /// Whether it keeps dead letters; if not, that it refuses all that has to do with them, and does nothing.
    async fn buries(&self) -> bool {
        if self.can().letters > 0 {
            return true;
        }
        self.publish([numbered(1)]).await;
        let came = self.one().await;
        let refused = Some(QueueError::Unsupported("letters"));
        assert_eq!(self.try_settle(&came.receipt, bury("why")).await.err(), refused);
        assert_eq!(self.queue.letters(oldest(None)).await.err(), refused);
        for how in [Clearing::Publish, Clearing::Drop] {
            assert_eq!(self.clear(&LetterId::new("1"), how).await.err(), refused);
        }
        assert_eq!(self.done(&came.receipt).await, Settled::Taken, "the receipt still holds");
        false
    }
}

pub(super) async fn what_is_buried_is_kept_with_its_reason(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    let reason = format!("Büro \u{1F6AA}' -- {}", "r".repeat(MAX_REASON));
    let reason = crate::port::queue::within(&reason, MAX_REASON);
    let priority = if desk.can().priority { -7 } else { 0 };
    let new = NewTicket { project: "Büro \u{1F6AA}' --".into(), priority, ..numbered(1) };
    desk.publish([new.clone(), numbered(2)]).await;
    // Given out twice.
    assert_eq!(desk.take_for(9, Duration::from_secs(1)).await.len(), 2);
    desk.place.pass(LONG).await;
    let came = desk.take(9).await;
    let first = came.iter().find(|came| number(came) == 1).expect("it came");
    let other = desk.another().await;
    assert_eq!(other.try_settle(&first.receipt, bury(reason)).await, Ok(Settled::Taken));
    desk.place.pass(LONG * 2).await;
    assert_eq!(numbers(&desk.take(9).await), [2], "it is taken out");
    let letters = other.letters().await;
    let [letter] = &letters[..] else { panic!("one letter, and not {letters:?}") };
    let DeadLetter { id, queue, project, priority, count, at: _, reason: why, ticket, text } = letter;
    assert_eq!((&**queue, project, *priority, *count), (MAIN, &new.project, new.priority, 2));
    assert_eq!((&**why, *ticket), (reason, Some(new.ticket)));
    assert_eq!(serde_json::from_str::<Ticket>(text).expect("it is kept as it is written"), new.ticket);
    assert!(!id.as_str().is_empty() && id.as_str().len() <= MAX_RECEIPT, "a letter of the name {id}");
    assert_eq!(desk.letters().await, letters, "whichever handle is asked");
}

pub(super) async fn a_late_burial_changes_nothing(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    desk.publish([numbered(1)]).await;
    let first = desk.one().await;
    desk.place.pass(LONG * 2).await;
    assert_eq!(desk.try_settle(&first.receipt, bury("late")).await, Ok(Settled::Late));
    let second = desk.one().await;
    assert_eq!(
        desk.try_settle(&first.receipt, bury("late")).await,
        Ok(Settled::Late),
        "somebody else has it"
    );
    assert_eq!(desk.letters().await, []);
    assert_eq!(desk.try_settle(&second.receipt, bury("in time")).await, Ok(Settled::Taken));
    for how in [bury("again"), Settlement::Done, Settlement::Release { after: Duration::ZERO }] {
        assert_eq!(desk.try_settle(&second.receipt, how.clone()).await, Ok(Settled::Late), "once: {how:?}");
    }
    let letters = desk.letters().await;
    assert_eq!(letters.iter().map(|letter| &*letter.reason).collect::<Vec<_>>(), ["in time"]);
    desk.place.pass(LONG * 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn letters_come_by_page_in_their_order(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    let queues = ["b", "B", "b.1"];
    for round in 0..6 {
        let queue: Arc<str> = queues[round as usize % 3].into();
        desk.publish([NewTicket { queue: queue.clone(), ..numbered(round) }]).await;
        let receive = Receive { queues: vec![queue], max: 1, visibility: LONG };
        let came = desk.queue.receive(receive).await.expect("it gives what there is");
        assert_eq!(desk.try_settle(&came[0].receipt, bury("why")).await, Ok(Settled::Taken));
    }
    let ask = |queue, order, after, limit| ListLetters { order, after, limit, ..oldest(queue) };
    let all = desk.letters().await;
    assert_eq!(numbers_of(&all), [0, 1, 2, 3, 4, 5]);
    let newest = |limit| desk.list(ask(None, LetterOrder::NewestFirst, None, limit));
    assert_eq!(numbers_of(&newest(9).await), [5, 4, 3, 2, 1, 0]);
    assert_eq!(numbers_of(&newest(2).await), [5, 4]);
    assert_eq!(numbers_of(&newest(0).await), [0; 0]);
    for (queue, expected) in [("b", &[0, 3][..]), ("B", &[1, 4]), ("b.1", &[2, 5]), ("other", &[])] {
        assert_eq!(numbers_of(&desk.list(oldest(Some(queue))).await), expected, "of {queue}");
    }
    let page = |queue, order, after: u32| {
        let after = Some(all[after as usize].id.clone());
        desk.list(ask(queue, order, after, 2))
    };
    assert_eq!(numbers_of(&page(None, LetterOrder::OldestFirst, 1).await), [2, 3]);
    assert_eq!(numbers_of(&page(None, LetterOrder::NewestFirst, 4).await), [3, 2]);
    assert_eq!(numbers_of(&page(Some("b"), LetterOrder::NewestFirst, 4).await), [3, 0]);
    assert_eq!(numbers_of(&page(Some("b"), LetterOrder::OldestFirst, 0).await), [3]);
    // What a page goes on behind may be gone.
    assert_eq!(desk.clear(&all[3].id, Clearing::Drop).await, Ok(Settled::Taken));
    assert_eq!(numbers_of(&page(None, LetterOrder::OldestFirst, 3).await), [4, 5]);
    assert_eq!(numbers_of(&page(None, LetterOrder::NewestFirst, 3).await), [2, 1]);
}

pub(super) async fn a_letter_is_published_again_as_a_new_ticket(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    let priority = if desk.can().priority { 3 } else { 0 };
    let new = NewTicket { project: "other".into(), priority, ..numbered(1) };
    desk.publish([new.clone(), numbered(2)]).await;
    desk.bury_all("why").await;
    let waiting = desk.begin_to_wait().await;
    let letters = desk.letters().await;
    let letter = letters.iter().find(|letter| number_of(letter) == 1).expect("it was buried");
    let other = desk.another().await;
    assert_eq!(other.clear(&letter.id, Clearing::Publish).await, Ok(Settled::Taken));
    waiting.rings().await;
    assert_eq!(numbers_of(&desk.letters().await), [2], "it is a letter no more");
    for how in [Clearing::Publish, Clearing::Drop] {
        assert_eq!(desk.clear(&letter.id, how).await, Ok(Settled::Late), "once");
    }
    let came = desk.take(9).await;
    let [came] = &came[..] else { panic!("one ticket, and not {came:?}") };
    assert_eq!((came.ticket, &came.project, came.priority), (new.ticket, &new.project, new.priority));
    assert_eq!(came.count, 1, "nobody was given the new one");
    assert_eq!(desk.done(&came.receipt).await, Settled::Taken);
}

pub(super) async fn a_letter_that_is_dropped_is_gone(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    desk.publish([1, 2].map(numbered)).await;
    desk.bury_all("why").await;
    let letters = desk.letters().await;
    let letter = letters.iter().find(|letter| number_of(letter) == 1).expect("it was buried");
    assert_eq!(desk.clear(&letter.id, Clearing::Drop).await, Ok(Settled::Taken));
    assert_eq!(desk.clear(&letter.id, Clearing::Drop).await, Ok(Settled::Late), "once");
    assert_eq!(numbers_of(&desk.letters().await), [2]);
    desk.place.pass(LONG * 2).await;
    assert_eq!(numbers(&desk.take(9).await), [0; 0]);
}

pub(super) async fn the_oldest_letters_of_a_queue_make_room(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    let most = desk.can().letters;
    assert!(
        most <= FEW,
        "a place of tests opens its queues with room for at most {FEW} letters, so that they can be full"
    );
    desk.publish([NewTicket { queue: "other".into(), ..numbered(9999) }]).await;
    let receive = Receive { queues: vec!["other".into()], max: 1, visibility: LONG };
    let came = desk.queue.receive(receive).await.expect("it gives what there is");
    assert_eq!(desk.try_settle(&came[0].receipt, bury("why")).await, Ok(Settled::Taken));
    for number in 0..most + 3 {
        desk.publish([numbered(number)]).await;
        desk.bury_all("why").await;
    }
    let left = numbers_of(&desk.list(oldest(Some(MAIN))).await);
    assert_eq!(left, (3..most + 3).collect::<Vec<_>>(), "those that were buried last");
    assert_eq!(
        numbers_of(&desk.list(oldest(Some("other"))).await),
        [9999],
        "another queue has room of its own"
    );
}

pub(super) async fn what_nobody_can_read_is_buried(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    // Of a later version; of nobody; and longer than what is kept.
    let long = format!("{{\"kind\":\"{}\"}}", "ä".repeat(MAX_LETTER_TEXT));
    let texts = [r#"{"kind":"walk","to":7}"#, "garbage \u{1F6AA} {", &long];
    desk.publish((0..6).map(numbered)).await;
    for (nth, text) in (0..).zip(texts) {
        let written = serde_json::to_string(&numbered(nth).ticket).expect("ids and numbers");
        if !desk.place.forge_ticket(&written, text).await {
            assert!(
                !desk.place.keeps(),
                "what outlives the process can be written by another version: say how to forge it"
            );
            return;
        }
    }
    assert_eq!(sorted(&desk.take(6).await), [3, 4, 5], "nobody is kept from the others");
    desk.place.pass(LONG * 2).await;
    if desk.can().letters == 0 {
        return;
    }
    assert_eq!(sorted(&desk.take(9).await), [3, 4, 5]);
    assert_eq!(desk.looks().await, Woken::TimedOut, "nobody comes for it again and again");
    let letters = desk.letters().await;
    assert_eq!(letters.len(), texts.len(), "{letters:?}");
    for text in texts {
        let kept = crate::port::queue::within(text, MAX_LETTER_TEXT);
        let letter = letters.iter().find(|letter| &*letter.text == kept).expect("it is kept as it was");
        assert_eq!((letter.ticket, &*letter.queue, &*letter.project), (None, MAIN, "default"));
        assert!(letter.reason.contains("cannot be read") && letter.reason.len() <= MAX_REASON, "{letter:?}");
        let published = desk.clear(&letter.id, Clearing::Publish).await;
        assert!(matches!(published, Err(QueueError::Invalid(_))), "it cannot be published: {published:?}");
        assert_eq!(desk.clear(&letter.id, Clearing::Drop).await, Ok(Settled::Taken));
    }
    assert_eq!(desk.letters().await, []);
}

pub(super) async fn what_cannot_be_buried_is_refused(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    if !desk.buries().await {
        return;
    }
    desk.publish([numbered(1)]).await;
    let came = desk.one().await;
    let long = "r".repeat(MAX_REASON + 1);
    for reason in ["", "a\0b", &long] {
        let answer = desk.try_settle(&came.receipt, bury(reason)).await;
        assert!(matches!(answer, Err(QueueError::Invalid(_))), "for {reason:?}: {answer:?}");
    }
    let wrong = [
        ListLetters { limit: MAX_TICKETS + 1, ..oldest(None) },
        oldest(Some("a b")),
        oldest(Some("")),
        ListLetters { after: Some(LetterId::new("no letter")), ..oldest(None) },
    ];
    for list in wrong {
        let answer = desk.queue.letters(list.clone()).await;
        assert!(matches!(answer, Err(QueueError::Invalid(_))), "{list:?}: {answer:?}");
    }
    assert_eq!(desk.letters().await, [], "what was refused has buried nothing");
    for name in
        ["", ".", "1", "-1.-1", "no letter", "'; --", "18446744073709551616.1", "0000000000000001:main"]
    {
        for how in [Clearing::Publish, Clearing::Drop] {
            assert_eq!(desk.clear(&LetterId::new(name), how).await, Ok(Settled::Late), "{name:?}, {how:?}");
        }
    }
    assert_eq!(desk.done(&came.receipt).await, Settled::Taken, "what was refused has settled nothing");
}
