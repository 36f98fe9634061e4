//! Merge requests and notes on them: once, whatever happens, and kept up to date.

use orchestrator_core::port::plugin::{Outcome, Plugin, Reconciled};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Gitlab;
use serde_json::{Value, json};

use crate::double::{Fault, Reply};
use crate::place::{Place, also, open, sha};

#[tokio::test]
async fn one_that_is_opened_twice_is_there_once() {
    let place = Place::new();
    let first = place.gives(&open()).await;
    let url = format!("{}/acme/web/site/-/merge_requests/1", place.lab.url);
    assert_eq!(
        first,
        json!({ "number": 1, "url": url, "state": "open", "draft": false, "sha": sha('a'), "created": true })
    );
    assert_eq!(place.gives(&also(open(), &json!({ "repository": 42 }))).await["created"], false);
    assert_eq!((place.lab.with(|lab| lab.requests.len()), place.lab.count("PUT", "1")), (1, 0));
    let targets = place.lab.received();
    assert!(
        targets[0].target.starts_with("/api/v4/projects/acme%2Fweb%2Fsite/merge_requests?"),
        "{targets:?}"
    );
    assert!(targets.iter().all(|request| request.bearer() == Some("token-of-ada")));
}

#[tokio::test]
async fn one_that_differs_is_brought_up_to_date_and_stays_a_draft() {
    let place = Place::new();
    let draft = also(open(), &json!({ "draft": true, "labels": ["bug"] }));
    assert_eq!(place.gives(&draft).await["draft"], true);
    place.lab.with(|lab| {
        assert_eq!(
            (&*lab.requests[0].title, &*lab.requests[0].labels),
            ("Draft: Fix it", &["bug".to_owned()][..])
        );
    });
    place.gives(&draft).await;
    assert_eq!(place.lab.count("PUT", "1"), 0, "there was nothing to change");
    place.gives(&also(open(), &json!({ "title": "Fix it well", "labels": ["robot"] }))).await;
    place.lab.with(|lab| {
        assert_eq!(lab.requests[0].title, "Draft: Fix it well");
        assert_eq!(lab.requests[0].labels, ["bug", "robot"]);
    });
}

