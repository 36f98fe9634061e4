//! Who is alive, and what the dead leave behind.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{OwnerId, RunId};
use crate::port::store::{NewOwner, NewRun, OwnerRow, Renewal, Serves, Store, StoreError};
use crate::testkit::Place;
use crate::testkit::sample::{Story, due_runs, new_run, owner_id, registered};
use crate::time::{HEAD_START, Timestamp};

const LONG: Duration = Duration::from_secs(3600);

pub(super) async fn an_owner_lives_by_renewal(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    // The clock is the store's, whichever handle tells it.
    let before = other.now().await.unwrap();
    let id = registered(&*store, LONG).await;
    let row = store.owner(id).await.unwrap().expect("the owner");
    assert_eq!((row.id, row.dead, &*row.label), (id, false, "host pid 1"));
    let after = other.now().await.unwrap();
    let (first, last) = (before + LONG, after + LONG);
    assert!((first..=last).contains(&row.deadline), "{first} to {last}: {}", row.deadline);

    let before = other.now().await.unwrap();
    let Renewal::Alive(until) = store.renew(id, LONG * 2).await.unwrap() else { panic!("it lives") };
    let (first, last) = (before + LONG * 2, other.now().await.unwrap() + LONG * 2);
    assert!((first..=last).contains(&until), "{first} to {last}: {until}");
    assert_eq!(store.owner(id).await.unwrap().expect("the owner").deadline, until);
    assert_eq!(store.sweep().await.unwrap(), []);
    assert_eq!(store.owner(owner_id()).await.unwrap(), None);
    assert_eq!(store.renew(owner_id(), LONG).await.unwrap(), Renewal::Dead, "nobody knows it");
}

pub(super) async fn who_is_not_dead_is_listed(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    assert_eq!(store.owners().await.unwrap(), []);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(registered(&*store, LONG).await);
    }
    // Past its time, and nobody has said so yet.
    ids.push(registered(&*store, Duration::ZERO).await);
    ids.sort_unstable();
    let listed = |rows: Vec<OwnerRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(listed(other.owners().await.unwrap()), ids);
    let dead = store.sweep().await.unwrap();
    let retired = ids.iter().copied().find(|id| !dead.contains(id)).expect("one that lives");
    store.retire(retired).await.unwrap();
    ids.retain(|id| *id != retired && !dead.contains(id));
    assert_eq!(listed(other.owners().await.unwrap()), ids);
}

pub(super) async fn who_is_past_the_deadline_stays_dead(place: Arc<dyn Place>) {
    let store = place.open().await;
    let id = registered(&*store, Duration::ZERO).await;
    assert_eq!(store.renew(id, LONG).await.unwrap(), Renewal::Dead);
    assert_eq!(store.renew(id, LONG).await.unwrap(), Renewal::Dead, "asking again does not help");
    assert_eq!(store.sweep().await.unwrap(), [id], "the one that was refused is still to be reported");
    assert_eq!(store.renew(id, LONG).await.unwrap(), Renewal::Dead);
    assert!(store.owner(id).await.unwrap().expect("the owner").dead);
}

pub(super) async fn who_retires_is_dead(place: Arc<dyn Place>) {
    let store = place.open().await;
    let id = registered(&*store, LONG).await;
    store.retire(id).await.unwrap();
    assert!(store.owner(id).await.unwrap().expect("the owner").dead);
    assert_eq!(store.renew(id, LONG).await.unwrap(), Renewal::Dead);
    assert_eq!(store.sweep().await.unwrap(), [], "everybody knows already");
    store.retire(id).await.unwrap();
    store.retire(owner_id()).await.unwrap();
}

pub(super) async fn sweeping_names_each_dead_owner_once(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let alive = registered(&*store, LONG).await;
    let mut late = vec![registered(&*store, Duration::ZERO).await, registered(&*other, Duration::ZERO).await];
    let mut newly = store.sweep().await.unwrap();
    newly.sort();
    late.sort();
    assert_eq!(newly, late);
    assert_eq!(other.sweep().await.unwrap(), []);
    assert!(!store.owner(alive).await.unwrap().expect("the owner").dead);
    for id in late {
        assert!(other.owner(id).await.unwrap().expect("the owner").dead);
    }
}

pub(super) async fn an_owner_is_registered_once(place: Arc<dyn Place>) {
    let store = place.open().await;
    let id = registered(&*store, LONG).await;
    store.retire(id).await.unwrap();
    let again = store
        .register(NewOwner {
            id,
            ttl: LONG,
            label: "again".to_owned(),
            serves: Serves::default(),
            outside: false,
        })
        .await;
    assert!(matches!(again, Err(StoreError::Invalid(_))), "{again:?}");
    assert!(store.owner(id).await.unwrap().expect("the owner").dead, "the dead do not come back");
}

/// A run that is due at a time, driven by someone or nobody.
async fn due(store: &dyn Store, at: Option<Timestamp>, driver: Option<OwnerId>) -> RunId {
    due_of(store, "default", 0, at, driver).await
}

