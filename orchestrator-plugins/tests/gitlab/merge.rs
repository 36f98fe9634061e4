//! Merges: of the commit that was looked at, once.

use std::time::Duration;

use orchestrator_core::port::plugin::{Awaited, Outcome, Reconciled};
use orchestrator_plugins::Gitlab;
use serde_json::{Value, json};

use crate::double::{Fault, Reply};
use crate::place::{Place, also, open, sha};

fn merge(head: &str) -> Value {
    json!({ "do": "merge", "number": 1, "sha": head })
}

async fn waits(place: &Place) -> bool {
    place.execute(&merge(&sha('a'))).await.0 == Outcome::Wait { on: Awaited::Pause(Duration::from_secs(2)) }
}

#[tokio::test]
async fn it_is_merged_once() {
    let place = Place::new();
    place.gives(&open()).await;
    let with = also(merge(&sha('a')), &json!({ "method": "squash" }));
    let output = place.gives(&with).await;
    assert_eq!(
        (&output["state"], &output["merge_sha"], &output["merged"]),
        (&json!("merged"), &json!(sha('e')), &json!(true))
    );
    let asked = place.lab.received().into_iter().find(|request| request.is("PUT", "merge")).unwrap();
    assert_eq!(asked.body, json!({ "sha": sha('a'), "squash": true }));
    assert_eq!(place.gives(&with).await, output);
    assert_eq!(place.lab.count("PUT", "merge"), 1);
    assert_eq!(place.reconcile(&with).await, Reconciled::Applied(output));
}

#[tokio::test]
async fn another_head_is_not_merged() {
    let place = Place::new();
    place.gives(&open()).await;
    let (_, message) = place.fails(&merge(&sha('b'))).await;
    assert!(message.starts_with(&format!("the head of the merge request 1 is {}", sha('a'))), "{message}");
    assert_eq!(place.lab.count("PUT", "merge"), 0);
    let moved = Reply::message(409, "SHA does not match HEAD of source branch");
    place.lab.fault("PUT", "merge", Fault::Instead(moved));
    let (_, message) = place.fails(&merge(&sha('a'))).await;
    assert!(message.contains("cannot be merged: SHA does not match HEAD of source branch"), "{message}");
    assert_eq!(place.reconcile(&merge(&sha('a'))).await, Reconciled::NotApplied);
}

#[tokio::test]
async fn what_is_being_found_out_is_waited_for() {
    let place = Place::new();
    place.gives(&open()).await;
    for detail in ["unchecked", "checking", "preparing"] {
        place.lab.with(|lab| lab.requests[0].detail = detail.to_owned());
        assert!(waits(&place).await, "{detail}");
    }
    assert_eq!(place.lab.count("PUT", "merge"), 0);
    place.lab.with(|lab| {
        (lab.requests[0].detail, lab.requests[0].state) = ("mergeable".to_owned(), "locked".to_owned());
    });
    assert!(waits(&place).await, "it is being merged");
    // It has begun to be found out again by the time of the merge.
    place.lab.with(|lab| lab.requests[0].state = "opened".to_owned());
    place.lab.fault("PUT", "merge", Fault::Lost);
    let outcome = place.execute(&merge(&sha('a'))).await.0;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(place.gives(&merge(&sha('a'))).await["merged"], true);
    assert_eq!(place.lab.count("PUT", "merge"), 1);
}

#[tokio::test]
async fn what_cannot_be_merged_says_why() {
    let place = Place::new();
    place.gives(&open()).await;
    for (detail, conflicts, expected) in [
        ("ci_must_pass", false, "cannot be merged: 405 Method Not Allowed (ci_must_pass)"),
        ("not_approved", false, "(not_approved)"),
        ("conflict", true, "conflicts with its base"),
    ] {
        place.lab.with(|lab| {
            (lab.requests[0].detail, lab.requests[0].has_conflicts) = (detail.to_owned(), conflicts);
        });
        let (_, message) = place.fails(&merge(&sha('a'))).await;
        assert!(message.contains(expected), "{detail}: {message}");
    }
    place.lab.with(|lab| lab.requests[0].state = "closed".to_owned());
    assert_eq!(place.fails(&merge(&sha('a'))).await.1, "the merge request 1 is closed");
}

#[test]
fn a_rebase_is_a_setting_of_the_project() {
    use orchestrator_core::port::plugin::Plugin as _;
    let with = also(merge(&sha('a')), &json!({ "repository": 42, "token": "t", "method": "rebase" }));
    let issues = Gitlab::default().validate(&with);
    assert_eq!(issues[0].message, "`rebase` is not one of merge, squash");
}
