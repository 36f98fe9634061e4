//! Commits: what they take, whose they are, and that a step makes one.

use orchestrator_core::port::plugin::{Plugin, Reconciled};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Git;
use serde_json::{Value, json};

use crate::place::{Place, author};
use crate::stage;

fn with() -> Value {
    json!({ "do": "commit", "repository": "site", "message": "Change\n\nall of it\n\n", "author": author() })
}

#[tokio::test]
async fn everything_that_has_changed_is_committed() {
    let place = Place::new();
    let first = place.sha("site", "HEAD");
    place.write("site/deep/new.txt", "x");
    std::fs::remove_file(place.path("site/a.txt")).unwrap();
    let mut with = with();
    with["repository"] = json!("site/deep");
    let made = place.gives(with).await;
    assert_eq!(made, json!({ "sha": place.sha("site", "main"), "branch": "main", "committed": true }));
    assert_eq!(place.sha("site", "HEAD^"), first);
    assert_eq!(place.git("site", &["status", "--porcelain"]), "");
    assert_eq!(place.git("site", &["ls-tree", "-r", "--name-only", "HEAD"]), "deep/new.txt");
    let shown = place.git("site", &["log", "-1", "--format=%an <%ae> %cn <%ce>%n%B"]);
    assert_eq!(shown, "Ada <ada@example.org> Ada <ada@example.org>\nChange\n\nall of it");
}

#[tokio::test]
async fn only_the_paths_are_committed() {
    let place = Place::new();
    for name in ["b.txt", "c.txt", "-d", "*"] {
        place.write(&format!("site/{name}"), "x");
    }
    let mut with = with();
    with["paths"] = json!(["b.txt", "-d", "*"]);
    place.gives(with.clone()).await;
    assert_eq!(place.git("site", &["status", "--porcelain"]), "?? c.txt");
    with["paths"] = json!(["nothing.txt"]);
    with["message"] = json!("another");
    let (mut context, _) = stage::context(&place.path("."));
    context.item = Some(1);
    let (class, why) = stage::failure(Git.execute(context, stage::request(with)).await);
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("nothing.txt"), "{why}");
}

#[tokio::test]
async fn nothing_to_commit_is_no_commit() {
    let place = Place::new();
    let first = place.sha("site", "HEAD");
    assert_eq!(place.gives(with()).await, json!({ "sha": first, "branch": "main", "committed": false }));
    let mut with = with();
    with["allow_empty"] = json!(true);
    assert_eq!(place.gives(with).await["committed"], true);
    assert_eq!(place.sha("site", "HEAD^"), first);
}

#[tokio::test]
async fn a_repository_begins_with_a_commit() {
    let place = Place::empty();
    place.git(".", &["init", "-q", "-b", "main", "site"]);
    let nothing = place.gives(with()).await;
    assert_eq!(nothing, json!({ "sha": null, "branch": "main", "committed": false }));
    place.write("site/a.txt", "x");
    let made = place.gives(with()).await;
    assert_eq!(made["sha"], json!(place.sha("site", "main")));
    assert_eq!(place.git("site", &["rev-list", "--count", "HEAD"]), "1");
}

#[tokio::test]
async fn a_step_commits_once_wherever_its_process_dies() {
    let place = Place::new();
    let first = place.sha("site", "HEAD");
    place.write("site/b.txt", "x");
    assert_eq!(place.reconcile(with()).await, Reconciled::NotApplied);
    let made = place.gives(with()).await;
    // It dies before anybody knows of it; somebody changes something meanwhile.
    place.write("site/c.txt", "x");
    assert_eq!(place.gives(with()).await, made);
    assert_eq!(place.reconcile(with()).await, Reconciled::Applied(made.clone()));
    assert_eq!(place.sha("site", "HEAD"), made["sha"].as_str().unwrap());
    std::fs::remove_file(place.path("site/c.txt")).unwrap();

    // It dies before the branch has moved: the commit is there, and is taken.
    place.git("site", &["update-ref", "HEAD", &first]);
    assert_eq!(place.reconcile(with()).await, Reconciled::NotApplied);
    let again = place.gives(with()).await;
    assert_eq!(again, made, "the same commit");

    // It dies there, and what is to be committed has changed: the old commit never was on the branch.
    place.git("site", &["update-ref", "HEAD", &first]);
    place.write("site/c.txt", "x");
    let other = place.gives(with()).await;
    assert_ne!(other["sha"], made["sha"]);
    assert_eq!(place.git("site", &["rev-list", "--count", "HEAD"]), "2");

    // Another item is another work.
    let (mut context, _) = stage::context(&place.path("."));
    context.item = Some(1);
    place.write("site/d.txt", "x");
    assert_eq!(stage::output(Git.execute(context, stage::request(with())).await)["committed"], true);
    assert_eq!(place.git("site", &["rev-list", "--count", "HEAD"]), "3");
}

#[tokio::test]
async fn a_detached_head_moves_too() {
    let place = Place::new();
    place.git("site", &["checkout", "-q", "--detach"]);
    place.write("site/b.txt", "x");
    let made = place.gives(with()).await;
    assert_eq!((&made["branch"], &made["committed"]), (&Value::Null, &json!(true)));
    assert_eq!(made["sha"], json!(place.sha("site", "HEAD")));
}

#[tokio::test]
async fn the_repositorys_own_name_is_taken_where_nobody_says() {
    let place = Place::new();
    place.git("site", &["config", "user.name", "Own"]);
    place.git("site", &["config", "user.email", "own@example.org"]);
    place.write("site/b.txt", "x");
    place.gives(json!({ "do": "commit", "repository": "site", "message": "x" })).await;
    assert_eq!(place.git("site", &["log", "-1", "--format=%an %ae"]), "Own own@example.org");
}

#[tokio::test]
async fn a_merge_that_waits_for_a_person_is_left_alone() {
    let place = Place::new();
    place.git("site", &["checkout", "-q", "-b", "other"]);
    place.commit("site", "a.txt", "other\n");
    place.git("site", &["checkout", "-q", "main"]);
    place.commit("site", "a.txt", "main\n");
    assert!(!place.try_git("site", &["merge", "-q", "other"]).0);
    let (class, why) = place.fails(with()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(why.contains("git merge --abort"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_stays_is_named() {
    let place = Place::new();
    place.write("site/b.txt", "x");
    place.write("site/.git/index.lock", "");
    let (class, why) = place.fails(with()).await;
    assert_eq!(class, ErrorClass::Transient);
    assert!(why.contains("index.lock"), "{why}");
    std::fs::remove_file(place.path("site/.git/index.lock")).unwrap();
    assert_eq!(place.gives(with()).await["committed"], true);
}

#[tokio::test]
async fn a_message_must_say_something() {
    let place = Place::new();
    place.write("site/b.txt", "x");
    for message in [" \n", "a\0b"] {
        let with = json!({ "do": "commit", "repository": "site", "message": message, "author": author() });
        let (class, why) = place.fails(with).await;
        assert_eq!(class, ErrorClass::Invalid);
        assert!(why.contains("`message`"), "{why}");
    }
}