/// Such a run, of a project, with a priority.
async fn due_of(
    store: &dyn Store,
    project: &str,
    priority: i32,
    at: Option<Timestamp>,
    driver: Option<OwnerId>,
) -> RunId {
    let mut story = Story::new();
    let mut member = story.create(NewRun { project: project.into(), priority, ..new_run() });
    (member.summary.due_at, member.summary.driver) = (at, driver);
    story.write(store, member).await;
    story.run
}

pub(super) async fn due_runs_that_nobody_drives_are_claimed(place: Arc<dyn Place>) {
    let store = place.open().await;
    let now = store.now().await.unwrap();
    let mut story = Story::begun(&*store).await;
    let mut member = story.step_due();
    member.summary.due_at = Some(now);
    story.write(&*store, member).await;
    due(&*store, Some(now + LONG), None).await;
    due(&*store, None, None).await;
    assert_eq!(due_runs(&*store, 10).await.unwrap(), [story.run]);
    assert_eq!(due_runs(&*store, 0).await.unwrap(), []);

    story.write(&*store, story.step_due()).await;
    assert_eq!(due_runs(&*store, 10).await.unwrap(), [], "nothing is due any more");
}

pub(super) async fn runs_of_dead_drivers_are_claimed(place: Arc<dyn Place>) {
    let store = place.open().await;
    let now = store.now().await.unwrap();
    let (alive, late, retired) = (
        registered(&*store, LONG).await,
        registered(&*store, Duration::ZERO).await,
        registered(&*store, LONG).await,
    );
    due(&*store, Some(now), Some(alive)).await;
    let of_late = due(&*store, Some(now), Some(late)).await;
    let of_retired = due(&*store, Some(now), Some(retired)).await;
    assert_eq!(due_runs(&*store, 10).await.unwrap(), [], "a driver counts as alive until it is marked dead");
    store.retire(retired).await.unwrap();
    assert_eq!(due_runs(&*store, 10).await.unwrap(), [of_retired]);
    store.sweep().await.unwrap();
    let mut claimed = due_runs(&*store, 10).await.unwrap();
    claimed.sort();
    assert_eq!(claimed, [of_late, of_retired]);
}

pub(super) async fn runs_that_are_due_longest_come_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut runs = Vec::new();
    for at in [30, 10, 20] {
        runs.push(due(&*store, Some(Timestamp::from_millis(at)), None).await);
    }
    assert_eq!(due_runs(&*store, 10).await.unwrap(), [runs[1], runs[2], runs[0]]);
    assert_eq!(due_runs(&*store, 2).await.unwrap(), [runs[1], runs[2]]);
}

pub(super) async fn due_runs_of_projects_take_turns(place: Arc<dyn Place>) {
    let store = place.open().await;
    let alive = registered(&*store, LONG).await;
    let now = store.now().await.unwrap();
    let of = async |project: &str, millis: i64| {
        due_of(&*store, project, 0, Some(Timestamp::from_millis(millis)), None).await
    };
    // Most that somebody drives, or that is not due, is no run of its project's turn.
    for project in ["flood", "other", "third"] {
        due_of(&*store, project, 0, Some(Timestamp::default()), Some(alive)).await;
        due_of(&*store, project, 9, Some(now + LONG), None).await;
        due_of(&*store, project, 0, None, None).await;
    }
    let mut flood = Vec::new();
    for millis in 1..=100 {
        flood.push(of("flood", millis).await);
    }
    let (second, first) = (of("other", 2_000).await, of("other", 1_000).await);
    let third = of("a third", 1_500).await;
    assert_eq!(due_runs(&*store, 1).await.unwrap(), [flood[0]]);
    assert_eq!(due_runs(&*store, 3).await.unwrap(), [flood[0], first, third]);
    let few = due_runs(&*store, 8).await.unwrap();
    assert_eq!(few, [flood[0], first, third, flood[1], second, flood[2], flood[3], flood[4]]);
    let all = due_runs(&*store, 1_000).await.unwrap();
    let rest = [&[flood[0], first, third, flood[1], second], &flood[2..]].concat();
    assert_eq!(all, rest, "each once, and none is forgotten");
}

pub(super) async fn the_priority_of_a_run_is_a_head_start(place: Arc<dyn Place>) {
    let store = place.open().await;
    let minute = HEAD_START.as_millis() as i64;
    let of = async |priority: i32, millis: i64| {
        due_of(&*store, "default", priority, Some(Timestamp::from_millis(millis)), None).await
    };
    let urgent = of(2, 3 * minute - 1).await;
    let plain = of(0, minute).await;
    let late = of(2, 3 * minute + 1).await;
    let idle = of(-1, -2).await;
    let last = of(i32::MIN, 0).await;
    let first = of(i32::MAX, minute).await;
    let others = due_of(&*store, "others", 0, Some(Timestamp::from_millis(9 * minute)), None).await;
    let due = due_runs(&*store, 9).await.unwrap();
    assert_eq!(due, [first, others, idle, urgent, plain, late, last]);
    assert_eq!(due_runs(&*store, 4).await.unwrap(), due[..4]);
}