#[tokio::test]
async fn a_fork_with_a_branch_of_the_same_name_is_another() {
    let place = Place::new();
    place.gives(&open()).await;
    place.lab.with(|lab| lab.requests[0].source_project = 43);
    let output = place.gives(&open()).await;
    assert_eq!((&output["number"], &output["created"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn a_death_between_sending_and_recording_opens_no_second() {
    let place = Place::new();
    place.lab.fault("POST", "merge_requests", Fault::Lost);
    let outcome = place.execute(&open()).await.0;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let Reconciled::Applied(found) = place.reconcile(&open()).await else { panic!("it is there") };
    assert_eq!((&found["number"], &found["created"]), (&json!(1), &json!(true)));
    assert_eq!(place.gives(&open()).await["created"], false);
    assert_eq!(place.lab.with(|lab| lab.requests.len()), 1);
    // It was not there yet at the look.
    place.lab.fault("GET", "merge_requests", Fault::Instead(Reply::json(200, &json!([]))));
    assert_eq!(place.gives(&open()).await["created"], false);
    assert_eq!(place.lab.with(|lab| lab.requests.len()), 1);
    assert_eq!(Place::new().reconcile(&open()).await, Reconciled::NotApplied);
    // Somebody closes it before anybody has looked.
    place.lab.with(|lab| lab.requests[0].state = "closed".to_owned());
    let Reconciled::Applied(found) = place.reconcile(&open()).await else { panic!("it was opened") };
    assert_eq!((&found["number"], &found["state"]), (&json!(1), &json!("closed")));
    place.lab.with(|lab| lab.requests[0].created_at = "2024-01-01T12:00:00.000Z".to_owned());
    assert_eq!(place.reconcile(&open()).await, Reconciled::NotApplied, "that is another's");
}

#[tokio::test]
async fn a_note_is_written_once_and_kept_up_to_date() {
    let place = Place::new();
    place.gives(&open()).await;
    let note = |body: &str, marker: Option<&str>| json!({ "do": "comment", "number": 1, "body": body, "marker": marker });
    let url = format!("{}/acme/web/site/-/merge_requests/1#note_9000", place.lab.url);
    let first = place.gives(&note("once", None)).await;
    assert_eq!(first, json!({ "number": 1, "id": 9000, "url": url, "created": true }));
    assert_eq!(place.gives(&note("once", None)).await["created"], false);
    let planted = "fine <!-- orchestrator: report -->".to_owned();
    place.lab.with(|lab| {
        lab.page = 3;
        lab.notes.extend((0..7).map(|n| (1, "eve".to_owned(), format!("{n}"))));
        lab.notes.push((1, "eve".to_owned(), planted.clone()));
    });
    place.lab.fault("POST", "notes", Fault::Lost);
    let outcome = place.execute(&note("1 of 2", Some("report"))).await.0;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert!(matches!(place.reconcile(&note("1 of 2", Some("report"))).await, Reconciled::Applied(_)));
    assert_eq!(place.gives(&note("2 of 2", Some("report"))).await["created"], false);
    place.lab.with(|lab| {
        assert_eq!((lab.notes.len(), &lab.notes[8].2), (10, &planted));
        assert_eq!(lab.notes[9].2, "2 of 2\n\n<!-- orchestrator: report -->");
    });
}

#[tokio::test]
async fn what_looks_like_a_quick_action_is_text() {
    let place = Place::new();
    let told = also(open(), &json!({ "body": "It says:\n/merge\r\n/assign @eve\n/usr/bin/cc x" }));
    place.gives(&told).await;
    assert_eq!(place.gives(&told).await["created"], false);
    assert_eq!(place.lab.count("PUT", "1"), 0, "what is there is what was sent");
    place.gives(&also(told, &json!({ "body": "/close" }))).await;
    let note =
        |body: &str, marker: &str| json!({ "do": "comment", "number": 1, "body": body, "marker": marker });
    place.gives(&note("/approve", "a")).await;
    place.gives(&note("fine\n/merge", "a")).await;
    place.gives(&note("fine\n/merge", "a")).await;
    place.lab.with(|lab| {
        assert_eq!(lab.actions, <[String; 0]>::default());
        assert_eq!(lab.requests[0].description.as_deref(), Some("\\/close"));
        assert_eq!(lab.notes[0].2, "fine\n\\/merge\n\n<!-- orchestrator: a -->");
    });
    assert_eq!(place.lab.count("PUT", "9000"), 1);
}

#[tokio::test]
async fn a_refusal_is_spelled_out() {
    let (class, message) = Place::new().fails(&also(open(), &json!({ "head": "nothing" }))).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(message.ends_with("422 Unprocessable Entity: source_branch: does not exist"), "{message}");
    let (class, message) = Place::new().fails(&also(open(), &json!({ "token": "wrong" }))).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.ends_with("401 Unauthorized; GitLab does not take these credentials"), "{message}");
    let (class, message) = Place::new().fails(&also(open(), &json!({ "repository": "acme/other" }))).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(
        message.ends_with("404 Project Not Found; there is nothing there, or the credentials may not see it"),
        "{message}"
    );
    let place = Place::new();
    place.lab.fault(
        "GET",
        "merge_requests",
        Fault::Instead(Reply::text(429, "Retry later").header("retry-after", "9")),
    );
    let outcome = place.execute(&open()).await.0;
    let Outcome::Failed { error, retry_after } = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.class, retry_after.map(|wait| wait.as_secs())), (ErrorClass::RateLimited, Some(9)));
}

#[tokio::test]
async fn what_would_lead_elsewhere_is_refused_before_and_after_rendering() {
    let place = Place::new();
    let projects = [
        "",
        "site",
        "acme/../x",
        "../user",
        "acme//site",
        "acme/site?x",
        "acme/a#b",
        "acme/%2e%2e",
        "a/b\n",
        "/42",
        "a b/c",
    ];
    let mut wrong: Vec<(&str, Value)> =
        projects.map(|text| ("repository", json!({ "repository": text }))).to_vec();
    wrong.extend(["../main", "a:b", "a\nb", "-x"].map(|text| ("head", json!({ "head": text }))));
    wrong.extend(
        ["Draft: Fix", "[draft] Fix", "(Draft) Fix", "a\nb"].map(|text| ("title", json!({ "title": text }))),
    );
    wrong.push(("app", json!({ "app": { "id": 1, "private_key": "x" } })));
    for (key, given) in wrong {
        let with = also(open(), &given);
        let whole = also(
            with.clone(),
            &json!({ "token": "t", "repository": with.get("repository").cloned().unwrap_or(json!(42)) }),
        );
        let issues = Gitlab::default().validate(&whole);
        assert!(issues.len() == 1 && issues[0].path == [key], "{whole}: {issues:?}");
        assert_eq!(place.fails(&with).await.0, ErrorClass::Invalid, "{with}");
    }
    assert_eq!(place.lab.received().len(), 0);
}

#[test]
fn what_a_repetition_does_depends_on_the_action() {
    let class = |action: &str| Gitlab::default().effect_class(&json!({ "do": action }));
    assert_eq!((class("open"), class("checks")), (EffectClass::Idempotent, EffectClass::Pure));
    let reaches = Gitlab::default().reaches(&json!({ "do": "comment", "repository": 42, "number": 7 }));
    assert_eq!(reaches, ["comments on the merge request 7 of 42 at https://gitlab.com/api/v4"]);
}
