//! Attempts that others execute: offered, claimed, taken back.

use std::sync::Arc;
use std::time::Duration;

use super::keys::race;
use crate::id::OwnerId;
use crate::port::queue::StepTicket;
use crate::port::store::{Claim, Claimed, Commit, NewOwner, OfferQuery, Remote, Serves, Store};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, claim, claimed, offer, owner_id, registered, step_row, ticket};

const LONG: Duration = Duration::from_secs(3600);

/// A run with an offer of its first step.
async fn offered(store: &dyn Store) -> (Story, StepTicket) {
    let mut story = Story::begun(store).await;
    let ticket = ticket(story.run, 0, 1);
    let remote = Remote { offers: vec![offer(ticket, "gpu")], ..Remote::default() };
    story.write(store, story.remote(remote)).await;
    (story, ticket)
}

/// The tickets of those offers that are asked for.
async fn listed(store: &dyn Store, query: OfferQuery) -> Vec<StepTicket> {
    let page = store.offers(query).await.unwrap();
    page.items.iter().map(|row| row.offer.ticket).collect()
}

pub(super) async fn an_offer_is_claimed_once(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let (first, second) = (registered(&*store, LONG).await, registered(&*other, LONG).await);
    let (_, ticket) = offered(&*store).await;
    let before = store.now().await.unwrap();
    let Claimed::Yours(row) = store.claim(Claim { ticket, owner: first }).await.unwrap() else {
        panic!("it is offered")
    };
    assert_eq!((&row.offer, row.claim.map(|claim| claim.owner)), (&offer(ticket, "gpu"), Some(first)));
    let at = row.claim.expect("a claim").at;
    assert!((before..=store.now().await.unwrap()).contains(&at), "by the store's clock: {at}");
    assert_eq!(other.claim(Claim { ticket, owner: second }).await.unwrap(), Claimed::Gone);
    let again = other.claim(Claim { ticket, owner: first }).await.unwrap();
    assert_eq!(again, Claimed::Yours(row), "whoever has not heard the answer asks again");
}

pub(super) async fn of_sixteen_claims_one_wins(place: Arc<dyn Place>) {
    let mut handles = Vec::new();
    for _ in 0..16 {
        handles.push(place.open().await);
    }
    let (_, ticket) = offered(&*handles[0]).await;
    let mut owners = Vec::new();
    for handle in &handles {
        owners.push(registered(&**handle, LONG).await);
    }
    let racers = handles.into_iter().zip(owners);
    let answers = race(
        racers.map(|(handle, owner)| async move { handle.claim(Claim { ticket, owner }).await.unwrap() }),
    );
    let winners = answers.await.into_iter().filter(|answer| matches!(answer, Claimed::Yours(_))).count();
    assert_eq!(winners, 1);
}

pub(super) async fn a_claim_names_the_right_that_is_offered(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (_, ticket) = offered(&*store).await;
    let another = StepTicket { run: Story::begun(&*store).await.run, ..ticket };
    for wrong in [
        StepTicket { epoch: 2, ..ticket },
        StepTicket { attempt: 2, ..ticket },
        StepTicket { generation: 2, ..ticket },
        StepTicket { iteration: 1, ..ticket },
        StepTicket { item: Some(0), ..ticket },
        another,
    ] {
        let answer = store.claim(Claim { ticket: wrong, owner }).await.unwrap();
        assert_eq!(answer, Claimed::Gone, "{wrong:?} is not {ticket:?}");
    }
    claim(&*store, ticket, owner).await;
}

pub(super) async fn nothing_of_a_run_that_has_ended_is_claimed(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (mut story, ticket) = offered(&*store).await;
    let mut ends = story.step_due();
    ends.summary.finished_at = Some(at(1));
    story.write(&*store, ends).await;
    let claim = Claim { ticket, owner };
    assert_eq!(store.claim(claim).await.unwrap(), Claimed::Gone);
    let query = OfferQuery { claimed: true, ..OfferQuery::default() };
    assert_eq!(listed(&*store, query).await, [], "nothing was written");
    // One that was reopened is like any other.
    story.write(&*store, story.step_due()).await;
    assert!(matches!(store.claim(claim).await.unwrap(), Claimed::Yours(_)));
}

pub(super) async fn the_dead_claim_nothing(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (_, ticket) = offered(&*store).await;
    let retired = registered(&*store, LONG).await;
    store.retire(retired).await.unwrap();
    let past = registered(&*store, Duration::ZERO).await;
    for owner in [retired, past, owner_id()] {
        assert_eq!(store.claim(Claim { ticket, owner }).await.unwrap(), Claimed::Dead);
    }
    assert_eq!(listed(&*store, OfferQuery { free: true, ..OfferQuery::default() }).await, [ticket]);
}

