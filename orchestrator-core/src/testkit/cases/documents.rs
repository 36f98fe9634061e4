//! Documents other than registered workflows.

use std::sync::Arc;

use uuid::Uuid;

use crate::id::DocumentId;
use crate::port::store::{
    DeleteDocument, DocumentQuery, DocumentRow, MAX_DOCUMENT, MAX_DOCUMENT_NAME, Prune, Put, PutDocument,
    Store, StoreError,
};
use crate::testkit::Place;
use crate::testkit::cases::lists::moved;
use crate::testkit::sample::{Story, at};

fn put(name: &str, expected: u64) -> PutDocument {
    PutDocument {
        id: DocumentId::from_uuid(Uuid::now_v7()),
        project: "default".into(),
        kind: "kind".into(),
        name: name.into(),
        status: "active".into(),
        due_at: None,
        body: format!("body of {name}").into(),
        state: "state".into(),
        at: at(5),
        expected,
    }
}

fn all() -> DocumentQuery {
    DocumentQuery { kind: "kind".to_owned(), ..DocumentQuery::default() }
}

fn delete(name: &str, expected: u64) -> DeleteDocument {
    DeleteDocument { project: "default".into(), kind: "kind".into(), name: name.into(), expected }
}

async fn only(store: &dyn Store) -> DocumentRow {
    let mut items = store.documents(all()).await.unwrap().items;
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0)
}

async fn names(store: &dyn Store, query: DocumentQuery) -> (Vec<String>, bool) {
    let page = store.documents(query).await.unwrap();
    (page.items.iter().map(|row| row.name.to_string()).collect(), page.more)
}

pub(super) async fn a_document_comes_back_as_it_was_put(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let first = PutDocument { due_at: Some(at(-7)), ..put("ü 'x' \\ %", 0) };
    let mark = store.change_mark().await.unwrap();
    assert_eq!(other.put_document(first.clone()).await.unwrap(), Put::Written(1));
    let mark = moved(&*store, mark).await;
    let row = |new: &PutDocument, number| DocumentRow {
        id: first.id,
        project: new.project.clone(),
        kind: new.kind.clone(),
        name: new.name.clone(),
        number,
        status: new.status.clone(),
        due_at: new.due_at,
        body: new.body.clone(),
        state: new.state.clone(),
        updated_at: new.at,
    };
    assert_eq!(only(&*store).await, row(&first, 1));
    let second = PutDocument {
        status: "paused".into(),
        due_at: None,
        body: "other body".into(),
        state: "".into(),
        at: at(9),
        ..put(&first.name, 1)
    };
    assert_eq!(other.put_document(second.clone()).await.unwrap(), Put::Written(2));
    moved(&*store, mark).await;
    assert_eq!(only(&*store).await, row(&second, 2), "it keeps its id");
    // The state alone, and back to the first body.
    let third = PutDocument { body: first.body.clone(), state: "new state".into(), ..put(&first.name, 2) };
    assert_eq!(store.put_document(third.clone()).await.unwrap(), Put::Written(3));
    assert_eq!(only(&*store).await, row(&third, 3));
}

pub(super) async fn a_document_is_changed_by_who_knows_its_number(place: Arc<dyn Place>) {
    let store = place.open().await;
    assert_eq!(store.put_document(put("a", 1)).await.unwrap(), Put::Stale(None));
    assert!(store.documents(all()).await.unwrap().items.is_empty());
    assert_eq!(store.put_document(put("a", 0)).await.unwrap(), Put::Written(1));
    for expected in [0, 2, u64::MAX >> 1] {
        let late = PutDocument { body: "late".into(), state: "late".into(), ..put("a", expected) };
        assert_eq!(store.put_document(late).await.unwrap(), Put::Stale(Some(1)), "{expected}");
    }
    let row = only(&*store).await;
    assert_eq!((row.number, &*row.body, &*row.state), (1, "body of a", "state"));
    assert_eq!(
        store.put_document(put("a", 1)).await.unwrap(),
        Put::Written(2),
        "the same text is a change, too"
    );
}

