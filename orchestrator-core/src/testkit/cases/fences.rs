//! What stands in the way of a member.

use std::sync::Arc;
use std::time::Duration;

use crate::machine::DriverTaken;
use crate::port::store::Commit;
use crate::testkit::Place;
use crate::testkit::sample::{Story, fence, key, new_run, owner, owner_id};

pub(super) async fn a_driver_must_hold_the_run(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let (holder, other) = (owner_id(), owner_id());

    let mut member = story.step_due();
    member.driver = Some(fence(holder, 1));
    assert_eq!(store.commit(vec![member]).await, [Commit::Fenced], "nobody drives it");

    let mut taken = story.next(vec![DriverTaken { owner: holder, epoch: 1 }.into()]);
    (taken.summary.driver, taken.summary.driver_epoch) = (Some(holder), 1);
    story.write(&*store, taken).await;

    for wrong in [fence(other, 1), fence(holder, 2), fence(holder, 0)] {
        let mut member = story.step_due();
        member.driver = Some(wrong);
        assert_eq!(store.commit(vec![member]).await, [Commit::Fenced], "{wrong:?}");
    }
    let mut stale = story.step_due();
    stale.driver = Some(fence(other, 1));
    stale.expected = 1;
    assert_eq!(
        store.commit(vec![stale]).await,
        [Commit::Fenced],
        "who has lost the run must hear that first"
    );
    let mut behind = story.step_due();
    behind.driver = Some(fence(holder, 1));
    behind.expected = 1;
    assert_eq!(
        store.commit(vec![behind]).await,
        [Commit::Conflict],
        "the driver is right, the number is not"
    );

    let mut right = story.step_due();
    right.driver = Some(fence(holder, 1));
    (right.summary.driver, right.summary.driver_epoch) = (Some(holder), 1);
    story.write(&*store, right).await;
    // An outsider needs the number alone.
    story.write(&*store, story.step_due()).await;
}

pub(super) async fn an_asserted_death_must_be_true(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let (living, dead) = (owner(Duration::from_secs(3600)), owner(Duration::from_secs(3600)));
    let (living_id, dead_id, unknown) = (living.id, dead.id, owner_id());
    store.register(living).await.unwrap();
    store.register(dead).await.unwrap();
    store.retire(dead_id).await.unwrap();

    for asserted in [vec![living_id], vec![dead_id, living_id], vec![unknown]] {
        let mut member = story.step_due();
        member.dead.clone_from(&asserted);
        assert_eq!(store.commit(vec![member]).await, [Commit::Fenced], "{asserted:?}");
    }
    let mut member = story.step_due();
    member.dead = vec![dead_id];
    story.write(&*store, member).await;
}

pub(super) async fn a_key_starts_one_run(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut first, second) = (Story::new(), Story::new());
    let mut new = new_run();
    new.key = key("order-1", "content");
    let member = first.create(new.clone());
    first.write(&*store, member.clone()).await;

    let same = Commit::Duplicate { run: first.run, same: true };
    assert_eq!(store.commit(vec![second.create(new.clone())]).await, [same]);
    new.key = key("order-1", "other content");
    let other = Commit::Duplicate { run: first.run, same: false };
    assert_eq!(store.commit(vec![second.create(new)]).await, [other]);
    assert_eq!(store.run(second.run).await.unwrap(), None);
    assert_eq!(
        store.commit(vec![member]).await,
        [Commit::Conflict],
        "the same member again finds its own run"
    );

    assert_eq!(store.find_key("default", "order-1").await.unwrap(), Some(first.run));
    assert_eq!(store.find_key("default", "order-2").await.unwrap(), None);
    let row = store.run(first.run).await.unwrap().expect("the run");
    assert_eq!(row.new.key, key("order-1", "content"));
}

pub(super) async fn a_key_is_its_projects_own(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut one, mut other) = (Story::new(), Story::new());
    let mut new = new_run();
    new.key = key("k", "c");
    one.write(&*store, one.create(new.clone())).await;
    new.project = "elsewhere".into();
    other.write(&*store, other.create(new)).await;
    assert_eq!(store.find_key("default", "k").await.unwrap(), Some(one.run));
    assert_eq!(store.find_key("elsewhere", "k").await.unwrap(), Some(other.run));
    assert_eq!(store.find_key("nowhere", "k").await.unwrap(), None);
}

pub(super) async fn a_key_counts_within_a_batch(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (first, second, third) = (Story::new(), Story::new(), Story::new());
    let mut new = new_run();
    new.key = key("k", "c");
    let batch = vec![first.create(new.clone()), third.create(new_run()), second.create(new)];
    let duplicate = Commit::Duplicate { run: first.run, same: true };
    assert_eq!(store.commit(batch).await, [Commit::Applied, Commit::Applied, duplicate]);
    assert_eq!(store.run(second.run).await.unwrap(), None);
    assert_eq!(store.find_key("default", "k").await.unwrap(), Some(first.run));
}