pub(super) async fn a_step_has_one_offer_at_a_time(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut story, first) = offered(&*store).await;
    let second = ticket(story.run, 0, 2);
    let mut remote = Remote { offers: vec![offer(second, "gpu")], ..Remote::default() };
    let answer = store.commit(vec![story.remote(remote.clone())]).await;
    assert!(matches!(answer[..], [Commit::Invalid(_)]), "{answer:?}");
    assert_eq!(listed(&*store, OfferQuery::default()).await, [first]);
    // Taken back in the same member, it makes room.
    remote.withdrawn.push(first);
    story.write(&*store, story.remote(remote)).await;
    assert_eq!(listed(&*store, OfferQuery::default()).await, [second]);
    for offers in [
        vec![offer(StepTicket { run: Story::new().run, ..second }, "gpu")],
        vec![offer(ticket(story.run, 1, 1), "two words")],
        vec![offer(ticket(story.run, 1, 1), "")],
    ] {
        let remote = Remote { offers, ..Remote::default() };
        let answer = store.commit(vec![story.remote(remote)]).await;
        assert!(matches!(answer[..], [Commit::Invalid(_)]), "{answer:?}");
    }
}

pub(super) async fn what_is_claimed_is_not_taken_back(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (mut story, first) = offered(&*store).await;
    let second = ticket(story.run, 1, 1);
    let remote = Remote { offers: vec![offer(second, "gpu")], ..Remote::default() };
    story.write(&*store, story.remote(remote)).await;
    let row = claim(&*store, first, owner).await;
    let withdraws = |withdrawn: Vec<StepTicket>| Remote { withdrawn, ..Remote::default() };
    let answer = store.commit(vec![story.remote(withdraws(vec![second, first]))]).await;
    assert_eq!(answer, [Commit::Claimed(vec![row])], "it says by whom, and since when");
    let seq = store.run(story.run).await.unwrap().expect("the run").seq;
    assert_eq!((seq, listed(&*store, OfferQuery::default()).await), (story.seq, vec![first, second]));
    // Whoever decides on what is no longer so is told that first.
    let stale = Story { seq: 1, ..story.clone() };
    assert_eq!(store.commit(vec![stale.remote(withdraws(vec![first]))]).await, [Commit::Conflict]);
    story.write(&*store, story.remote(withdraws(vec![second]))).await;
    assert_eq!(listed(&*store, OfferQuery::default()).await, [first]);
}

pub(super) async fn what_is_taken_back_cannot_be_claimed(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (mut story, first) = offered(&*store).await;
    let remote = Remote { withdrawn: vec![first], ..Remote::default() };
    story.write(&*store, story.remote(remote.clone())).await;
    assert_eq!(store.claim(Claim { ticket: first, owner }).await.unwrap(), Claimed::Gone);
    story.write(&*store, story.remote(remote)).await;
    let second = StepTicket { attempt: 2, epoch: 2, ..first };
    let remote = Remote { offers: vec![offer(second, "gpu")], ..Remote::default() };
    story.write(&*store, story.remote(remote)).await;
    assert_eq!(store.claim(Claim { ticket: first, owner }).await.unwrap(), Claimed::Gone, "an old ticket");
    claim(&*store, second, owner).await;
}

pub(super) async fn a_claim_is_seen_in_the_row_of_its_step(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let (mut story, ticket) = offered(&*store).await;
    let mut row = step_row(0);
    (row.status, row.epoch, row.owner) = ("queued", ticket.epoch, None);
    let mut member = story.step_due();
    member.steps = vec![row.clone()];
    story.write(&*store, member.clone()).await;
    assert_eq!(store.steps(story.run).await.unwrap(), [row.clone()]);
    let at = claim(&*store, ticket, owner).await.at;
    let shown = [("claimed", Some(owner), Some(at))];
    assert_eq!(claimed(&*store, story.run).await, shown);
    // Its driver does not know, and writes the row again.
    member.expected = story.seq;
    story.write(&*store, member).await;
    assert_eq!(claimed(&*store, story.run).await, shown);
    // Under another right it is another matter.
    let mut member = story.step_due();
    row.epoch += 1;
    member.steps = vec![row.clone()];
    story.write(&*store, member).await;
    assert_eq!(store.steps(story.run).await.unwrap(), [row]);
}

