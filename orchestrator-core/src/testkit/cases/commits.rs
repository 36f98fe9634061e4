//! Writing runs, whole or not at all.

use std::sync::Arc;

use crate::id::StepIx;
use crate::machine::{DriverTaken, StepDue, StepSucceeded};
use crate::port::store::{
    Commit, EventsAfter, LogQuery, MAX_BATCH_MEMBERS, Member, NewRun, Store, StoreError,
};
use crate::testkit::Place;
use crate::testkit::sample::{
    Story, approval, at, decision, every_event, inline, key, line, new_run, owner_id, run_id, step_row, value,
};

pub(super) async fn a_created_run_is_there_whole(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::new();
    let member = story.create(new_run());
    let transition = member.transition;
    story.write(&*store, member).await;

    let log = store.load(story.run).await.unwrap().expect("the run");
    assert_eq!(log.row.run, story.run);
    assert_eq!(log.row.seq, 1);
    assert_eq!(*log.text, *new_run().text);
    assert_eq!(log.events.len(), 1);
    assert_eq!(log.events[0].transition, transition);
    assert_eq!(Some(log.row), store.run(story.run).await.unwrap());
}

pub(super) async fn every_kind_of_event_comes_back(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let events = every_event();
    let member = story.next(events.clone());
    let (at, transition) = (member.at, member.transition);
    story.write(&*store, member).await;

    let log = store.load(story.run).await.unwrap().expect("the run");
    let read: Vec<_> = log.events[1..].iter().map(|recorded| recorded.event.clone()).collect();
    assert_eq!(read, events);
    assert!(log.events[1..].iter().all(|recorded| recorded.at == at && recorded.transition == transition));
    let query = EventsAfter { run: story.run, after: 1, limit: usize::MAX };
    assert_eq!(store.events_after(query).await.unwrap(), log.events[1..]);
}

pub(super) async fn events_are_numbered_without_gaps(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = [Story::begun(&*store).await, Story::begun(&*store).await];
    // Each run has numbers of its own, however they take turns.
    for count in 1..=5 {
        for story in &mut stories {
            let events = (0..count).map(|step| StepDue { step: StepIx(step).into() }.into()).collect();
            story.write(&*store, story.next(events)).await;
        }
    }
    for story in stories {
        let log = store.load(story.run).await.unwrap().expect("the run");
        let numbers: Vec<u64> = log.events.iter().map(|recorded| recorded.seq).collect();
        assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
        assert_eq!(log.row.seq, 16);
        let rest = EventsAfter { run: story.run, after: 12, limit: 99 };
        let rest = store.events_after(rest).await.unwrap();
        assert_eq!(rest.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), [13, 14, 15, 16]);
    }
}

/// A member with everything in it.
fn full(story: &Story) -> Member {
    let (reference, stored) = value(format!("\"{}\"", "v".repeat(80)));
    let mut member = story
        .next(vec![StepSucceeded { step: StepIx(1).into(), attempt: 1, output: reference.clone() }.into()]);
    member.summary.status = "completed";
    member.steps = vec![step_row(1)];
    member.steps[0].output = Some(reference);
    member.values = vec![stored];
    member.decisions = vec![decision(story.run, 1)];
    member.approvals = vec![approval(story.run, 1, 5)];
    member.logs = vec![line(1, "hello")];
    member
}

pub(super) async fn a_stale_member_changes_nothing(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let mut late = full(&story);
    story.write(&*store, story.step_due()).await;
    let before = store.run(story.run).await.unwrap();

    assert_eq!(store.commit(vec![late.clone()]).await, [Commit::Conflict], "too low");
    late.expected = 5;
    assert_eq!(store.commit(vec![late.clone()]).await, [Commit::Conflict], "too high");

    assert_eq!(store.run(story.run).await.unwrap(), before);
    assert_eq!(store.load(story.run).await.unwrap().expect("the run").events.len(), 2);
    assert!(store.steps(story.run).await.unwrap().is_empty());
    assert!(store.decisions(story.run).await.unwrap().is_empty());
    assert_eq!(store.value(story.run, late.values[0].digest).await.unwrap(), None);
    let lines = LogQuery { run: story.run, step: None, after: 0, tail: false, limit: 9 };
    assert!(store.logs(lines).await.unwrap().is_empty());
}

