//! Registered workflows.

use std::sync::Arc;

use uuid::Uuid;

use crate::id::DocumentId;
use crate::port::store::{
    NewRevision, Registered, RevisionQuery, RevisionRow, Store, StoreError, WorkflowQuery,
};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at};
use crate::value::Digest;

fn text(name: &str, text: &str) -> NewRevision {
    NewRevision {
        id: DocumentId::from_uuid(Uuid::now_v7()),
        project: "default".into(),
        name: name.into(),
        revision: Digest::of(text.as_bytes()),
        text: text.into(),
        by: "someone ü".into(),
        at: at(5),
        expected: None,
    }
}

fn of(name: &str) -> RevisionQuery {
    RevisionQuery { project: "default".into(), name: name.into(), before: None, limit: 0 }
}

async fn numbers(store: &dyn Store, query: RevisionQuery) -> (Vec<u64>, bool) {
    let page = store.workflow_revisions(query).await.unwrap();
    (page.items.iter().map(|row| row.number).collect(), page.more)
}

pub(super) async fn a_changed_text_is_a_new_revision(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (first, mut second) = (text("w", "name: w # 1"), text("w", "name: w # 2"));
    second.at = at(9);
    assert_eq!(store.register_workflow(first.clone()).await.unwrap(), Registered::New(1));
    assert_eq!(store.register_workflow(second.clone()).await.unwrap(), Registered::New(2));
    // Back to the first text: that is a change as well.
    assert_eq!(store.register_workflow(first.clone()).await.unwrap(), Registered::New(3));
    let rows = store.workflow_revisions(of("w")).await.unwrap().items;
    let row = |number, new: &NewRevision| RevisionRow {
        number,
        revision: new.revision,
        by: new.by.clone(),
        at: new.at,
    };
    assert_eq!(rows, [row(3, &first), row(2, &second), row(1, &first)]);
    let listed = store.workflows(WorkflowQuery::default()).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id, &*listed[0].name, &listed[0].latest), (first.id, "w", &rows[0]));
    for new in [first, second] {
        assert_eq!(store.revision(new.revision).await.unwrap(), Some(new.text));
    }
}

pub(super) async fn the_text_that_is_there_already_changes_nothing(place: Arc<dyn Place>) {
    let store = place.open().await;
    store.register_workflow(text("w", "name: w # 1")).await.unwrap();
    for expected in [None, Some(1), Some(0), Some(7)] {
        let again = NewRevision { expected, at: at(99), ..text("w", "name: w # 1") };
        assert_eq!(store.register_workflow(again).await.unwrap(), Registered::Same(1), "{expected:?}");
    }
    let rows = store.workflow_revisions(of("w")).await.unwrap().items;
    assert_eq!((rows.len(), rows[0].at), (1, at(5)));
}

pub(super) async fn what_is_not_expected_is_stale(place: Arc<dyn Place>) {
    let store = place.open().await;
    let expecting = |expected, body: &str| NewRevision { expected: Some(expected), ..text("w", body) };
    assert_eq!(store.register_workflow(expecting(1, "1")).await.unwrap(), Registered::Stale(None));
    assert!(store.workflows(WorkflowQuery::default()).await.unwrap().items.is_empty());
    assert_eq!(store.register_workflow(expecting(0, "1")).await.unwrap(), Registered::New(1));
    for expected in [0, 2] {
        let answer = store.register_workflow(expecting(expected, "2")).await.unwrap();
        let there = Digest::of(b"1");
        assert!(
            matches!(&answer, Registered::Stale(Some(row)) if (row.number, row.revision) == (1, there)),
            "{answer:?}"
        );
    }
    assert_eq!(store.register_workflow(expecting(1, "2")).await.unwrap(), Registered::New(2));
    assert_eq!(numbers(&*store, of("w")).await, (vec![2, 1], false));
}

pub(super) async fn of_racing_registrations_each_has_its_number(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let racers: Vec<_> = (0..8)
        .map(|racer| {
            let store = if racer % 2 == 0 { store.clone() } else { other.clone() };
            tokio::spawn(async move {
                store.register_workflow(text("w", &format!("text {racer}"))).await.unwrap()
            })
        })
        .collect();
    let mut given = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            Registered::New(number) => given.push(number),
            other => panic!("each text is new: {other:?}"),
        }
    }
    given.sort_unstable();
    assert_eq!(given, (1..=8).collect::<Vec<_>>());
    assert_eq!(numbers(&*store, of("w")).await, ((1..=8).rev().collect(), false));
}

