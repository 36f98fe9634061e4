//! Beginnings under rates: counted, kept for those that wait, and of the past after their time.

use std::sync::Arc;
use std::time::Duration;

use super::keys::{begun, commit, line, of_default, race, unit, write};
use crate::machine::{Hold, Room};
use crate::port::store::{Admission, Commit, KeyQuery, Member, Prune};
use crate::testkit::Place;
use crate::testkit::sample::Story;
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_secs(3_600);

fn rate(limit: u32) -> Arc<Hold> {
    Arc::new(Hold::rate("r", limit, HOUR))
}

/// So many attempts of steps begin.
fn begin(story: &Story, many: u32, rate: &Arc<Hold>) -> Member {
    let takes = (0..many).map(|step| (unit(step), rate.clone())).collect();
    story.admission(Admission { takes, ..of_default() })
}

fn waits(rate: &Arc<Hold>) -> Admission {
    Admission { waits: vec![rate.clone()], ..of_default() }
}

/// How many could begin, and after how long it can be more.
fn room(answer: Commit) -> (u32, Duration) {
    let Commit::Full(full) = answer else { panic!("{answer:?}") };
    let [(spot, Room { many, more_in: Some(more_in) })] = &full[..] else { panic!("{full:?}") };
    assert_eq!(*spot, rate(1).spot());
    (*many, *more_in)
}

pub(super) async fn no_more_begin_than_a_rate_allows(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let mut stories = begun(&*store, 3).await;
    for story in &mut stories[..2] {
        let member = begin(story, 1, &rate(2));
        story.write(&*store, member).await;
    }
    let (many, more_in) = room(commit(&*other, begin(&stories[2], 1, &rate(2))).await);
    assert_eq!(many, 0);
    assert!(more_in > HOUR / 2 && more_in <= HOUR + HOUR / 64, "{more_in:?}");
    assert_eq!(store.run(stories[2].run).await.unwrap().unwrap().seq, stories[2].seq, "nothing was written");
    // The same step again: each of its attempts counts.
    assert_eq!(room(commit(&*other, begin(&stories[0], 1, &rate(2))).await).0, 0);
    assert_eq!(room(commit(&*other, begin(&stories[2], 2, &rate(3))).await).0, 1, "who lets more begin");
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap(), [], "nothing is held");
    // Another time under the same name.
    let day = Arc::new(Hold::rate("r", 1, 24 * HOUR));
    let takes = vec![(unit(0), day.clone()), (unit(1), rate(3))];
    write(&*store, &mut stories[0], Admission { takes, ..of_default() }).await;
    let of_day = Hold { key: "r".into(), ..(*day).clone() };
    let of_place = Hold { key: day.key.clone(), ..Hold::place("k", 1) };
    for wrong in [
        Admission { releases: vec![(unit(0), day.key.clone())], ..of_default() },
        Admission { takes: vec![(unit(0), Arc::new(of_day))], ..of_default() },
        waits(&Arc::new(of_place)),
    ] {
        let told = commit(&*store, stories[0].admission(wrong)).await;
        assert!(matches!(told, Commit::Invalid(_)), "{told:?}");
    }
}

pub(super) async fn what_has_begun_is_of_the_past_after_its_time(place: Arc<dyn Place>) {
    const PER: Duration = Duration::from_millis(100);
    let store = place.open().await;
    let mut stories = begun(&*store, 2).await;
    let short = Arc::new(Hold::rate("r", 1, PER));
    let before = store.now().await.unwrap();
    let member = begin(&stories[0], 1, &short);
    stories[0].write(&*store, member).await;
    loop {
        let answer = commit(&*store, begin(&stories[1], 1, &short)).await;
        let passed = store.now().await.unwrap().since(before);
        if answer == Commit::Applied {
            assert!(passed >= PER, "after {passed:?}");
            return;
        }
        assert!(matches!(answer, Commit::Full(_)), "{answer:?}");
        assert!(passed < 100 * PER, "it counts for ever");
        tokio::task::yield_now().await;
    }
}

pub(super) async fn members_of_a_batch_share_a_rate(place: Arc<dyn Place>) {
    let store = place.open().await;
    let stories = begun(&*store, 3).await;
    let batch = stories.iter().map(|story| begin(story, 1, &rate(2))).collect();
    let answers = store.commit(batch).await;
    let applied = answers.iter().filter(|answer| **answer == Commit::Applied).count();
    let full = answers.into_iter().filter(|answer| *answer != Commit::Applied).map(room);
    assert_eq!((applied, full.map(|(many, _)| many).collect::<Vec<_>>()), (2, vec![0]));
}