pub(super) async fn of_racing_changes_one_wins(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    for expected in [0, 1] {
        let racers: Vec<_> = (0..8)
            .map(|racer| {
                let store = if racer % 2 == 0 { store.clone() } else { other.clone() };
                let new = PutDocument { state: format!("{racer}").into(), ..put("a", expected) };
                tokio::spawn(async move { (racer, store.put_document(new).await.unwrap()) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            let (racer, answer) = racer.await.unwrap();
            match answer {
                Put::Written(number) => winners.push((racer, number)),
                Put::Stale(there) => assert_eq!(there, Some(expected + 1)),
            }
        }
        let row = only(&*store).await;
        assert_eq!((winners, row.number), (vec![(row.state.parse().unwrap(), expected + 1)], expected + 1));
    }
}

pub(super) async fn a_document_is_its_kinds_and_its_projects_own(place: Arc<dyn Place>) {
    let store = place.open().await;
    let elsewhere = PutDocument { project: "other".into(), body: "1".into(), ..put("a", 0) };
    let different = PutDocument { kind: "another".into(), body: "2".into(), ..put("a", 0) };
    for new in [put("a", 0), elsewhere, different] {
        assert_eq!(store.put_document(new.clone()).await.unwrap(), Put::Written(1), "{new:?}");
    }
    let bodies = async |query: DocumentQuery| {
        let items = store.documents(query).await.unwrap().items;
        items.iter().map(|row| row.body.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(all()).await, ["body of a", "1"]);
    assert_eq!(bodies(DocumentQuery { project: Some("other".into()), ..all() }).await, ["1"]);
    assert_eq!(bodies(DocumentQuery { kind: "another".into(), ..all() }).await, ["2"]);
    assert!(
        !store.delete_document(DeleteDocument { project: "third".into(), ..delete("a", 1) }).await.unwrap()
    );
    for near in ["A", "a ", "", "%"] {
        let query = DocumentQuery { name: Some(near.to_owned()), ..all() };
        assert_eq!(names(&*store, query).await, (Vec::new(), false), "{near:?}");
    }
}

pub(super) async fn documents_are_listed_by_name_in_pages(place: Arc<dyn Place>) {
    let store = place.open().await;
    for name in ["c", "a", "é", "B", "b"] {
        store.put_document(put(name, 0)).await.unwrap();
    }
    store.put_document(PutDocument { project: "a".into(), ..put("z", 0) }).await.unwrap();
    let mut query = DocumentQuery { limit: 4, ..all() };
    let mut listed = Vec::new();
    loop {
        let page = store.documents(query.clone()).await.unwrap();
        assert!(page.items.len() <= 4);
        listed.extend(page.items.iter().map(|row| row.name.to_string()));
        let Some(last) = page.items.last().filter(|_| page.more) else { break };
        query.after = Some((last.project.to_string(), last.name.to_string()));
    }
    assert_eq!(listed, ["z", "B", "a", "b", "c", "é"], "by project, then by name in the order of bytes");
    let one = DocumentQuery { name: Some("b".into()), ..all() };
    assert_eq!(names(&*store, one).await, (vec!["b".to_owned()], false));
}

pub(super) async fn what_is_due_is_listed_the_soonest_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let due = |name: &str, due_at: Option<i64>| PutDocument { due_at: due_at.map(at), ..put(name, 0) };
    for new in
        [due("a", Some(30)), due("b", None), due("c", Some(-20)), due("d", Some(10)), due("e", Some(30))]
    {
        store.put_document(new).await.unwrap();
    }
    store.put_document(PutDocument { kind: "another".into(), ..due("f", Some(1)) }).await.unwrap();
    let query = DocumentQuery { due: true, ..all() };
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    // Those of one moment by their ids, which were made in order.
    assert_eq!(names(&*store, query.clone()).await, (named(&["c", "d", "a", "e"]), false));
    assert_eq!(names(&*store, DocumentQuery { limit: 2, ..query.clone() }).await, (named(&["c", "d"]), true));
    store.put_document(PutDocument { expected: 1, ..due("c", Some(40)) }).await.unwrap();
    store.put_document(PutDocument { expected: 1, ..due("a", None) }).await.unwrap();
    assert_eq!(names(&*store, query).await, (named(&["d", "e", "c"]), false));
}

pub(super) async fn what_is_deleted_is_gone_and_its_name_is_free(place: Arc<dyn Place>) {
    let store = place.open().await;
    store.put_document(put("a", 0)).await.unwrap();
    let old = only(&*store).await.id;
    assert!(store.delete_document(delete("a", 1)).await.unwrap());
    assert!(store.documents(all()).await.unwrap().items.is_empty());
    assert!(!store.delete_document(delete("a", 1)).await.unwrap(), "it is gone already");
    assert_eq!(store.put_document(put("a", 1)).await.unwrap(), Put::Stale(None));
    assert_eq!(store.put_document(put("a", 0)).await.unwrap(), Put::Written(1));
    assert_ne!(only(&*store).await.id, old, "it is another one");
}

pub(super) async fn what_was_changed_meanwhile_is_not_deleted(place: Arc<dyn Place>) {
    let store = place.open().await;
    store.put_document(put("a", 0)).await.unwrap();
    store.put_document(put("a", 1)).await.unwrap();
    for expected in [0, 1, 3] {
        assert!(!store.delete_document(delete("a", expected)).await.unwrap(), "{expected}");
    }
    assert_eq!(only(&*store).await.number, 2);
}

pub(super) async fn what_cannot_be_a_document_is_refused(place: Arc<dyn Place>) {
    let store = place.open().await;
    let long = "x".repeat(MAX_DOCUMENT_NAME + 1);
    let with = |change: &dyn Fn(&mut PutDocument)| {
        let mut new = put("a", 0);
        change(&mut new);
        new
    };
    let wrong = [
        with(&|new| new.name = "".into()),
        with(&|new| new.name = long.as_str().into()),
        with(&|new| new.name = "a\0b".into()),
        with(&|new| new.kind = "".into()),
        with(&|new| new.kind = "workflow".into()),
        with(&|new| new.body = "a\0b".into()),
        with(&|new| new.body = "x".repeat(MAX_DOCUMENT + 1).into()),
        with(&|new| new.state = "a\0b".into()),
    ];
    for new in wrong {
        let answer = store.put_document(new).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
    let workflow = DeleteDocument { kind: "workflow".into(), ..delete("a", 1) };
    assert!(matches!(store.delete_document(workflow).await, Err(StoreError::Invalid(_))));
    assert!(store.documents(all()).await.unwrap().items.is_empty());
    let largest = PutDocument { body: "x".repeat(MAX_DOCUMENT).into(), ..put(&long[1..], 0) };
    assert_eq!(store.put_document(largest.clone()).await.unwrap(), Put::Written(1));
    assert_eq!(only(&*store).await.body, largest.body);
}

pub(super) async fn pruning_leaves_documents_whole(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let mut member = story.step_due();
    (member.summary.status, member.summary.finished_at) = ("failed", Some(at(9)));
    story.write(&*store, member).await;
    store.put_document(put("a", 0)).await.unwrap();
    let prune = Prune { project: None, before: at(1 << 40), limit: 9, dry: false };
    assert_eq!(store.prune(prune).await.unwrap().runs, 1);
    assert_eq!(&*only(&*store).await.body, "body of a");
}
