//! Comments: written once, found again, kept up to date.

use orchestrator_core::port::plugin::{Outcome, Reconciled};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::double::hub::Who;
use crate::double::{Fault, Reply};
use crate::place::Place;

fn comment(body: &str, marker: Option<&str>) -> Value {
    json!({ "do": "comment", "number": 1, "body": body, "marker": marker })
}

fn bodies(place: &Place) -> Vec<String> {
    place.hub.with(|hub| hub.comments.iter().map(|(_, _, body)| body.clone()).collect())
}

#[tokio::test]
async fn a_step_writes_one_comment() {
    let place = Place::new();
    place.opened().await;
    let first = place.gives(comment("All is well.\n", None)).await;
    let url = format!("{}/acme/site/pull/1#issuecomment-9000", place.hub.url);
    assert_eq!(first, json!({ "number": 1, "id": 9000, "url": url, "created": true }));
    assert_eq!(place.gives(comment("All is well.\n", None)).await["created"], false);
    let [body] = &bodies(&place)[..] else { panic!("one comment") };
    assert!(body.starts_with("All is well.\n\n<!-- orchestrator: ") && body.ends_with(" -->"), "{body}");
}

#[tokio::test]
async fn a_comment_with_a_marker_is_given_the_new_text() {
    let place = Place::new();
    place.opened().await;
    place.gives(comment("1 of 2", Some("report"))).await;
    place.gives(comment("other", Some("other"))).await;
    let before = place.hub.received().len();
    assert_eq!(place.gives(comment("1 of 2", Some("report"))).await["created"], false);
    let since = place.hub.received().split_off(before);
    assert!(since.iter().all(|request| request.method == "GET"), "nothing has changed");
    let again = place.gives(comment("2 of 2", Some("report"))).await;
    assert_eq!((&again["id"], &again["created"]), (&json!(9000), &json!(false)));
    let expected = ["2 of 2\n\n<!-- orchestrator: report -->", "other\n\n<!-- orchestrator: other -->"];
    assert_eq!(bodies(&place), expected);
}

#[tokio::test]
async fn it_is_found_among_many() {
    let place = Place::new();
    place.opened().await;
    place.hub.with(|hub| {
        hub.page = 10;
        hub.comments = (0..34).map(|n| (1, "eve".to_owned(), format!("comment {n}"))).collect();
    });
    place.gives(comment("a", Some("report"))).await;
    place.hub.with(|hub| hub.comments.extend((0..9).map(|n| (1, "eve".to_owned(), n.to_string()))));
    place.gives(comment("b", Some("report"))).await;
    assert_eq!(bodies(&place).len(), 44);
    assert!(bodies(&place)[34].starts_with("b\n"));
    assert_eq!(place.hub.count("POST", "comments"), 1);
}

#[tokio::test]
async fn the_mark_of_somebody_else_does_not_count() {
    let place = Place::new();
    place.opened().await;
    let planted = "Everything is fine!\n\n<!-- orchestrator: report -->";
    place.hub.with(|hub| hub.comments.push((1, "eve".to_owned(), planted.to_owned())));
    assert_eq!(place.gives(comment("It is not.", Some("report"))).await["id"], 9001);
    assert_eq!(bodies(&place)[0], planted);
    // A token that is not told whose it is belongs to a program.
    let who = Who { login: "github-actions[bot]".to_owned(), is_told: false };
    place.hub.with(|hub| hub.tokens.insert("token-of-ada".to_owned(), who));
    assert_eq!(place.gives(comment("By a program.", Some("report"))).await["id"], 9002);
    assert_eq!(place.gives(comment("Again.", Some("report"))).await["id"], 9002);
    assert_eq!(bodies(&place).len(), 3);
}

#[tokio::test]
async fn who_is_not_known_writes_no_second() {
    let place = Place::new();
    place.opened().await;
    place.gives(comment("1 of 2", Some("report"))).await;
    let refusals = [
        (
            Reply::message(403, "API rate limit exceeded").header("x-ratelimit-remaining", "0"),
            ErrorClass::RateLimited,
        ),
        (Reply::message(403, "Slow down.").header("retry-after", "7"), ErrorClass::RateLimited),
        (Reply::message(403, "Sorry. Your account was suspended."), ErrorClass::Denied),
        (Reply::message(404, "Not Found"), ErrorClass::Invalid),
    ];
    for (refusal, expected) in refusals {
        place.hub.fault("GET", "user", Fault::Instead(refusal));
        let (class, message) = place.fails(comment("2 of 2", Some("report"))).await;
        assert_eq!(class, expected, "{message}");
    }
    assert_eq!(place.gives(comment("2 of 2", Some("report"))).await["id"], 9000);
    assert_eq!(bodies(&place).len(), 1);
}

#[tokio::test]
async fn a_death_between_sending_and_recording_writes_no_second() {
    let place = Place::new();
    place.opened().await;
    place.hub.fault("POST", "comments", Fault::Lost);
    let outcome = place.execute(comment("once", None)).await.0;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let Reconciled::Applied(found) = place.reconcile(comment("once", None)).await else {
        panic!("it is there")
    };
    assert_eq!(found["created"], true);
    assert_eq!(place.gives(comment("once", None)).await["created"], false);
    assert_eq!(bodies(&place).len(), 1);
    assert_eq!(place.reconcile(comment("new", Some("report"))).await, Reconciled::NotApplied);
}