pub(super) async fn offers_are_listed_by_queue_oldest_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let mut story = Story::begun(&*store).await;
    let mut offers = Vec::new();
    for (step, queue) in [(2, "gpu"), (0, "cpu"), (1, "gpu"), (3, "arm")] {
        let new = offer(ticket(story.run, step, 1), queue);
        offers.push(new.ticket);
        let remote = Remote { offers: vec![new], ..Remote::default() };
        story.write(&*store, story.remote(remote)).await;
    }
    let of = |queues: &[&str]| OfferQuery {
        queues: queues.iter().map(|queue| Arc::from(*queue)).collect(),
        ..OfferQuery::default()
    };
    assert_eq!(listed(&*store, of(&[])).await, offers);
    assert_eq!(listed(&*store, of(&["gpu"])).await, [offers[0], offers[2]]);
    assert_eq!(listed(&*store, of(&["gpu", "cpu"])).await, offers[..3]);
    claim(&*store, offers[0], owner).await;
    assert_eq!(listed(&*store, OfferQuery { free: true, ..of(&["gpu"]) }).await, [offers[2]]);
    let run = Some(Story::begun(&*store).await.run);
    assert_eq!(listed(&*store, OfferQuery { run, ..of(&[]) }).await, []);
    let first = store.offers(OfferQuery { limit: 3, ..of(&[]) }).await.unwrap();
    let last = first.items.last().expect("three");
    let after = Some(last.place());
    let rest = store.offers(OfferQuery { after, limit: 3, ..of(&[]) }).await.unwrap();
    assert_eq!((first.items.len(), first.more, rest.items.len(), rest.more), (3, true, 1, false));
}

pub(super) async fn who_executes_is_told_to_stop(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (owner, other) = (registered(&*store, LONG).await, registered(&*store, LONG).await);
    let (mut story, ticket) = offered(&*store).await;
    claim(&*store, ticket, owner).await;
    let told = async |owner: OwnerId| store.stops(owner).await.unwrap();
    assert_eq!(told(owner).await, []);
    let remote = Remote { stops: vec![ticket], ..Remote::default() };
    story.write(&*store, story.remote(remote)).await;
    assert_eq!((told(owner).await, told(other).await), (vec![ticket], vec![]));
    assert_eq!(told(owner).await, [ticket], "until it has stopped");
    let remote = Remote { taken: vec![ticket], ..Remote::default() };
    story.write(&*store, story.remote(remote)).await;
    assert_eq!(told(owner).await, []);
}

pub(super) async fn owners_say_what_they_serve(place: Arc<dyn Place>) {
    let store = place.open().await;
    let serves = Serves {
        queues: ["gpu", "cpu"].map(Arc::from).to_vec(),
        labels: [("zone", "eu \"1\""), ("model", "")].map(|(name, value)| (name.into(), value.into())).into(),
    };
    let new = NewOwner { id: owner_id(), ttl: LONG, label: String::new(), serves, outside: false };
    store.register(new.clone()).await.unwrap();
    let nothing = registered(&*store, LONG).await;
    let told = async |owner| store.owner(owner).await.unwrap().expect("an owner").serves;
    assert_eq!((told(new.id).await, told(nothing).await), (new.serves.clone(), Serves::default()));
    let mut listed = store.owners().await.unwrap();
    listed.retain(|row| row.id == new.id);
    assert_eq!(listed.pop().expect("it is alive").serves, new.serves);
}

pub(super) async fn an_offer_that_nobody_can_read_hides_no_other(place: Arc<dyn Place>) {
    let store = place.open().await;
    let owner = registered(&*store, LONG).await;
    let mut offers = Vec::new();
    for _ in 0..4 {
        offers.push(offered(&*store).await);
    }
    offers.sort_unstable_by_key(|(_, ticket)| *ticket);
    let tickets: Vec<StepTicket> = offers.iter().map(|(_, ticket)| *ticket).collect();
    let Claimed::Yours(_) = store.claim(Claim { ticket: tickets[0], owner }).await.unwrap() else {
        panic!("it is offered")
    };
    for spoiled in [0, 1, 2] {
        if !place.forge_offer(tickets[spoiled]).await {
            assert!(!place.keeps(), "what outlives the process can be written by another version");
            return;
        }
    }
    let all = || OfferQuery::default();
    assert_eq!(listed(&*store, all()).await, [tickets[3]]);
    let page = store.offers(OfferQuery { limit: 1, ..all() }).await.unwrap();
    assert_eq!((page.items.len(), page.more), (1, false), "a page holds what can be read");
    // Who claimed it is known all the same.
    store.retire(owner).await.unwrap();
    let lost = store.inbox(tickets[0].run).await.unwrap().rows;
    assert_eq!(
        lost.iter().map(|row| (row.claim.ticket, row.end.is_none())).collect::<Vec<_>>(),
        [(tickets[0], true)]
    );
}
