//! Pushes over a local transport.

use orchestrator_core::port::plugin::{Plugin, Reconciled};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Git;
use serde_json::{Value, json};

use crate::place::Place;

fn with() -> Value {
    json!({ "do": "push", "repository": "site" })
}

#[tokio::test]
async fn a_push_moves_the_branch_there_once() {
    let place = Place::new();
    let sha = place.commit("site", "b.txt", "b\n");
    assert_eq!(place.reconcile(with()).await, Reconciled::NotApplied);
    let pushed = place.gives(with()).await;
    let remote = place.path("origin.git").to_str().unwrap().to_owned();
    assert_eq!(pushed, json!({ "sha": sha, "branch": "main", "remote": remote, "pushed": true }));
    assert_eq!(place.sha("origin.git", "main"), sha);
    assert_eq!(place.sha("site", "origin/main"), sha);
    assert_eq!(place.gives(with()).await["pushed"], false);
    let Reconciled::Applied(found) = place.reconcile(with()).await else { panic!("it is there") };
    assert_eq!(found["sha"], json!(sha));
}

#[tokio::test]
async fn a_branch_goes_where_it_is_told_to() {
    let place = Place::new();
    place.git("site", &["branch", "task"]);
    place.git(".", &["init", "-q", "--bare", "second.git"]);
    for remote in ["./second.git", &format!("file://{}", place.path("second.git").display())] {
        let with =
            json!({ "do": "push", "repository": "site", "remote": remote, "branch": "task", "to": "a/b" });
        place.gives(with).await;
    }
    assert_eq!(place.sha("second.git", "a/b"), place.sha("site", "task"));
    assert_eq!(place.git("second.git", &["for-each-ref", "--format=%(refname)"]), "refs/heads/a/b");
    let with = json!({ "do": "push", "repository": "site", "branch": "nowhere" });
    let (class, why) = place.fails(with).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("no branch `nowhere`"), "{why}");
}

#[tokio::test]
async fn commits_there_are_thrown_away_only_on_condition() {
    let place = Place::new();
    place.git(".", &["clone", "-q", "origin.git", "other"]);
    let theirs = place.commit("other", "theirs.txt", "x");
    place.git("other", &["push", "-q", "origin", "main"]);
    let ours = place.commit("site", "ours.txt", "x");
    let (class, why) = place.fails(with()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(why.contains("fetch and merge them"), "{why}");
    let mut lease = with();
    lease["force_with_lease"] = json!(true);
    let (class, why) = place.fails(lease.clone()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(why.contains("stale info") && why.contains("somebody has pushed"), "{why}");
    assert_eq!(place.sha("origin.git", "main"), theirs);
    place.git("site", &["fetch", "-q", "origin"]);
    assert_eq!(place.gives(lease.clone()).await["pushed"], true);
    assert_eq!(place.sha("origin.git", "main"), ours);

    let older = place.sha("site", "HEAD^");
    place.git("site", &["reset", "-q", "--hard", &older]);
    let exact =
        json!({ "do": "push", "repository": "site", "remote": "./origin.git", "force_with_lease": ours });
    assert_eq!(place.gives(exact).await["pushed"], true);
    assert_eq!(place.sha("origin.git", "main"), older);
    lease["remote"] = json!("./origin.git");
    place.commit("site", "more.txt", "x");
    let (class, why) = place.fails(lease).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("was never fetched"), "{why}");
}

#[tokio::test]
async fn a_branch_that_is_checked_out_there_is_not_moved() {
    let place = Place::new();
    place.git(".", &["clone", "-q", "origin.git", "other"]);
    place.commit("site", "b.txt", "b\n");
    let with = json!({ "do": "push", "repository": "site", "remote": "./other" });
    let (class, why) = place.fails(with).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(why.contains("checked out"), "{why}");
}

#[test]
fn what_leaves_is_shown() {
    for (with, shown) in [
        (with(), "pushes the current branch of site to origin"),
        (
            json!({ "do": "clone", "url": "https://me@example.org/a", "path": "b" }),
            "clones https://example.org/a into b",
        ),
        (json!({ "do": "fetch", "remote": "upstream" }), "fetches from upstream into ."),
    ] {
        assert_eq!(Git.reaches(&with), [shown]);
    }
    assert_eq!(Git.reaches(&json!({ "do": "diff" })), [""; 0]);
}
