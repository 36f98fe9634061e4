//! What GitHub refuses, and where it is not to be had: each with its class and the words that help.

use std::time::Duration;

use orchestrator_core::port::plugin::Outcome;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::double::{Fault, Reply};
use crate::place::{Place, open};

#[tokio::test]
async fn a_refusal_has_its_class_and_githubs_words() {
    let invalid = Reply::json(
        422,
        &json!({ "message": "Validation Failed", "errors": [
            { "resource": "PullRequest", "field": "base", "code": "invalid" },
            { "resource": "PullRequest", "code": "custom", "message": "No commits between main and fix" },
        ]}),
    );
    let no = |status| Reply::message(status, "No.");
    for (reply, class, wait, words) in [
        (no(401), ErrorClass::Denied, None, "401 Unauthorized: No.; GitHub does not take these credentials"),
        (no(403), ErrorClass::Denied, None, "403 Forbidden: No.; the credentials may not do this"),
        (
            no(404),
            ErrorClass::Invalid,
            None,
            "404 Not Found: No.; there is nothing there, or the credentials may not see it",
        ),
        (no(500), ErrorClass::Transient, None, "500 Internal Server Error: No."),
        (no(503).header("retry-after", "5"), ErrorClass::Transient, Some(5), "503 Service Unavailable: No."),
        (no(429).header("retry-after", "7"), ErrorClass::RateLimited, Some(7), "429 Too Many Requests: No."),
        (no(403).header("retry-after", "60"), ErrorClass::RateLimited, Some(60), "403 Forbidden: No."),
        (
            Reply::message(403, "You have exceeded a secondary rate limit"),
            ErrorClass::RateLimited,
            Some(60),
            "403 Forbidden: You have exceeded a secondary rate limit",
        ),
        (
            invalid,
            ErrorClass::Invalid,
            None,
            "422 Unprocessable Entity: Validation Failed: PullRequest.base invalid; No commits between main and fix",
        ),
        (
            Reply::text(502, "<html>\nbad gateway</html>"),
            ErrorClass::Transient,
            None,
            "502 Bad Gateway: <html> bad gateway</html>",
        ),
    ] {
        let place = Place::new();
        place.hub.fault("POST", "pulls", Fault::Instead(reply));
        let outcome = place.execute(open()).await.0;
        let Outcome::Failed { error, retry_after } = outcome else { panic!("{words}: {outcome:?}") };
        assert_eq!((error.class, retry_after), (class, wait.map(Duration::from_secs)), "{words}");
        let expected = format!("POST {}/repos/acme/site/pulls: {words}", place.hub.url);
        assert_eq!(&*error.message, expected);
    }
}

#[tokio::test]
async fn a_branch_that_is_not_there_is_named() {
    let place = Place::new();
    let mut with = open();
    with["head"] = "nothing".into();
    let (class, message) = place.fails(with).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(message.ends_with("Validation Failed: PullRequest.head invalid"), "{message}");
}

#[tokio::test]
async fn a_server_that_repeats_the_token_does_not_get_it_into_a_message() {
    let place = Place::new();
    let said = Reply::message(401, "the token token-of-ada is wrong");
    place.hub.fault("GET", "pulls", Fault::Instead(said));
    let (_, message) = place.fails(open()).await;
    assert!(message.contains("the token *** is wrong") && !message.contains("ada"), "{message}");
}

#[tokio::test]
async fn an_answer_of_another_kind_is_told() {
    for reply in [
        Reply::text(200, "<html>"),
        Reply::json(200, &json!({ "a": 1 })),
        Reply::json(200, &json!([{ "number": "x" }])),
    ] {
        let place = Place::new();
        place.hub.fault("GET", "pulls", Fault::Instead(reply));
        let (class, message) = place.fails(open()).await;
        assert_eq!(class, ErrorClass::Failed);
        assert!(message.contains("the answer is none of GitHub's API"), "{message}");
    }
}

#[tokio::test]
async fn a_change_is_not_turned_into_another_request() {
    let place = Place::new();
    let to = format!("{}/elsewhere", place.hub.url);
    place.hub.fault("POST", "pulls", Fault::Instead(Reply::text(302, "").header("location", &to)));
    let (class, message) = place.fails(open()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(message.contains("302 Found"), "{message}");
    assert_eq!(place.hub.count("GET", "elsewhere"), 0);
    // A repository that was renamed answers so.
    let to = format!("{}/repos/acme/site/pulls", place.hub.url);
    place.hub.fault("POST", "pulls", Fault::Instead(Reply::text(307, "").header("location", &to)));
    assert_eq!(place.opened().await["number"], 1);
}

#[tokio::test]
async fn what_is_not_granted_or_not_safe_is_denied() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = crate::stage::context(folder.path());
    context.network = crate::stage::granted(&[]);
    let request = crate::stage::request(place.with(&open()));
    let (class, message) = crate::stage::failure(
        orchestrator_core::port::plugin::Plugin::execute(&place.github, context, request).await,
    );
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.contains("add `permissions: { network:"), "{message}");
    let mut plain = open();
    plain["base_url"] = "http://ghe.example.com/api/v3".into();
    let (class, message) = place.fails(plain).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.contains("not encrypted, so no token is sent"), "{message}");
    let mut broken: Value = open();
    broken["token"] = "a\nb".into();
    let (class, message) = place.fails(broken).await;
    assert_eq!(
        (class, &*message),
        (ErrorClass::Invalid, "the token holds a line end or another control character")
    );
    assert_eq!(place.hub.received().len(), 0);
}
