//! Tasks: offers that members of their runs claim, with what is held under keys.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{OwnerId, StepIx};
use crate::machine::Hold;
use crate::port::queue::StepTicket;
use crate::port::store::{
    Admission, Claim, Commit, KeyQuery, MAX_TASK, Member, NewOffer, NewOwner, OfferQuery, OfferRow, Remote,
    Serves, Store,
};
use crate::testkit::Place;
use crate::testkit::sample::{Story, claimed, offer, owner_id, registered, step_row, ticket};

const LONG: Duration = Duration::from_secs(3600);

fn task(ticket: StepTicket, priority: i32) -> NewOffer {
    NewOffer { priority, task: Some("{\"title\":\"é\"}".into()), ..offer(ticket, "tasks") }
}

/// A run with a task.
async fn with_task(store: &dyn Store) -> (Story, StepTicket) {
    let mut story = Story::begun(store).await;
    let ticket = ticket(story.run, 0, 1);
    let remote = Remote { offers: vec![task(ticket, 0)], ..Remote::default() };
    story.write(store, story.remote(remote)).await;
    (story, ticket)
}

fn claims(story: &Story, ticket: StepTicket, owner: OwnerId) -> Member {
    story.remote(Remote { claims: vec![Claim { ticket, owner }], ..Remote::default() })
}

async fn listed(store: &dyn Store, query: OfferQuery) -> Vec<OfferRow> {
    store.offers(query).await.unwrap().items
}

fn tickets(rows: &[OfferRow]) -> Vec<StepTicket> {
    rows.iter().map(|row| row.offer.ticket).collect()
}

pub(super) async fn a_member_claims_a_task(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let (first, second) = (registered(&*store, LONG).await, registered(&*other, LONG).await);
    let (mut story, ticket) = with_task(&*store).await;
    let mut row = step_row(0);
    (row.status, row.epoch, row.owner) = ("queued", ticket.epoch, None);
    let mut member = story.step_due();
    member.steps = vec![row];
    story.write(&*store, member).await;
    let before = store.now().await.unwrap();
    story.write(&*store, claims(&story, ticket, first)).await;
    let rows = listed(&*other, OfferQuery::default()).await;
    let claim = rows[0].claim.expect("a claim");
    assert_eq!((&rows[0].offer, claim.owner), (&task(ticket, 0), first));
    assert!((before..=store.now().await.unwrap()).contains(&claim.at), "by the store's clock: {}", claim.at);
    assert_eq!(claimed(&*store, story.run).await, [("claimed", Some(first), Some(claim.at))]);
    // Whoever comes later is told by whom; nothing of its member is written.
    let answer = other.commit(vec![claims(&story, ticket, second)]).await;
    assert_eq!(answer, [Commit::Claimed(vec![claim])]);
    assert_eq!(store.run(story.run).await.unwrap().expect("the run").seq, story.seq);
    // It is delivered and lost as any other.
    store.retire(first).await.unwrap();
    let lost = store.inbox(story.run).await.unwrap().rows;
    assert_eq!(lost.iter().map(|row| (row.claim, row.end.is_none())).collect::<Vec<_>>(), [(claim, true)]);
}

pub(super) async fn a_task_is_claimed_for_the_living_alone(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (story, ticket) = with_task(&*store).await;
    let retired = registered(&*store, LONG).await;
    store.retire(retired).await.unwrap();
    let past = registered(&*store, Duration::ZERO).await;
    for owner in [retired, past, owner_id()] {
        assert_eq!(store.commit(vec![claims(&story, ticket, owner)]).await, [Commit::Fenced], "{owner}");
    }
    let living = registered(&*store, LONG).await;
    for wrong in [
        StepTicket { epoch: 2, ..ticket },
        StepTicket { attempt: 2, ..ticket },
        StepTicket { generation: 2, ..ticket },
        StepTicket { item: Some(0), ..ticket },
    ] {
        let answer = store.commit(vec![claims(&story, wrong, living)]).await;
        assert_eq!(answer, [Commit::Fenced], "{wrong:?} is not {ticket:?}");
    }
    let mut both = claims(&story, ticket, living);
    both.remote.as_mut().expect("a claim").withdrawn.push(ticket);
    let other = Story::begun(&*store).await;
    for member in [both, claims(&other, ticket, living)] {
        let answer = store.commit(vec![member]).await;
        assert!(matches!(answer[..], [Commit::Invalid(_)]), "{answer:?}");
    }
    let free = listed(&*store, OfferQuery { free: true, ..OfferQuery::default() }).await;
    assert_eq!(tickets(&free), [ticket], "nothing was claimed");
}

