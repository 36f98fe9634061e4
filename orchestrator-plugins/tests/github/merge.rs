//! Merges: of the commit that was looked at, once.

use std::time::Duration;

use orchestrator_core::port::plugin::{Awaited, Outcome, Reconciled};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::double::{Fault, Reply};
use crate::place::{Place, sha};

fn merge(head: &str) -> Value {
    json!({ "do": "merge", "number": 1, "sha": head })
}

#[tokio::test]
async fn it_is_merged_once() {
    let place = Place::new();
    place.opened().await;
    let with = json!({ "do": "merge", "number": 1, "sha": sha('a'), "method": "squash" });
    let output = place.gives(with.clone()).await;
    let url = format!("{}/acme/site/pull/1", place.hub.url);
    assert_eq!(
        output,
        json!({ "number": 1, "url": url, "state": "merged", "sha": sha('a'), "merged": true, "merge_sha": sha('e') })
    );
    let asked = place.hub.received().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(asked.body, json!({ "sha": sha('a'), "merge_method": "squash" }));
    assert_eq!(place.gives(with.clone()).await, output);
    assert_eq!(place.hub.count("PUT", "merge"), 1);
    assert_eq!(place.reconcile(with).await, Reconciled::Applied(output));
}

#[tokio::test]
async fn another_head_is_not_merged() {
    let place = Place::new();
    place.opened().await;
    let (class, message) = place.fails(merge(&sha('b'))).await;
    assert_eq!(class, ErrorClass::Failed);
    let expected = format!("the head of the pull request 1 is {}, not {}", sha('a'), sha('b'));
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(place.hub.count("PUT", "merge"), 0);
    // Somebody pushes between the look and the merge.
    let moved = Reply::message(409, "Head branch was modified. Review and try the merge again.");
    place.hub.fault("PUT", "merge", Fault::Instead(moved));
    let (_, message) = place.fails(merge(&sha('a'))).await;
    assert!(
        message.ends_with("cannot be merged: Head branch was modified. Review and try the merge again."),
        "{message}"
    );
    assert_eq!(place.reconcile(merge(&sha('a'))).await, Reconciled::NotApplied);
    // It was merged with another head.
    place.gives(merge(&sha('a'))).await;
    let (_, message) = place.fails(merge(&sha('b'))).await;
    assert!(message.contains("merged already, and its head was"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_merged_says_why() {
    let place = Place::new();
    place.opened().await;
    place.hub.with(|hub| hub.pulls[0].mergeable = Some(false));
    assert!(place.fails(merge(&sha('a'))).await.1.contains("conflicts with its base"));
    place.hub.with(|hub| (hub.pulls[0].mergeable, hub.pulls[0].draft) = (Some(true), true));
    assert!(
        place.fails(merge(&sha('a'))).await.1.ends_with("cannot be merged: Pull Request is not mergeable")
    );
    place.hub.with(|hub| hub.pulls[0].state = "closed".to_owned());
    assert_eq!(place.fails(merge(&sha('a'))).await.1, "the pull request 1 is closed");
    let missing = json!({ "do": "merge", "number": 9, "sha": sha('a') });
    assert_eq!(place.fails(missing).await.0, ErrorClass::Invalid);
}

#[tokio::test]
async fn what_is_being_found_out_is_waited_for() {
    let place = Place::new();
    place.opened().await;
    let waits = async || match place.execute(merge(&sha('a'))).await.0 {
        Outcome::Wait { on: Awaited::Pause(pause) } => pause,
        other => panic!("expected a pause, got {other:?}"),
    };
    place.hub.with(|hub| hub.pulls[0].mergeable = None);
    assert_eq!(waits().await, Duration::from_secs(2));
    place.hub.with(|hub| hub.pulls[0].mergeable = Some(true));
    let moved = Reply::message(405, "Base branch was modified. Review and try the merge again.");
    place.hub.fault("PUT", "merge", Fault::Instead(moved));
    assert_eq!(waits().await, Duration::from_secs(2));
    place.gives(merge(&sha('a'))).await;
}

#[tokio::test]
async fn a_death_between_sending_and_recording_is_settled_by_a_look() {
    let place = Place::new();
    place.opened().await;
    assert_eq!(place.reconcile(merge(&sha('a'))).await, Reconciled::NotApplied);
    place.hub.fault("PUT", "merge", Fault::Lost);
    let outcome = place.execute(merge(&sha('a'))).await.0;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let Reconciled::Applied(found) = place.reconcile(merge(&sha('a'))).await else { panic!("it is merged") };
    assert_eq!(found["merge_sha"], sha('e'));
    assert_eq!(place.gives(merge(&sha('a'))).await, found);
    assert_eq!(place.hub.count("PUT", "merge"), 1);
}