pub(super) async fn a_name_is_its_projects_own(place: Arc<dyn Place>) {
    let store = place.open().await;
    let elsewhere = NewRevision { project: "other".into(), ..text("w", "other") };
    assert_eq!(store.register_workflow(text("w", "1")).await.unwrap(), Registered::New(1));
    assert_eq!(store.register_workflow(elsewhere.clone()).await.unwrap(), Registered::New(1));
    let query = WorkflowQuery { project: Some("other".into()), ..Default::default() };
    let listed = store.workflows(query).await.unwrap().items;
    assert_eq!((listed.len(), listed[0].latest.revision), (1, elsewhere.revision));
    let theirs = RevisionQuery { project: "other".into(), ..of("w") };
    assert_eq!(store.workflow_revisions(theirs).await.unwrap().items[0].revision, elsewhere.revision);
    // Names are compared as they are written.
    for near in ["W", "w ", "", "%"] {
        assert_eq!(numbers(&*store, of(near)).await, (Vec::new(), false), "{near:?}");
    }
}

pub(super) async fn workflows_are_listed_by_name_in_pages(place: Arc<dyn Place>) {
    let store = place.open().await;
    for name in ["c", "a", "é", "B", "b"] {
        store.register_workflow(text(name, name)).await.unwrap();
    }
    store.register_workflow(NewRevision { project: "a".into(), ..text("z", "z") }).await.unwrap();
    let mut query = WorkflowQuery { limit: 4, ..Default::default() };
    let mut names = Vec::new();
    loop {
        let page = store.workflows(query.clone()).await.unwrap();
        assert!(page.items.len() <= 4);
        names.extend(page.items.iter().map(|row| row.name.to_string()));
        let Some(last) = page.items.last().filter(|_| page.more) else { break };
        query.after = Some((last.project.to_string(), last.name.to_string()));
    }
    assert_eq!(names, ["z", "B", "a", "b", "c", "é"], "by project, then by name in the order of bytes");
    let one = WorkflowQuery { name: Some("b".into()), ..Default::default() };
    let page = store.workflows(one).await.unwrap();
    assert_eq!((page.items.len(), &*page.items[0].name, page.more), (1, "b", false));
}

pub(super) async fn revisions_are_listed_newest_first_in_pages(place: Arc<dyn Place>) {
    let store = place.open().await;
    for number in 1..=5 {
        store.register_workflow(text("w", &format!("{number}"))).await.unwrap();
    }
    let page = |before, limit| RevisionQuery { before, limit, ..of("w") };
    assert_eq!(numbers(&*store, page(None, 2)).await, (vec![5, 4], true));
    assert_eq!(numbers(&*store, page(Some(4), 2)).await, (vec![3, 2], true));
    assert_eq!(numbers(&*store, page(Some(2), 2)).await, (vec![1], false));
    assert_eq!(numbers(&*store, page(Some(1), 2)).await, (vec![], false));
    assert_eq!(numbers(&*store, page(Some(u64::MAX), 5)).await, (vec![5, 4, 3, 2, 1], false));
}

pub(super) async fn what_cannot_be_a_name_is_refused(place: Arc<dyn Place>) {
    let store = place.open().await;
    Story::begun(&*store).await;
    for name in ["", "a\0b", &"x".repeat(401)] {
        let answer = store.register_workflow(text(name, "1")).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{name:?}: {answer:?}");
    }
    let answer = store.register_workflow(text("w", "a\0b")).await;
    assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    assert!(store.workflows(WorkflowQuery::default()).await.unwrap().items.is_empty());
    for odd in ["a; DROP TABLE x --", "'\"\\", "🦀", &"x".repeat(400)] {
        assert_eq!(store.register_workflow(text(odd, "1")).await.unwrap(), Registered::New(1), "{odd}");
        assert_eq!(numbers(&*store, of(odd)).await, (vec![1], false));
    }
}