pub(super) async fn a_run_is_created_once(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let again = Story { run: story.run, seq: 0 };
    assert_eq!(store.commit(vec![again.create(new_run())]).await, [Commit::Conflict]);

    let missing = Story { run: run_id(), seq: 3 };
    assert_eq!(store.commit(vec![missing.step_due()]).await, [Commit::Conflict], "there is no such run");
    assert_eq!(store.load(missing.run).await.unwrap().map(|log| log.row), None);
}

pub(super) async fn of_sixteen_members_one_wins(place: Arc<dyn Place>) {
    let store = place.open().await;
    one_wins(vec![store; 16]).await;
}

pub(super) async fn of_sixteen_handles_one_wins(place: Arc<dyn Place>) {
    let mut handles = Vec::new();
    for _ in 0..16 {
        handles.push(place.open().await);
    }
    one_wins(handles).await;
}

async fn one_wins(handles: Vec<Arc<dyn Store>>) {
    let mut story = Story::begun(&*handles[0]).await;
    for round in 0..3 {
        let racers: Vec<_> = handles
            .iter()
            .map(|handle| {
                let (handle, member) = (handle.clone(), story.step_due());
                tokio::spawn(async move { (member.transition, persist(&*handle, member).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.expect("the racer") {
                (transition, Commit::Applied) => winners.push(transition),
                (_, answer) => assert_eq!(answer, Commit::Conflict),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        story.seq += 1;
        for handle in &handles {
            let log = handle.load(story.run).await.unwrap().expect("the run");
            let last = log.events.last().map(|recorded| (recorded.seq, recorded.transition));
            assert_eq!(last, Some((story.seq, winners[0])), "the log is the winner's");
        }
    }
}

/// Hands in a member until the store is not busy.
async fn persist(store: &dyn Store, member: Member) -> Commit {
    loop {
        match store.commit(vec![member.clone()]).await.as_slice() {
            [Commit::Busy] => {}
            [answer] => return answer.clone(),
            other => panic!("one answer a member: {other:?}"),
        }
    }
}

pub(super) async fn a_bad_member_harms_no_other(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = Vec::new();
    for _ in 0..5 {
        stories.push(Story::begun(&*store).await);
    }
    let mut batch: Vec<Member> = stories.iter().map(full).collect();
    batch[1].expected = 9;
    batch[3].events.clear();
    batch.push(Story::new().create(new_run()));
    let created = batch[5].run;

    let answers = store.commit(batch).await;
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[1], Commit::Conflict);
    assert!(matches!(answers[3], Commit::Invalid(_)), "{:?}", answers[3]);
    for good in [0, 2, 4, 5] {
        assert_eq!(answers[good], Commit::Applied, "member {good}");
    }
    for (place, story) in stories.iter().enumerate() {
        let (events, steps) = if place % 2 == 0 { (2, 1) } else { (1, 0) };
        assert_eq!(
            store.load(story.run).await.unwrap().expect("the run").events.len(),
            events,
            "member {place}"
        );
        assert_eq!(store.steps(story.run).await.unwrap().len(), steps, "member {place}");
    }
    assert!(store.run(created).await.unwrap().is_some());
}

pub(super) async fn a_member_that_cannot_be_is_invalid(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let mut no_events = story.step_due();
    no_events.events.clear();
    let mut creates_late = story.step_due();
    creates_late.create = Some(Box::new(new_run()));
    let mut creates_nothing = Story::new().step_due();
    creates_nothing.expected = 0;
    let mut of_another = story.step_due();
    of_another.decisions = vec![decision(run_id(), 1)];
    for member in [no_events, creates_late, creates_nothing, of_another] {
        let answers = store.commit(vec![member]).await;
        assert!(matches!(answers.as_slice(), [Commit::Invalid(why)] if !why.is_empty()), "{answers:?}");
    }
    assert_eq!(store.run(story.run).await.unwrap().expect("the run").seq, 1);
    assert!(store.commit(Vec::new()).await.is_empty(), "no members, no answers");
}

pub(super) async fn a_run_has_one_member_in_a_batch(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let (first, mut second) = (story.step_due(), story.step_due());
    second.expected = 2;
    let answers = store.commit(vec![first, second]).await;
    assert!(matches!(answers.as_slice(), [Commit::Applied, Commit::Invalid(_)]), "{answers:?}");
    assert_eq!(store.load(story.run).await.unwrap().expect("the run").events.len(), 2);
}

pub(super) async fn a_member_written_twice_is_a_conflict(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let member = full(&story);
    assert_eq!(store.commit(vec![member.clone()]).await, [Commit::Applied]);
    assert_eq!(store.commit(vec![member.clone()]).await, [Commit::Conflict]);
    let log = store.load(story.run).await.unwrap().expect("the run");
    assert_eq!(log.events.len(), 2);
    assert_eq!(log.events[1].transition, member.transition, "so it can tell that it was applied");
}

pub(super) async fn everything_can_be_in_the_first_member(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::new();
    let mut member = full(&story);
    let owner = owner_id();
    let create = story.create(new_run());
    member.events.splice(0..0, create.events);
    member.events.push(DriverTaken { owner, epoch: 1 }.into());
    member.create = create.create;
    member.expected = 0;
    (member.summary.driver, member.summary.driver_epoch) = (Some(owner), 1);
    story.write(&*store, member.clone()).await;

    let log = store.load(story.run).await.unwrap().expect("the run");
    assert_eq!((log.row.seq, log.events.len()), (3, 3));
    assert_eq!((log.row.driver, log.row.driver_epoch), (Some(owner), 1));
    assert_eq!(store.steps(story.run).await.unwrap(), member.steps);
    let stored = &member.values[0];
    assert_eq!(store.value(story.run, stored.digest).await.unwrap().as_deref(), Some(&*stored.body));
    assert_eq!(store.decisions(story.run).await.unwrap(), member.decisions);
    let query = crate::port::store::ApprovalQuery { run: Some(story.run), ..Default::default() };
    assert_eq!(store.approvals(query).await.unwrap().items, member.approvals);
    let lines = LogQuery { run: story.run, step: None, after: 0, tail: false, limit: 9 };
    assert_eq!(store.logs(lines).await.unwrap()[0].line, member.logs[0]);
}

pub(super) async fn big_batches_and_big_members_are_taken(place: Arc<dyn Place>) {
    let store = place.open().await;
    let stories: Vec<Story> = (0..MAX_BATCH_MEMBERS + 40).map(|_| Story::new()).collect();
    let batch = stories.iter().map(|story| story.create(new_run())).collect();
    assert!(store.commit(batch).await.iter().all(|answer| *answer == Commit::Applied));

    let many: u32 = 3000;
    let mut big = stories[0].clone();
    big.seq = 1;
    let events = (0..many).map(|step| StepDue { step: StepIx(step).into() }.into()).collect();
    let mut member = big.next(events);
    member.steps = (0..many).map(step_row).collect();
    member.logs = (0..many).map(|step| line(step, "x")).collect();
    member.values = vec![value(format!("\"{}\"", "y".repeat(2 << 20))).1];
    let mut small = stories[1].clone();
    small.seq = 1;
    let mut other = small.step_due();
    other.logs = vec![line(0, "alone")];
    assert_eq!(store.commit(vec![member, other]).await, [Commit::Applied, Commit::Applied]);

    let log = store.load(big.run).await.unwrap().expect("the run");
    assert_eq!(log.events.len(), many as usize + 1);
    assert_eq!(store.steps(big.run).await.unwrap().len(), many as usize);
    let lines = LogQuery { run: big.run, step: None, after: 0, tail: false, limit: usize::MAX };
    let lines = store.logs(lines).await.unwrap();
    assert_eq!(lines.len(), many as usize);
    assert!(
        lines
            .iter()
            .zip(1..)
            .all(|(line, number)| line.number == number && line.line.step.0 + 1 == number as u32)
    );
    assert_eq!(store.run(small.run).await.unwrap().expect("the run").seq, 2);
}

pub(super) async fn an_unknown_kind_of_event_is_corrupt(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let forged = place.forge_kind(story.run, "run.teleported").await;
    let query = EventsAfter { run: story.run, after: 0, limit: 10 };
    let load = store.load(story.run).await.map(|log| log.map_or(0, |log| log.events.len()));
    let read = store.events_after(query).await.map(|events| events.len());
    if !forged {
        assert!(
            !place.keeps(),
            "what outlives the process can be written by another version: say how to forge it"
        );
        assert!(
            matches!((&load, &read), (Ok(1), Ok(1))),
            "not forged, so nothing has changed: {load:?}, {read:?}"
        );
        return;
    }
    for answer in [load, read] {
        match answer {
            Err(StoreError::Corrupt(why)) => assert!(why.contains("run.teleported"), "{why}"),
            other => panic!("an event that nobody can read must not be passed over: {other:?}"),
        }
    }
}

pub(super) async fn what_is_kept_outlives_the_handle_and_what_is_not_is_gone(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::new();
    let mut create = story.create(NewRun { key: key("k", "c"), ..new_run() });
    create.summary.due_at = Some(at(1));
    story.write(&*store, create).await;
    let member = full(&story);
    story.write(&*store, member.clone()).await;
    let before = store.load(story.run).await.unwrap().expect("the run");
    assert_eq!(store.describe().durable, place.keeps(), "it says which of the two it is");
    store.close().await.unwrap();
    drop(store);

    let store = place.open().await;
    if !place.keeps() {
        is_gone(&*store, &story).await;
        return;
    }
    let after = store.load(story.run).await.unwrap().expect("what was acknowledged is kept");
    assert_eq!((before.row, before.events, before.text), (after.row, after.events, after.text));
    assert_eq!(store.steps(story.run).await.unwrap(), member.steps);
    assert_eq!(store.decisions(story.run).await.unwrap(), member.decisions);
    let stored = &member.values[0];
    assert_eq!(store.value(story.run, stored.digest).await.unwrap().as_deref(), Some(&*stored.body));
    assert_eq!(store.find_key("default", "k").await.unwrap(), Some(story.run));
    story.write(&*store, story.step_due()).await;
}

/// Of a place that does not keep: either it is closed for good, or nothing of the run is left.
async fn is_gone(store: &dyn Store, story: &Story) {
    fn is_none<T>(answer: &Result<Option<T>, StoreError>) -> bool {
        matches!(answer, Ok(None) | Err(StoreError::Unavailable(_)))
    }
    assert!(is_none(&store.load(story.run).await), "a place that does not keep shows no part of a run");
    assert!(is_none(&store.run(story.run).await));
    assert!(is_none(&store.find_key("default", "k").await), "its key is free");
    let rest = store.events_after(EventsAfter { run: story.run, after: 0, limit: 9 }).await;
    assert!(rest.is_err() || rest.is_ok_and(|events| events.is_empty()));
    let answers = store.commit(vec![story.step_due()]).await;
    assert!(matches!(answers.as_slice(), [Commit::Conflict | Commit::Unavailable(_)]), "{answers:?}");
}

pub(super) async fn another_handle_sees_what_was_written(place: Arc<dyn Place>) {
    let (one, other) = (place.open().await, place.open().await);
    let mut story = Story::begun(&*one).await;
    assert_eq!(other.run(story.run).await.unwrap().expect("the run").seq, 1);
    story
        .write(
            &*other,
            story
                .next(vec![StepSucceeded { step: StepIx(0).into(), attempt: 1, output: inline("1") }.into()]),
        )
        .await;
    assert_eq!(one.load(story.run).await.unwrap().expect("the run").events.len(), 2);
    assert_eq!(one.run(story.run).await.unwrap(), other.run(story.run).await.unwrap());
}
