//! Runs that carry out steps of others.

use std::sync::Arc;

use crate::id::{RunId, StepIx, Unit};
use crate::port::store::{Commit, Member, NewRun, Parent, Prune, RunQuery, Store, Summary};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, key, new_run, summary, value};

/// The creation of a run that carries out a step of another.
fn child_of(parent: &Story, root: RunId, unit: Unit) -> (Story, Member) {
    let child = Story::new();
    let parent = Some(Parent { run: parent.run, unit, root });
    let member = child.create(NewRun { workflow: "child".into(), parent, ..new_run() });
    (child, member)
}

/// A step and an item.
fn units() -> [Unit; 2] {
    [Unit::of(StepIx(2)), Unit::item_of(StepIx(1), 7)]
}

async fn begin_children(store: &dyn Store, story: &mut Story, root: RunId) -> [Story; 2] {
    let made = units().map(|unit| child_of(story, root, unit));
    let mut member = story.step_due();
    member.children = made.iter().map(|(_, member)| member.clone()).collect();
    story.write(store, member).await;
    made.map(|(story, _)| Story { seq: 1, ..story })
}

pub(super) async fn children_are_created_with_their_parents_member(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let (_, stored) = value(format!("\"{}\"", "v".repeat(80)));
    let (child, mut creation) = child_of(&story, story.run, units()[1]);
    creation.values = vec![stored.clone()];
    let mut member = story.step_due();
    member.children = vec![creation.clone()];
    story.write(&*store, member).await;
    let log = store.load(child.run).await.unwrap().expect("the child");
    let parent = log.row.new.parent.expect("its parent");
    assert_eq!((parent.run, parent.unit, parent.root), (story.run, units()[1], story.run));
    assert_eq!((log.row.seq, log.events.len()), (1, 1));
    assert_eq!(log.events[0].transition, creation.transition);
    assert_eq!(store.value(child.run, stored.digest).await.unwrap(), Some(stored.body));
    assert_eq!(store.run(story.run).await.unwrap().expect("the parent").new.parent, None);
    // It is a run like any other from here on.
    let mut child = Story { seq: 1, ..child };
    child.write(&*store, child.step_due()).await;
}

pub(super) async fn a_member_that_is_refused_creates_no_child(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let other = Story::begun(&*store).await;
    let (child, creation) = child_of(&story, story.run, units()[0]);
    let mut stale = story.step_due();
    stale.children = vec![creation];
    story.write(&*store, story.step_due()).await;
    // Beside one that is fine: the transaction as a whole goes through.
    let answers = store.commit(vec![stale, other.step_due()]).await;
    assert_eq!(answers, [Commit::Conflict, Commit::Applied]);
    assert_eq!(store.run(child.run).await.unwrap(), None);
}

pub(super) async fn a_child_that_exists_makes_the_member_a_conflict(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let (child, creation) = child_of(&story, story.run, units()[0]);
    let mut first = story.step_due();
    first.children = vec![creation.clone()];
    story.write(&*store, first).await;
    let (sibling, fresh) = child_of(&story, story.run, units()[1]);
    let mut again = story.step_due();
    again.children = vec![fresh, creation];
    assert_eq!(store.commit(vec![again]).await, [Commit::Conflict]);
    assert_eq!(store.run(sibling.run).await.unwrap(), None, "all of it or nothing");
    assert_eq!(store.load(story.run).await.unwrap().expect("the parent").events.len() as u64, story.seq);
    assert_eq!(store.run(child.run).await.unwrap().expect("the child").seq, 1);
}

pub(super) async fn a_child_must_be_of_the_run_that_creates_it(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    let other = Story::begun(&*store).await;
    let (child, good) = child_of(&story, story.run, units()[0]);
    let (_, strange) = child_of(&other, other.run, units()[0]);
    let plain = Story::new().create(new_run());
    let mut keyed = good.clone();
    if let Some(new) = &mut keyed.create {
        new.key = key("k", "content");
    }
    let mut nested = good.clone();
    nested.children = vec![good.clone()];
    let itself = Member { run: story.run, ..good.clone() };
    for bad in [vec![strange], vec![plain], vec![keyed], vec![nested], vec![itself], vec![good.clone(), good]]
    {
        let mut member = story.step_due();
        member.children = bad;
        let answers = store.commit(vec![member]).await;
        assert!(matches!(answers[0], Commit::Invalid(_)), "{answers:?}");
    }
    assert_eq!(store.run(child.run).await.unwrap(), None);
}

pub(super) async fn children_are_listed_apart(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let root = story.run;
    let mut children = begin_children(&*store, &mut story, root).await;
    let below = begin_children(&*store, &mut children[0], root).await;
    let found = async |query: RunQuery| {
        let page = store.list_runs(RunQuery { limit: 99, ..query }).await.unwrap();
        page.items.iter().map(|row| row.run).collect::<Vec<_>>()
    };
    let newest_first = |of: &[Story]| of.iter().rev().map(|story| story.run).collect::<Vec<_>>();
    assert_eq!(found(RunQuery { top: true, ..RunQuery::default() }).await, [story.run]);
    let of = |parent: &Story| RunQuery { parent: Some(parent.run), ..RunQuery::default() };
    assert_eq!(found(of(&story)).await, newest_first(&children));
    assert_eq!(found(of(&children[0])).await, newest_first(&below));
    assert_eq!(found(of(&children[1])).await, [] as [RunId; 0]);
    assert_eq!(found(RunQuery::default()).await.len(), 5);
}

pub(super) async fn a_child_goes_with_the_first_of_its_runs(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let root = story.run;
    let mut children = begin_children(&*store, &mut story, root).await;
    let mut below = begin_children(&*store, &mut children[0], root).await;
    let end = |story: &Story, when: i64| {
        let mut member = story.step_due();
        member.summary = Summary { status: "completed", finished_at: Some(at(when)), ..summary() };
        member
    };
    for child in below.iter_mut().chain(&mut children) {
        child.write(&*store, end(child, 1)).await;
    }
    let prune = |before: i64, dry: bool| Prune { project: None, before: at(before), limit: usize::MAX, dry };
    for dry in [true, false] {
        assert_eq!(store.prune(prune(5, dry)).await.unwrap().runs, 0, "the first of them is open");
    }
    story.write(&*store, end(&story, 9)).await;
    for dry in [true, false] {
        assert_eq!(store.prune(prune(5, dry)).await.unwrap().runs, 0, "the first of them is too young");
    }
    for run in below.iter().chain(&children) {
        assert!(store.run(run.run).await.unwrap().is_some(), "it belongs to a run that stays");
    }
    for dry in [true, false] {
        assert_eq!(store.prune(prune(10, dry)).await.unwrap().runs, 5);
    }
    assert!(store.list_runs(RunQuery::default()).await.unwrap().items.is_empty());
}
