//! Places under keys: held, waited for, given on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use crate::id::{RunId, StepIx, Unit};
use crate::machine::Hold;
use crate::port::store::{Admission, Commit, HoldRow, KeyQuery, Member, Store, WaiterRow};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, new_run, registered};

const LONG: Duration = Duration::from_secs(3600);

fn hold(key: &str, limit: u32) -> Arc<Hold> {
    Arc::new(Hold::place(key, limit))
}

pub(super) fn unit(step: u32) -> Unit {
    Unit::of(StepIx(step))
}

pub(super) fn of_default() -> Admission {
    Admission { project: "default".into(), ..Admission::default() }
}

fn takes(step: u32, key: &str, limit: u32) -> Admission {
    Admission { takes: vec![(unit(step), hold(key, limit))], ..of_default() }
}

fn releases(step: u32, key: &str) -> Admission {
    Admission { releases: vec![(unit(step), key.into())], ..of_default() }
}

fn waits(key: &str, limit: u32) -> Admission {
    Admission { waits: vec![hold(key, limit)], ..of_default() }
}

pub(super) async fn begun(store: &dyn Store, runs: usize) -> Vec<Story> {
    let mut stories = Vec::new();
    for _ in 0..runs {
        stories.push(Story::begun(store).await);
    }
    stories
}

/// Writes a member that does this to keys.
pub(super) async fn write(store: &dyn Store, story: &mut Story, admission: Admission) {
    story.write(store, story.admission(admission)).await;
}

