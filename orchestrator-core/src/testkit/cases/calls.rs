//! Every method, of a store that is closed and of what does not exist.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::id::{DocumentId, OwnerId, RunId};
use crate::port::store::{
    ApprovalQuery, Claim, Commit, DeleteDocument, Deliver, DocumentQuery, EventsAfter, KeyQuery, LogQuery,
    NewOwner, NewRevision, OfferQuery, Prune, PutDocument, RevisionQuery, RunQuery, Serves, Store,
    StoreError, WorkflowQuery,
};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, line, owner_id, run_id, ticket};
use crate::value::Digest;

/// What a method has answered.
type Answer = Result<String, StoreError>;

fn told<T: fmt::Debug>(answer: Result<T, StoreError>) -> Answer {
    answer.map(|answer| format!("{answer:?}"))
}

fn of_commit(answers: &[Commit]) -> Answer {
    match answers {
        [Commit::Unavailable(why)] => Err(StoreError::Unavailable(why.clone())),
        answers => Ok(format!("{answers:?}")),
    }
}

/// Calls every method that asks the data for something, about a run and an owner.
async fn call_all(store: &dyn Store, run: RunId, owner: OwnerId) -> Vec<(&'static str, Answer)> {
    let (project, name) = (String::from("nowhere"), String::from("nothing"));
    let events = EventsAfter { run, after: 0, limit: 9 };
    let runs = RunQuery { parent: Some(run), ..RunQuery::default() };
    let approvals = ApprovalQuery { run: Some(run), ..ApprovalQuery::default() };
    let lines = LogQuery { run, step: None, after: 0, tail: false, limit: 9 };
    let workflows = WorkflowQuery { project: Some(project.clone()), ..WorkflowQuery::default() };
    let revisions = RevisionQuery { project: project.clone(), name: name.clone(), before: None, limit: 0 };
    let documents = DocumentQuery { kind: name.clone(), ..DocumentQuery::default() };
    let delete = DeleteDocument {
        project: "nowhere".into(),
        kind: "nothing".into(),
        name: "nothing".into(),
        expected: 1,
    };
    let prune = Prune { project: Some(project.clone()), before: at(1 << 40), limit: 9, dry: false };
    let hex = run.as_uuid().as_simple().to_string();
    let member = Story { run, seq: 7 }.step_due();
    let ticket = ticket(run, 0, 1);
    let deliver = Deliver { ticket, owner, end: "end".into(), values: Vec::new(), logs: Vec::new() };
    vec![
        ("commit", of_commit(&store.commit(vec![member]).await)),
        ("load", told(store.load(run).await)),
        ("events_after", told(store.events_after(events).await)),
        ("heads", told(store.heads(&[run]).await)),
        ("value", told(store.value(run, Digest::of(b"nothing")).await)),
        ("revision", told(store.revision(Digest::of(b"nothing")).await)),
        ("renew", told(store.renew(owner, Duration::from_secs(9)).await)),
        ("retire", told(store.retire(owner).await)),
        ("sweep", told(store.sweep().await)),
        ("owner", told(store.owner(owner).await)),
        ("owners", told(store.owners().await)),
        ("claim_due", told(store.claim_due(9).await)),
        ("offers", told(store.offers(OfferQuery { run: Some(run), ..OfferQuery::default() }).await)),
        ("claim", told(store.claim(Claim { ticket, owner }).await)),
        ("stops", told(store.stops(owner).await)),
        ("deliver", told(store.deliver(deliver).await)),
        ("inbox", told(store.inbox(run).await)),
        ("holds", told(store.holds(KeyQuery { runs: vec![run], ..KeyQuery::default() }).await)),
        ("waiters", told(store.waiters(KeyQuery { runs: vec![run], ..KeyQuery::default() }).await)),
        ("run", told(store.run(run).await)),
        ("list_runs", told(store.list_runs(runs).await)),
        ("find_runs", told(store.find_runs(&hex, 9).await)),
        ("find_key", told(store.find_key(&project, &name).await)),
        ("steps", told(store.steps(run).await)),
        ("approvals", told(store.approvals(approvals).await)),
        ("decisions", told(store.decisions(run).await)),
        ("append_logs", told(store.append_logs(run, vec![line(0, "a")]).await)),
        ("logs", told(store.logs(lines).await)),
        ("register_workflow", told(store.register_workflow(new_text()).await)),
        ("workflows", told(store.workflows(workflows).await)),
        ("workflow_revisions", told(store.workflow_revisions(revisions).await)),
        ("put_document", told(store.put_document(new_document()).await)),
        ("documents", told(store.documents(documents).await)),
        ("delete_document", told(store.delete_document(delete).await)),
        ("prune", told(store.prune(prune).await)),
    ]
}

/// A document that is expected to be there.
fn new_document() -> PutDocument {
    PutDocument {
        id: DocumentId::from_uuid(Uuid::now_v7()),
        project: "nowhere".into(),
        kind: "nothing".into(),
        name: "nothing".into(),
        status: "active".into(),
        due_at: None,
        body: "body".into(),
        state: "state".into(),
        at: at(0),
        expected: 1,
    }
}

/// A text for a name that is expected to be there.
fn new_text() -> NewRevision {
    NewRevision {
        id: DocumentId::from_uuid(Uuid::now_v7()),
        project: "nowhere".into(),
        name: "nothing".into(),
        revision: Digest::of(b"text"),
        text: "text".into(),
        by: "someone".into(),
        at: at(0),
        expected: Some(1),
    }
}

pub(super) async fn what_does_not_exist_is_not_there(place: Arc<dyn Place>) {
    let store = place.open().await;
    // Others are there, and are not meant.
    Story::begun(&*store).await;
    for (method, answer) in call_all(&*store, run_id(), owner_id()).await {
        let expected = match method {
            "commit" => "[Conflict]",
            "load" | "value" | "revision" | "owner" | "run" | "find_key" => "None",
            "renew" | "claim" => "Dead",
            "deliver" => "Fenced",
            "retire" => "()",
            "list_runs" | "offers" | "approvals" | "workflows" | "workflow_revisions" | "documents" => {
                "Page { items: [], more: false }"
            }
            "inbox" => "Inbox { rows: [], unreadable: [] }",
            "append_logs" => "invalid",
            "register_workflow" | "put_document" => "Stale(None)",
            "delete_document" => "false",
            "prune" => "Pruned { runs: 0, events: 0, lines: 0, values: 0, strays: 0, more: false }",
            _ => "[]",
        };
        match answer {
            Err(StoreError::Invalid(_)) => assert_eq!("invalid", expected, "{method}"),
            answer => assert_eq!(answer.unwrap_or_else(|error| error.to_string()), expected, "{method}"),
        }
    }
}

pub(super) async fn a_closed_store_is_unavailable(place: Arc<dyn Place>) {
    let store = place.open().await;
    let story = Story::begun(&*store).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let mut answers = call_all(&*store, story.run, owner_id()).await;
    let new = NewOwner {
        id: owner_id(),
        ttl: Duration::from_secs(9),
        label: String::new(),
        serves: Serves::default(),
        outside: false,
    };
    answers.extend([
        ("now", told(store.now().await)),
        ("change_mark", told(store.change_mark().await)),
        ("register", told(store.register(new).await)),
        ("health", told(store.health().await)),
    ]);
    let wrong: Vec<_> =
        answers.iter().filter(|(_, answer)| !matches!(answer, Err(StoreError::Unavailable(_)))).collect();
    assert!(wrong.is_empty(), "closed, and yet: {wrong:?}");
    assert!(!store.describe().kind.is_empty(), "what it is can be told without asking it");
}
