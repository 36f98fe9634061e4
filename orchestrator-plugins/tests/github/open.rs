//! Pull requests: opened once, whatever happens, and brought up to date.

use orchestrator_core::port::plugin::{Outcome, Plugin, Reconciled, Stop, StopReason};
use orchestrator_core::spec::EffectClass;
use orchestrator_plugins::Github;
use serde_json::{Value, json};

use crate::double::hub::Pull;
use crate::double::{Fault, Reply};
use crate::place::{Place, open, sha};
use crate::stage;

fn also(more: &Value) -> Value {
    let mut with = open();
    for (key, value) in more.as_object().unwrap() {
        with[key] = value.clone();
    }
    with
}

#[tokio::test]
async fn one_that_is_opened_twice_is_there_once() {
    let place = Place::new();
    let first = place.opened().await;
    let url = format!("{}/acme/site/pull/1", place.hub.url);
    let expected =
        json!({ "number": 1, "url": url, "state": "open", "draft": false, "sha": sha('a'), "created": true });
    assert_eq!(first, expected);
    let changes =
        |place: &Place| place.hub.received().iter().filter(|request| request.method != "GET").count();
    assert_eq!(changes(&place), 1);
    let again = place.opened().await;
    assert_eq!((&again["number"], &again["created"]), (&json!(1), &json!(false)));
    assert_eq!(changes(&place), 1, "there was nothing to change");
    assert_eq!(place.hub.with(|hub| hub.pulls.len()), 1);
}

#[tokio::test]
async fn one_that_differs_is_brought_up_to_date() {
    let place = Place::new();
    place.opened().await;
    let with =
        also(&json!({ "title": "Fix it well", "body": "New.", "labels": ["bug", "robot"], "draft": true }));
    let output = place.gives(with.clone()).await;
    assert_eq!(
        (&output["number"], &output["created"], &output["draft"]),
        (&json!(1), &json!(false), &json!(false))
    );
    place.hub.with(|hub| {
        let pull = &hub.pulls[0];
        assert_eq!((&*pull.title, pull.body.as_deref()), ("Fix it well", Some("New.")));
        assert_eq!(pull.labels, ["bug", "robot"]);
    });
    // What another has added stays, and GitHub's labels know no case.
    place.hub.with(|hub| hub.pulls[0].labels = vec!["BUG".to_owned(), "urgent".to_owned()]);
    place.gives(with).await;
    assert_eq!(place.hub.with(|hub| hub.pulls[0].labels.clone()), ["BUG", "urgent", "robot"]);
    // Without a body, the one there stays.
    let bare = json!({ "do": "open", "head": "fix", "base": "main", "title": "Fix it well" });
    place.gives(bare).await;
    assert_eq!(place.hub.with(|hub| hub.pulls[0].body.clone()).as_deref(), Some("New."));
}

#[tokio::test]
async fn a_draft_is_asked_for_once() {
    let place = Place::new();
    assert_eq!(place.gives(also(&json!({ "draft": true }))).await["draft"], true);
    assert!(place.hub.with(|hub| hub.pulls[0].draft));
}

#[tokio::test]
async fn what_others_have_opened_is_not_ours() {
    let place = Place::new();
    let pull = |from: &str, head: &str, base: &str, state: &str| Pull {
        from: from.to_owned(),
        title: "Other".to_owned(),
        body: None,
        draft: false,
        labels: Vec::new(),
        head: head.to_owned(),
        base: base.to_owned(),
        state: state.to_owned(),
        merged: None,
        mergeable: Some(true),
        created_at: "2026-11-29T12:00:00Z".to_owned(),
    };
    // A stranger's branch of the same name, another base, one that is over, and a fork with the same owner.
    let others = [
        ("eve/site", "eve:fix", "main", "open"),
        ("acme/site", "acme:fix", "next", "open"),
        ("acme/site", "acme:fix", "main", "closed"),
        ("acme/site-2", "acme:fix", "main", "open"),
    ];
    place.hub.with(|hub| {
        hub.filters = false;
        hub.pulls = others.map(|(from, head, base, state)| pull(from, head, base, state)).to_vec();
    });
    let output = place.opened().await;
    assert_eq!((&output["number"], &output["created"]), (&json!(5), &json!(true)));
    assert!(place.hub.with(|hub| hub.pulls[..4].iter().all(|pull| pull.title == "Other")));
    // A fork is named.
    place.hub.with(|hub| hub.heads.insert("eve:fix".to_owned(), sha('b')));
    let fork = place.gives(also(&json!({ "head": "eve:fix" }))).await;
    assert_eq!((&fork["number"], &fork["sha"]), (&json!(1), &json!(sha('b'))));
}

#[tokio::test]
async fn it_is_found_on_a_later_page() {
    let place = Place::new();
    place.opened().await;
    // A server that does not understand the filter gives all that are open.
    place.hub.with(|hub| {
        hub.page = 2;
        let ours = hub.pulls.pop().unwrap();
        let others = (0..5).map(|n| Pull { head: format!("acme:{n}"), ..ours.clone() });
        hub.pulls = others.chain([ours.clone()]).collect();
    });
    let with = json!({ "do": "open", "head": "fix", "base": "main", "title": "Fix it" });
    let listed = Reply::json(200, &json!([])).header(
        "link",
        &format!("<{}/repos/acme/site/pulls?state=open&page=1&per_page=100>; rel=\"next\"", place.hub.url),
    );
    place.hub.fault("GET", "pulls", Fault::Instead(listed));
    let output = place.gives(with).await;
    assert_eq!((&output["number"], &output["created"]), (&json!(6), &json!(false)));
    assert!(place.hub.count("GET", "pulls") > 3, "page by page");
}

