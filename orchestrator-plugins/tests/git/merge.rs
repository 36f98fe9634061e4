//! Merges: clean ones, and what a conflict leaves.

use orchestrator_core::port::plugin::Reconciled;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::place::{Place, author};

fn with() -> Value {
    json!({ "do": "merge", "repository": "site", "from": "other", "author": author() })
}

/// Two branches; `other` has changed `theirs`, `main` has changed `ours`.
fn parted(theirs: &str, ours: &str) -> Place {
    let place = Place::new();
    place.git("site", &["checkout", "-q", "-b", "other"]);
    place.commit("site", theirs, "other\n");
    place.git("site", &["checkout", "-q", "main"]);
    place.commit("site", ours, "main\n");
    place
}

#[tokio::test]
async fn a_clean_merge_is_a_commit_with_two_parents() {
    let place = parted("theirs.txt", "ours.txt");
    let ours = place.sha("site", "main");
    assert_eq!(place.reconcile(with()).await, Reconciled::NotApplied);
    let merged = place.gives(with()).await;
    assert_eq!(
        merged,
        json!({ "merged": true, "sha": place.sha("site", "main"), "branch": "main", "fast_forward": false, "conflicts": [] })
    );
    assert_eq!(place.sha("site", "HEAD^1"), ours);
    assert_eq!(place.sha("site", "HEAD^2"), place.sha("site", "other"));
    assert_eq!(place.read("site/theirs.txt"), "other\n");
    assert_eq!(place.git("site", &["status", "--porcelain"]), "");
    assert_eq!(place.git("site", &["log", "-1", "--format=%an %s"]), "Ada Merge other");
    assert_eq!(place.gives(with()).await["sha"], merged["sha"], "a second time changes nothing");
    assert!(matches!(place.reconcile(with()).await, Reconciled::Applied(_)));
}

#[tokio::test]
async fn a_branch_that_has_nothing_of_its_own_moves_forward() {
    let place = Place::new();
    place.git("site", &["checkout", "-q", "-b", "other"]);
    let theirs = place.commit("site", "b.txt", "b\n");
    place.git("site", &["checkout", "-q", "main"]);
    let merged = place.gives(with()).await;
    assert_eq!((&merged["sha"], &merged["fast_forward"]), (&json!(theirs), &json!(true)));
    assert_eq!(place.read("site/b.txt"), "b\n");
}

#[tokio::test]
async fn a_conflict_is_told_and_leaves_everything_as_it_was() {
    let place = parted("a.txt", "a.txt");
    place.write("site/untracked.txt", "mine");
    let before = place.sha("site", "HEAD");
    let (class, why) = place.fails(with()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(why.contains("conflicts in a.txt") && why.contains("nothing was changed"), "{why}");
    let mut report = with();
    report["on_conflict"] = json!("report");
    let told = place.gives(report).await;
    assert_eq!(
        told,
        json!({ "merged": false, "sha": before, "branch": "main", "fast_forward": false, "conflicts": ["a.txt"] })
    );
    assert_eq!(place.sha("site", "HEAD"), before);
    assert_eq!(place.git("site", &["status", "--porcelain"]), "?? untracked.txt");
    assert_eq!(place.read("site/a.txt"), "main\n");
}

#[tokio::test]
async fn changes_that_nobody_has_committed_are_not_overwritten() {
    let place = parted("a.txt", "ours.txt");
    let before = place.sha("site", "HEAD");
    place.write("site/a.txt", "mine\n");
    let (class, why) = place.fails(with()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(why.contains("a.txt") && why.contains("commit these changes first"), "{why}");
    assert_eq!(place.sha("site", "HEAD"), before);
    assert_eq!(place.read("site/a.txt"), "mine\n");
}