pub(super) async fn of_sixteen_that_want_to_begin_three_do(place: Arc<dyn Place>) {
    let mut handles = Vec::new();
    for _ in 0..16 {
        handles.push(place.open().await);
    }
    let stories = begun(&*handles[0], 16).await;
    let racers = handles.into_iter().zip(stories);
    let answers =
        race(racers.map(|(handle, story)| async move { commit(&*handle, begin(&story, 1, &rate(3))).await }));
    let mut winners = 0;
    for answer in answers.await {
        match answer {
            Commit::Applied => winners += 1,
            full => assert_eq!(room(full).0, 0),
        }
    }
    assert_eq!(winners, 3);
}

pub(super) async fn who_waits_under_a_rate_has_its_turn(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 4).await;
    let of = rate(2);
    let member = begin(&stories[0], 1, &of);
    stories[0].write(&*store, member).await;
    for story in &mut stories[1..3] {
        write(&*store, story, waits(&of)).await;
    }
    let [second, third] = [stories[1].run, stories[2].run];
    assert_eq!(line(&*store, &of.key).await, [(second, false), (third, false)]);
    let (many, more_in) = room(commit(&*store, begin(&stories[3], 1, &of)).await);
    assert_eq!(many, 0, "it is the turn of one that waits");
    assert!(more_in > HOUR, "the third of three has its turn with the one after the next: {more_in:?}");
    assert_eq!(room(commit(&*store, begin(&stories[2], 1, &of)).await).0, 0, "one came earlier");
    // It begins, and another of its steps waits: at the end.
    let again = Admission { takes: vec![(unit(0), of.clone())], ..waits(&of) };
    write(&*store, &mut stories[1], again).await;
    assert_eq!(line(&*store, &of.key).await, [(third, false), (second, false)]);
    // Whoever leaves is waited for no longer.
    for story in &mut stories[1..3] {
        write(&*store, story, Admission { leaves: vec![of.spot()], ..of_default() }).await;
    }
    assert_eq!(line(&*store, &of.key).await, []);
    let member = begin(&stories[3], 1, &rate(3));
    stories[3].write(&*store, member).await;
}

pub(super) async fn each_that_waits_under_a_rate_has_one_turn(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 2).await;
    let of = rate(5);
    for story in &mut stories {
        write(&*store, story, waits(&of)).await;
    }
    assert_eq!(room(commit(&*store, begin(&stories[0], 5, &of)).await).0, 4, "one is kept for the other");
    let member = begin(&stories[0], 4, &of);
    stories[0].write(&*store, member).await;
    assert_eq!(room(commit(&*store, begin(&stories[1], 2, &of)).await).0, 1);
    let member = begin(&stories[1], 1, &of);
    stories[1].write(&*store, member).await;
}

pub(super) async fn the_store_s_clock_alone_counts(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 2).await;
    // One whose clock is years behind, and two whose clocks are years ahead.
    for (nth, millis) in [(0, 0), (1, 4_102_444_800_000), (0, 8_204_889_600_000)] {
        let at = Timestamp::from_millis(millis);
        let answer = commit(&*store, Member { at, ..begin(&stories[nth], 1, &rate(1)) }).await;
        match nth == 0 && millis == 0 {
            true => {
                assert_eq!(answer, Commit::Applied);
                stories[0].seq += 1;
            }
            false => assert_eq!(room(answer).0, 0, "an hour has not passed"),
        }
    }
}

pub(super) async fn pruning_forgets_nothing_that_counts(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 3).await;
    let member = begin(&stories[0], 1, &rate(1));
    stories[0].write(&*store, member).await;
    let now = store.now().await.unwrap();
    let prune = |before| Prune { project: None, before, limit: usize::MAX, dry: false };
    store.prune(prune(now)).await.unwrap();
    assert_eq!(room(commit(&*store, begin(&stories[1], 1, &rate(1))).await).0, 0);
    write(&*store, &mut stories[1], waits(&rate(1))).await;
    store.prune(prune(now + 10 * HOUR)).await.unwrap();
    assert_eq!(room(commit(&*store, begin(&stories[2], 1, &rate(2))).await).0, 0, "one waits");
}