#[tokio::test]
async fn the_next_page_is_not_fetched_from_another_host() {
    let (place, other) = (Place::new(), Place::new());
    let away = Reply::json(200, &json!([]))
        .header("link", &format!("<{}/repos/acme/site/pulls?page=2>; rel=\"next\"", other.hub.url));
    place.hub.fault("GET", "pulls", Fault::Instead(away));
    let (_, message) = place.fails(open()).await;
    assert!(message.contains("another place than `base_url`"), "{message}");
    assert_eq!(other.hub.received().len(), 0);
}

#[tokio::test]
async fn a_death_between_sending_and_recording_opens_no_second() {
    let place = Place::new();
    // GitHub has done it, and nobody has heard of it.
    place.hub.fault("POST", "pulls", Fault::Lost);
    let outcome = place.execute(open()).await.0;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let Reconciled::Applied(found) = place.reconcile(open()).await else { panic!("it is there") };
    assert_eq!((&found["number"], &found["created"]), (&json!(1), &json!(true)));
    let again = place.opened().await;
    assert_eq!((&again["number"], &again["created"]), (&json!(1), &json!(false)));
    assert_eq!(place.hub.with(|hub| hub.pulls.len()), 1);
    assert_eq!(place.hub.count("POST", "pulls"), 1);
    // Half done is not done: a repetition gives it the rest.
    let labelled = also(&json!({ "labels": ["bug"] }));
    assert_eq!(place.reconcile(labelled.clone()).await, Reconciled::NotApplied);
    place.gives(labelled.clone()).await;
    assert!(matches!(place.reconcile(labelled).await, Reconciled::Applied(_)));
    assert_eq!(Place::new().reconcile(open()).await, Reconciled::NotApplied);
    let gone = Place::new();
    gone.hub.fault("GET", "pulls", Fault::Instead(Reply::message(500, "no")));
    assert_eq!(gone.reconcile(open()).await, Reconciled::Unknown);
}

#[tokio::test]
async fn one_that_somebody_has_closed_since_is_not_opened_again() {
    for merged in [None, Some((sha('a'), sha('e')))] {
        let place = Place::new();
        place.hub.fault("POST", "pulls", Fault::Lost);
        place.execute(open()).await;
        let state = if merged.is_some() { "merged" } else { "closed" };
        place.hub.with(|hub| (hub.pulls[0].state, hub.pulls[0].merged) = ("closed".to_owned(), merged));
        let Reconciled::Applied(found) = place.reconcile(open()).await else { panic!("it was opened") };
        assert_eq!((&found["number"], &found["state"]), (&json!(1), &json!(state)));
        let again = stage::output(place.attempt(2, open()).await);
        assert_eq!(
            (&again["number"], &again["state"], &again["created"]),
            (&json!(1), &json!(state), &json!(false))
        );
        assert_eq!(place.hub.with(|hub| hub.pulls.len()), 1);
        // One of another kind, or from before this run, is no reason.
        let other = stage::output(place.attempt(2, also(&json!({ "title": "Another" }))).await);
        assert_eq!((&other["number"], &other["created"]), (&json!(2), &json!(true)));
        place.hub.with(|hub| {
            hub.pulls.truncate(1);
            hub.pulls[0].created_at = "2024-01-01T12:00:00Z".to_owned();
        });
        assert_eq!(place.reconcile(open()).await, Reconciled::NotApplied);
        assert_eq!(stage::output(place.attempt(2, open()).await)["created"], true);
    }
}

#[tokio::test]
async fn who_is_quicker_wins() {
    let place = Place::new();
    place.opened().await;
    // It was not there yet at the look.
    place.hub.fault("GET", "pulls", Fault::Instead(Reply::json(200, &json!([]))));
    let output = place.opened().await;
    assert_eq!((&output["number"], &output["created"]), (&json!(1), &json!(false)));
    assert_eq!(place.hub.with(|hub| hub.pulls.len()), 1);
}

#[tokio::test]
async fn a_step_that_is_told_to_stop_ends() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = stage::context(folder.path());
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    stopper.stop(StopReason::Cancelled);
    // A server that never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let request = stage::request(place.with(&also(&json!({ "base_url": url }))));
    assert_eq!(place.github.execute(context, request).await, Outcome::Stopped);
}

#[test]
fn what_a_repetition_does_depends_on_the_action() {
    let class = |action: &str| Github::default().effect_class(&json!({ "do": action }));
    for action in ["open", "comment", "merge", "${{ inputs.do }}"] {
        assert_eq!(class(action), EffectClass::Idempotent, "{action}");
    }
    assert_eq!((class("checks"), class("logs")), (EffectClass::Pure, EffectClass::Pure));
    let reaches = |with: Value| Github::default().reaches(&with).remove(0);
    assert_eq!(
        reaches(json!({ "do": "open", "repository": "acme/site", "head": "fix", "base": "main" })),
        "opens a pull request from fix to main of acme/site at https://api.github.com"
    );
    assert_eq!(
        reaches(
            json!({ "do": "merge", "repository": "a/b", "number": 7, "base_url": "https://u:p@ghe/api?x=1" })
        ),
        "merges the pull request 7 of a/b at https://ghe/api"
    );
}