pub(super) async fn a_claim_takes_what_the_task_holds_or_is_none(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let takes = |story: &Story, ticket| {
        let mut member = claims(story, ticket, owner);
        let hold = (StepIx(0).into(), Arc::new(Hold::place("one at a time", 1)));
        let (project, takes) = ("default".into(), vec![hold]);
        member.admission = Some(Box::new(Admission { project, takes, ..Admission::default() }));
        member
    };
    let (mut first, one) = with_task(&*store).await;
    let (second, two) = with_task(&*store).await;
    first.write(&*store, takes(&first, one)).await;
    let answer = store.commit(vec![takes(&second, two)]).await;
    assert!(matches!(answer[..], [Commit::Full(_)]), "{answer:?}");
    let free = listed(&*store, OfferQuery { free: true, ..OfferQuery::default() }).await;
    assert_eq!(tickets(&free), [two]);
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap().len(), 1);
}

pub(super) async fn tasks_are_listed_apart_the_urgent_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let mut story = Story::begun(&*store).await;
    let mut offers = Vec::new();
    for (step, urgency) in [(0, 0), (1, 3), (2, -1), (3, 3)] {
        let right = ticket(story.run, step, 1);
        let new = if step == 3 { offer(right, "tasks") } else { task(right, urgency) };
        let new = NewOffer { priority: urgency, ..new };
        offers.push(new.ticket);
        let remote = Remote { offers: vec![new], ..Remote::default() };
        story.write(&*store, story.remote(remote)).await;
    }
    let of = |tasks| OfferQuery { tasks, ..OfferQuery::default() };
    let all = listed(&*store, of(None)).await;
    assert_eq!(tickets(&all), [offers[1], offers[3], offers[0], offers[2]], "each point is a head start");
    assert_eq!(all.iter().map(|row| row.offer.priority).collect::<Vec<_>>(), [3, 3, 0, -1]);
    assert_eq!(tickets(&listed(&*store, of(Some(true))).await), [offers[1], offers[0], offers[2]]);
    assert_eq!(tickets(&listed(&*store, of(Some(false))).await), [offers[3]]);
    let after = Some(all[1].place());
    let rest = store.offers(OfferQuery { after, limit: 1, ..of(Some(true)) }).await.unwrap();
    assert_eq!((tickets(&rest.items), rest.more), (vec![offers[0]], true));
    story.write(&*store, claims(&story, offers[0], owner)).await;
    let taken = listed(&*store, OfferQuery { claimed: true, ..OfferQuery::default() }).await;
    assert_eq!(tickets(&taken), [offers[0]]);
}

pub(super) async fn a_task_says_no_more_than_can_be_listed(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    for said in ["x".repeat(MAX_TASK + 1), "a\0b".to_owned()] {
        let new = NewOffer { task: Some(said.into()), ..offer(ticket(story.run, 0, 1), "tasks") };
        let remote = Remote { offers: vec![new], ..Remote::default() };
        let answer = store.commit(vec![story.remote(remote)]).await;
        assert!(matches!(answer[..], [Commit::Invalid(_)]), "{answer:?}");
    }
    assert_eq!(listed(&*store, OfferQuery::default()).await, []);
}

pub(super) async fn who_comes_from_outside_lives_by_its_time(place: Arc<dyn Place>) {
    let store = place.open().await;
    let id = owner_id();
    let serves = Serves::default();
    let new = NewOwner { id, ttl: LONG, label: "ana".to_owned(), serves, outside: true };
    store.register(new).await.unwrap();
    let store = if place.keeps() {
        // Whoever made it known is gone.
        store.close().await.unwrap();
        place.open().await
    } else {
        store
    };
    assert_eq!(store.sweep().await.unwrap().iter().filter(|dead| **dead == id).count(), 0);
    let row = store.owner(id).await.unwrap().expect("an owner");
    assert_eq!((row.dead, &*row.label), (false, "ana"));
}