/// Tries to, of which another handle may be the cause that it has to be tried again.
pub(super) async fn commit(store: &dyn Store, member: Member) -> Commit {
    loop {
        let answer = store.commit(vec![member.clone()]).await.remove(0);
        if answer != Commit::Busy {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

/// Has all of these carried out at the same moment. Nobody begins before all are there: otherwise the first may be through before
/// the last has come.
pub(super) async fn race<T: Send + 'static>(
    racers: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let racers: Vec<_> = racers.collect();
    let all_are_there = Arc::new(Barrier::new(racers.len()));
    let begun = racers.into_iter().map(|racer| {
        let all_are_there = all_are_there.clone();
        tokio::spawn(async move {
            all_are_there.wait().await;
            racer.await
        })
    });
    let begun: Vec<_> = begun.collect();
    let mut answers = Vec::with_capacity(begun.len());
    for racer in begun {
        answers.push(racer.await.expect("the racer"));
    }
    answers
}

async fn held(store: &dyn Store) -> Vec<(RunId, StepIx, Arc<str>)> {
    let rows = store.holds(KeyQuery::default()).await.unwrap();
    rows.into_iter().map(|row| (row.run, row.step, row.key)).collect()
}

/// Those that wait, in their order, and whether they were given a place.
pub(super) async fn line(store: &dyn Store, key: &str) -> Vec<(RunId, bool)> {
    let query = KeyQuery { key: Some(key.into()), ..KeyQuery::default() };
    let rows = store.waiters(query).await.unwrap();
    rows.into_iter().map(|row| (row.run, row.granted_at.is_some())).collect()
}

pub(super) async fn no_more_are_held_than_a_key_allows(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 3).await;
    for (step, story) in (0u32..).zip(&mut stories[..2]) {
        write(&*store, story, takes(step, "k", 2)).await;
    }
    let third = stories[2].admission(takes(0, "k", 2));
    assert_eq!(commit(&*store, third.clone()).await, Commit::Full(vec![("k".into(), 0.into())]));
    assert_eq!(store.run(stories[2].run).await.unwrap().unwrap().seq, stories[2].seq, "nothing was written");
    write(&*store, &mut stories[0], releases(0, "k")).await;
    assert_eq!(commit(&*store, third).await, Commit::Applied, "a place was free again");
    let mut expected = [(stories[1].run, StepIx(1)), (stories[2].run, StepIx(0))];
    expected.sort_unstable();
    let mut found: Vec<_> = held(&*store).await.into_iter().map(|(run, step, _)| (run, step)).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    // Whoever gives one back and takes another does so at once.
    let swap = Admission { releases: vec![(unit(1), "k".into())], ..takes(2, "k", 2) };
    write(&*store, &mut stories[1], swap).await;
}

pub(super) async fn of_sixteen_that_want_three_places_three_win(place: Arc<dyn Place>) {
    let mut handles = Vec::new();
    for _ in 0..16 {
        handles.push(place.open().await);
    }
    let stories = begun(&*handles[0], 16).await;
    let racers = handles.iter().cloned().zip(stories);
    let answers = race(
        racers
            .map(|(handle, story)| async move { commit(&*handle, story.admission(takes(0, "k", 3))).await }),
    );
    let mut winners = 0;
    for answer in answers.await {
        match answer {
            Commit::Applied => winners += 1,
            Commit::Full(full) => assert_eq!(full, [("k".into(), 0.into())]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((winners, held(&*handles[0]).await.len()), (3, 3));
}

pub(super) async fn members_of_a_batch_share_the_places(place: Arc<dyn Place>) {
    let store = place.open().await;
    let stories = begun(&*store, 3).await;
    let batch = stories.iter().map(|story| story.admission(takes(0, "k", 2))).collect();
    let answers = store.commit(batch).await;
    let of = |wanted: &Commit| answers.iter().filter(|answer| *answer == wanted).count();
    assert_eq!(
        (of(&Commit::Applied), of(&Commit::Full(vec![("k".into(), 0.into())]))),
        (2, 1),
        "{answers:?}"
    );
}

pub(super) async fn a_place_is_given_to_the_one_that_has_waited_longest(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 5).await;
    write(&*store, &mut stories[0], takes(0, "k", 1)).await;
    for (millis, nth) in [(10, 1), (20, 2), (30, 3)] {
        let mut member = stories[nth].admission(waits("k", 1));
        member.at = at(millis);
        stories[nth].write(&*store, member).await;
    }
    // One that comes later and is more urgent.
    let mut urgent = stories[4].admission(Admission { priority: 1, ..waits("k", 1) });
    urgent.at = at(40);
    stories[4].write(&*store, urgent).await;
    let runs: Vec<RunId> = stories.iter().map(|story| story.run).collect();
    let order = [4, 1, 2, 3];
    assert_eq!(line(&*store, "k").await, order.map(|nth| (runs[nth], false)));
    // Whoever waits already keeps its place in the line.
    write(&*store, &mut stories[1], waits("k", 1)).await;
    assert_eq!(line(&*store, "k").await, order.map(|nth| (runs[nth], false)));
    let mut holder = 0;
    for (turn, next) in order.into_iter().enumerate() {
        write(&*store, &mut stories[holder], releases(0, "k")).await;
        let left = order[turn..].iter().map(|nth| (runs[*nth], *nth == next));
        assert_eq!(line(&*store, "k").await, left.collect::<Vec<_>>(), "given on in the same commit");
        if let Some(other) = order.get(turn + 1) {
            let early = stories[*other].admission(takes(0, "k", 1));
            assert_eq!(
                commit(&*store, early).await,
                Commit::Full(vec![("k".into(), 0.into())]),
                "it is another's"
            );
        }
        write(&*store, &mut stories[next], takes(0, "k", 1)).await;
        holder = next;
    }
    assert_eq!(held(&*store).await, [(runs[3], StepIx(0), "k".into())]);
    assert_eq!(line(&*store, "k").await, []);
}

pub(super) async fn runs_of_the_dead_leave_every_line(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (doomed, past) = (registered(&*store, LONG).await, registered(&*store, Duration::ZERO).await);
    let mut stories = begun(&*store, 4).await;
    write(&*store, &mut stories[0], takes(0, "k", 1)).await;
    for (nth, driver) in [(1, Some(doomed)), (2, Some(past)), (3, None)] {
        let mut member = stories[nth].admission(waits("k", 1));
        (member.summary.driver, member.summary.driver_epoch) = (driver, u64::from(driver.is_some()));
        stories[nth].write(&*store, member).await;
    }
    let runs: Vec<RunId> = stories.iter().map(|story| story.run).collect();
    store.sweep().await.unwrap();
    assert_eq!(line(&*store, "k").await, [(runs[1], false), (runs[3], false)], "one is past its deadline");
    write(&*store, &mut stories[0], releases(0, "k")).await;
    assert_eq!(line(&*store, "k").await, [(runs[1], true), (runs[3], false)]);
    store.retire(doomed).await.unwrap();
    assert_eq!(line(&*store, "k").await, [(runs[3], true)], "what it was given is given on");
    // Whoever takes up the run of a dead one comes again.
    write(&*store, &mut stories[2], waits("k", 1)).await;
    assert_eq!(line(&*store, "k").await, [(runs[3], true), (runs[2], false)]);
}

pub(super) async fn who_leaves_the_line_gives_its_place_on(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 4).await;
    write(&*store, &mut stories[0], takes(0, "k", 1)).await;
    for story in &mut stories[1..] {
        write(&*store, story, waits("k", 1)).await;
    }
    let leaves = || Admission { leaves: vec!["k".into()], ..of_default() };
    write(&*store, &mut stories[2], leaves()).await;
    write(&*store, &mut stories[0], releases(0, "k")).await;
    let (second, fourth) = (stories[1].run, stories[3].run);
    assert_eq!(line(&*store, "k").await, [(second, true), (fourth, false)]);
    write(&*store, &mut stories[1], leaves()).await;
    assert_eq!(line(&*store, "k").await, [(fourth, true)]);
    write(&*store, &mut stories[3], leaves()).await;
    assert_eq!((line(&*store, "k").await, held(&*store).await), (vec![], vec![]));
    write(&*store, &mut stories[0], takes(0, "k", 1)).await;
}

pub(super) async fn a_place_that_is_free_is_given_at_once(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 2).await;
    // Whoever was told that all are held asks for one a moment later, when one is free again.
    write(&*store, &mut stories[0], waits("k", 1)).await;
    assert_eq!(line(&*store, "k").await, [(stories[0].run, true)]);
    let other = stories[1].admission(takes(0, "k", 1));
    assert_eq!(
        commit(&*store, other).await,
        Commit::Full(vec![("k".into(), 0.into())]),
        "what was given is held"
    );
    let both = Admission { waits: vec![hold("k", 1)], ..takes(0, "k", 1) };
    write(&*store, &mut stories[0], both).await;
    assert_eq!(
        line(&*store, "k").await,
        [(stories[0].run, false)],
        "it has taken that up, and waits for another"
    );
}

pub(super) async fn a_member_takes_all_its_places_or_none(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 2).await;
    let both = |first: u32| Admission {
        takes: vec![
            (unit(0), hold("first", first)),
            (unit(1), hold("second", 2)),
            (unit(2), hold("second", 2)),
        ],
        ..of_default()
    };
    write(&*store, &mut stories[0], takes(0, "second", 2)).await;
    let told = commit(&*store, stories[1].admission(both(1))).await;
    assert_eq!(told, Commit::Full(vec![("second".into(), 1.into())]), "and how much of it there is");
    assert_eq!(held(&*store).await, [(stories[0].run, StepIx(0), "second".into())]);
    let stale = Story { seq: stories[1].seq + 1, ..stories[1].clone() };
    let told = commit(&*store, stale.admission(both(1))).await;
    assert_eq!(told, Commit::Conflict, "who decides on what is no longer so is told that first");
    for wrong in [takes(0, "", 1), takes(0, &"k".repeat(256), 1), takes(0, "k", 0)] {
        let told = commit(&*store, stories[1].admission(wrong)).await;
        assert!(matches!(told, Commit::Invalid(_)), "{told:?}");
    }
    write(&*store, &mut stories[0], releases(0, "second")).await;
    write(&*store, &mut stories[1], both(1)).await;
    assert_eq!(held(&*store).await.len(), 3);
}

