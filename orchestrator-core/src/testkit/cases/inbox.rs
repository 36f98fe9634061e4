//! How what was claimed has ended: delivered, lost, taken in.

use std::sync::Arc;
use std::time::Duration;

use crate::id::OwnerId;
use crate::port::queue::StepTicket;
use crate::port::store::{
    Claim, ClaimRow, Claimed, Commit, Deliver, Delivered, Inbox, InboxRow, LogQuery, MAX_END, OfferQuery,
    Remote, Store, StoreError,
};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, claim, due_runs, line, offer, registered, ticket, value};

const LONG: Duration = Duration::from_secs(3600);

fn deliver(ticket: StepTicket, owner: OwnerId, end: &str) -> Deliver {
    Deliver { ticket, owner, end: end.into(), values: Vec::new(), logs: Vec::new() }
}

/// A run of whose steps so many were offered and claimed by an owner.
async fn at_work(store: &dyn Store, owner: OwnerId, steps: u32) -> (Story, Vec<ClaimRow>) {
    let mut story = Story::begun(store).await;
    let tickets: Vec<StepTicket> = (0..steps).map(|step| ticket(story.run, step, 1)).collect();
    let offers = tickets.iter().map(|ticket| offer(*ticket, "gpu")).collect();
    story.write(store, story.remote(Remote { offers, ..Remote::default() })).await;
    let mut claims = Vec::new();
    for ticket in tickets {
        claims.push(claim(store, ticket, owner).await);
    }
    (story, claims)
}

/// What is in a run's inbox: of whom, and with which words; in the order of the tickets.
async fn told(store: &dyn Store, story: &Story) -> Vec<(ClaimRow, Option<String>)> {
    let Inbox { mut rows, unreadable } = store.inbox(story.run).await.unwrap();
    assert_eq!(unreadable, [""; 0]);
    assert!(rows.is_sorted_by_key(|row| (row.at, row.claim.ticket)), "the oldest first: {rows:?}");
    rows.sort_by_key(|row| row.claim.ticket);
    rows.into_iter().map(|row| (row.claim, row.end.map(|end| end.to_string()))).collect()
}

pub(super) async fn the_first_that_is_delivered_counts(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let owner = registered(&*store, LONG).await;
    let (story, claims) = at_work(&*store, owner, 2).await;
    let before = store.now().await.unwrap();
    for (claim, end) in [(1, "first"), (0, "second")] {
        let answer = store.deliver(deliver(claims[claim].ticket, owner, end)).await.unwrap();
        assert_eq!(answer, Delivered::Kept);
    }
    let again = other.deliver(deliver(claims[1].ticket, owner, "another")).await.unwrap();
    assert_eq!(again, Delivered::Kept, "whoever has not heard the answer says it again");
    let expected = [(claims[0], Some("second".into())), (claims[1], Some("first".into()))];
    assert_eq!(told(&*other, &story).await, expected);
    let InboxRow { at, .. } = store.inbox(story.run).await.unwrap().rows.remove(0);
    assert!((before..=store.now().await.unwrap()).contains(&at), "by the store's clock: {at}");
    assert_eq!(told(&*store, &Story::begun(&*store).await).await, []);
}

pub(super) async fn who_has_not_claimed_delivers_nothing(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (owner, other) = (registered(&*store, LONG).await, registered(&*store, LONG).await);
    let (mut story, claims) = at_work(&*store, owner, 1).await;
    let right = claims[0].ticket;
    let unclaimed = ticket(story.run, 1, 1);
    let remote = Remote { offers: vec![offer(unclaimed, "gpu")], ..Remote::default() };
    story.write(&*store, story.remote(remote)).await;
    for wrong in [
        deliver(right, other, "mine"),
        deliver(unclaimed, owner, "too early"),
        deliver(StepTicket { epoch: 2, ..right }, owner, "of another right"),
        deliver(StepTicket { attempt: 2, ..right }, owner, "of another attempt"),
        deliver(ticket(story.run, 7, 1), owner, "of nothing"),
    ] {
        assert_eq!(store.deliver(wrong.clone()).await.unwrap(), Delivered::Fenced, "{wrong:?}");
    }
    assert_eq!(told(&*store, &story).await, []);
    for end in ["\0".to_owned(), "x".repeat(MAX_END + 1)] {
        let answer = store.deliver(deliver(right, owner, &end)).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
    let longest = "x".repeat(MAX_END);
    assert_eq!(store.deliver(deliver(right, owner, &longest)).await.unwrap(), Delivered::Kept);
    assert_eq!(told(&*store, &story).await, [(claims[0], Some(longest))]);
}

pub(super) async fn what_is_delivered_comes_with_its_values_and_lines(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (owner, other) = (registered(&*store, LONG).await, registered(&*store, LONG).await);
    let (story, claims) = at_work(&*store, owner, 1).await;
    let (_, stored) = value(format!("\"{}\"", "v".repeat(100)));
    let digest = stored.digest;
    let with = |owner: OwnerId| Deliver {
        values: vec![stored.clone()],
        logs: vec![line(0, "done")],
        ..deliver(claims[0].ticket, owner, "end")
    };
    let all = LogQuery { run: story.run, step: None, after: 0, tail: false, limit: 9 };
    assert_eq!(store.deliver(with(other)).await.unwrap(), Delivered::Fenced);
    assert_eq!(
        (store.value(story.run, digest).await.unwrap(), store.logs(all).await.unwrap().len()),
        (None, 0)
    );
    for _ in 0..2 {
        assert_eq!(store.deliver(with(owner)).await.unwrap(), Delivered::Kept);
        assert_eq!(store.value(story.run, digest).await.unwrap().as_ref(), Some(&stored.body));
        assert_eq!(store.logs(all).await.unwrap().len(), 1, "once");
    }
}

pub(super) async fn what_the_dead_had_claimed_is_lost(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (owner, retired) = (registered(&*store, LONG).await, registered(&*store, LONG).await);
    let (alive, _) = at_work(&*store, owner, 1).await;
    let (story, claims) = at_work(&*store, retired, 2).await;
    let mark = store.change_mark().await.unwrap();
    store.retire(retired).await.unwrap();
    assert_ne!(store.change_mark().await.unwrap(), mark);
    assert_eq!(told(&*store, &story).await, [(claims[0], None), (claims[1], None)]);
    assert_eq!(told(&*store, &alive).await, []);
    let late = store.deliver(deliver(claims[0].ticket, retired, "late")).await.unwrap();
    assert_eq!(late, Delivered::Fenced, "it counts as lost");
    store.retire(retired).await.unwrap();
    store.sweep().await.unwrap();
    assert_eq!(told(&*store, &story).await, [(claims[0], None), (claims[1], None)], "once");

    // Whoever is past its time is dead when somebody looks, and loses what it has just then.
    let passing = registered(&*store, LONG).await;
    let (story, claims) = at_work(&*store, passing, 1).await;
    let _ = store.renew(passing, Duration::ZERO).await.unwrap();
    assert_eq!(told(&*store, &story).await, []);
    assert_eq!(store.sweep().await.unwrap(), [passing]);
    assert_eq!(told(&*store, &story).await, [(claims[0], None)]);
}

pub(super) async fn what_was_delivered_outlives_its_owner(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (story, claims) = at_work(&*store, owner, 2).await;
    store.deliver(deliver(claims[0].ticket, owner, "done")).await.unwrap();
    store.retire(owner).await.unwrap();
    let rows = told(&*store, &story).await;
    assert_eq!(rows, [(claims[0], Some("done".into())), (claims[1], None)]);
    let again = store.deliver(deliver(claims[0].ticket, owner, "done")).await.unwrap();
    assert_eq!(again, Delivered::Kept, "it was");
}

pub(super) async fn what_is_over_is_not_claimed_again(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (_, claims) = at_work(&*store, owner, 1).await;
    let claim = Claim { ticket: claims[0].ticket, owner };
    assert!(matches!(store.claim(claim).await.unwrap(), Claimed::Yours(_)), "it is its own still");
    store.deliver(deliver(claim.ticket, owner, "done")).await.unwrap();
    assert_eq!(store.claim(claim).await.unwrap(), Claimed::Gone);
}

pub(super) async fn what_is_taken_in_is_gone(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (mut story, claims) = at_work(&*store, owner, 2).await;
    for claim in &claims {
        store.deliver(deliver(claim.ticket, owner, "done")).await.unwrap();
    }
    let takes = |taken: Vec<StepTicket>| Remote { taken, ..Remote::default() };
    let stale = Story { seq: 1, ..story.clone() };
    let answer = store.commit(vec![stale.remote(takes(vec![claims[0].ticket]))]).await;
    assert_eq!((answer, told(&*store, &story).await.len()), (vec![Commit::Conflict], 2));
    story.write(&*store, story.remote(takes(vec![claims[0].ticket]))).await;
    assert_eq!(told(&*store, &story).await, [(claims[1], Some("done".into()))]);
    let again = store.deliver(deliver(claims[0].ticket, owner, "done")).await.unwrap();
    assert_eq!(again, Delivered::Fenced, "it is over");
    // What says nothing new is taken in by a member that says nothing else.
    let mut member = story.remote(takes(vec![claims[1].ticket]));
    member.events.clear();
    story.write(&*store, member).await;
    assert_eq!(told(&*store, &story).await, []);
    assert_eq!(store.offers(OfferQuery::default()).await.unwrap().items, []);
    store.retire(owner).await.unwrap();
    assert_eq!(told(&*store, &story).await, [], "nothing is left to be lost");
}

pub(super) async fn runs_with_something_in_their_inbox_are_due(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (owner, driver) = (registered(&*store, LONG).await, registered(&*store, LONG).await);
    let (free, of_free) = at_work(&*store, owner, 2).await;
    let (mut driven, of_driven) = at_work(&*store, owner, 1).await;
    let mut member = driven.step_due();
    member.summary.driver = Some(driver);
    driven.write(&*store, member).await;
    assert_eq!(due_runs(&*store, 9).await.unwrap(), []);
    for claim in of_free.iter().chain(&of_driven) {
        store.deliver(deliver(claim.ticket, owner, "done")).await.unwrap();
    }
    assert_eq!(due_runs(&*store, 9).await.unwrap(), [free.run], "once, and not the one that is driven");
    store.retire(driver).await.unwrap();
    assert_eq!(due_runs(&*store, 9).await.unwrap(), [free.run, driven.run]);
    assert_eq!(due_runs(&*store, 1).await.unwrap(), [free.run]);
    let mut story = free.clone();
    let taken = of_free.iter().map(|claim| claim.ticket).collect();
    story.write(&*store, story.remote(Remote { taken, ..Remote::default() })).await;
    assert_eq!(due_runs(&*store, 9).await.unwrap(), [driven.run]);
}

pub(super) async fn what_cannot_be_read_is_told_and_hides_no_other(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (mut story, claims) = at_work(&*store, owner, 2).await;
    for claim in &claims {
        store.deliver(deliver(claim.ticket, owner, "done")).await.unwrap();
    }
    if !place.forge_delivery(claims[0].ticket).await {
        assert!(
            !place.keeps(),
            "what outlives the process can be written by another version: say how to forge it"
        );
        return;
    }
    let run = story.run.to_string();
    let tells = |inbox: &Inbox| {
        assert_eq!(inbox.unreadable.len(), 1, "each row once: {inbox:?}");
        assert!(inbox.unreadable[0].contains(&run), "whose it is: {inbox:?}");
    };
    let inbox = store.inbox(story.run).await.unwrap();
    tells(&inbox);
    assert_eq!(inbox.rows.iter().map(|row| row.claim).collect::<Vec<_>>(), [claims[1]]);
    assert_eq!(due_runs(&*store, 9).await.unwrap(), [story.run], "for the other");
    let taken = vec![claims[1].ticket];
    story.write(&*store, story.remote(Remote { taken, ..Remote::default() })).await;
    let inbox = store.inbox(story.run).await.unwrap();
    tells(&inbox);
    assert_eq!(inbox.rows, [], "it stays, and is all there is");
    assert_eq!(due_runs(&*store, 9).await.unwrap(), [], "whoever came for it could do nothing");
    let mut member = story.step_due();
    member.summary.due_at = Some(at(1));
    story.write(&*store, member).await;
    assert_eq!(due_runs(&*store, 9).await.unwrap(), [story.run], "for what is due besides");
}