pub(super) async fn a_project_has_keys_of_its_own(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 1).await;
    let mut other = Story::new();
    let mut new = new_run();
    new.project = "other".into();
    other.write(&*store, other.create(new)).await;
    write(&*store, &mut stories[0], takes(0, "k", 1)).await;
    write(&*store, &mut other, Admission { project: "other".into(), ..takes(0, "k", 1) }).await;
    let query = KeyQuery { project: Some("other".into()), ..KeyQuery::default() };
    let rows = store.holds(query).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.run).collect::<Vec<_>>(), [other.run]);
}

pub(super) async fn a_run_holds_a_place_beside_its_steps(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 2).await;
    let [first, second] = [stories[0].run, stories[1].run];
    let of_run = || Admission { takes: vec![(Unit::RUN, hold("k", 1))], ..of_default() };
    write(&*store, &mut stories[0], of_run()).await;
    write(&*store, &mut stories[0], takes(0, "other", 1)).await;
    let told = commit(&*store, stories[1].admission(of_run())).await;
    assert_eq!(told, Commit::Full(vec![("k".into(), 0.into())]));
    write(&*store, &mut stories[1], waits("k", 1)).await;
    let rows = store.holds(KeyQuery { key: Some("k".into()), ..KeyQuery::default() }).await.unwrap();
    assert_eq!((rows.len(), rows[0].run, Unit::new(rows[0].step, rows[0].item)), (1, first, Unit::RUN));
    // The end of a step gives back what the step had, and nothing else.
    write(&*store, &mut stories[0], releases(0, "other")).await;
    assert_eq!(line(&*store, "k").await, [(second, false)]);
    let back = Admission { releases: vec![(Unit::RUN, "k".into())], ..of_default() };
    write(&*store, &mut stories[0], back).await;
    assert_eq!((held(&*store).await, line(&*store, "k").await), (vec![], vec![(second, true)]));
    write(&*store, &mut stories[1], of_run()).await;
    assert_eq!(held(&*store).await, [(second, Unit::RUN.step, "k".into())]);
}

pub(super) async fn places_are_listed_by_their_keys(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 3).await;
    for (nth, key, step) in [(0, "b", 0), (1, "a", 1), (0, "a", 2)] {
        write(&*store, &mut stories[nth], takes(step, key, 2)).await;
    }
    for nth in [2, 1] {
        write(&*store, &mut stories[nth], waits("a", 2)).await;
    }
    let [first, second, third] = [stories[0].run, stories[1].run, stories[2].run];
    let rows = store.holds(KeyQuery::default()).await.unwrap();
    assert!(rows.windows(2).all(|pair| (&pair[0].key, pair[0].since) <= (&pair[1].key, pair[1].since)));
    let HoldRow { project, key, run, step, item, .. } = rows[2].clone();
    assert_eq!((&*project, &*key, run, step, item), ("default", "b", first, StepIx(0), None));
    let of = |query: KeyQuery| {
        let store = store.clone();
        async move { store.holds(query).await.unwrap().len() }
    };
    assert_eq!(of(KeyQuery { key: Some("a".into()), ..KeyQuery::default() }).await, 2);
    assert_eq!(
        of(KeyQuery { runs: vec![first, RunId::from_uuid(uuid::Uuid::nil())], ..KeyQuery::default() }).await,
        2
    );
    assert_eq!(of(KeyQuery { limit: 1, ..KeyQuery::default() }).await, 1);
    assert_eq!(of(KeyQuery { project: Some("none".into()), ..KeyQuery::default() }).await, 0);
    let rows = store.waiters(KeyQuery { runs: vec![second], ..KeyQuery::default() }).await.unwrap();
    let WaiterRow { project, key, run, limit, granted_at, .. } = rows[0].clone();
    assert_eq!((&*project, &*key, run, limit, granted_at), ("default", "a", second, 2, None));
    assert_eq!(store.waiters(KeyQuery { granted: true, ..KeyQuery::default() }).await.unwrap(), []);
    write(&*store, &mut stories[0], releases(2, "a")).await;
    let rows = store.waiters(KeyQuery { granted: true, ..KeyQuery::default() }).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.run).collect::<Vec<_>>(), [third]);
    assert_eq!(store.waiters(KeyQuery { limit: 1, ..KeyQuery::default() }).await.unwrap().len(), 1);
}
