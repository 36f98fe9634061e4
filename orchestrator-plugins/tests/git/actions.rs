//! clone, fetch, worktrees, branches, diff.

use orchestrator_core::port::plugin::{Plugin, Reconciled};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Git;
use serde_json::{Value, json};

use crate::place::Place;
use crate::stage;

#[tokio::test]
async fn a_clone_is_made_once_and_has_its_name_when_it_is_whole() {
    let place = Place::new();
    let with = json!({ "do": "clone", "url": "origin.git", "path": "work/copy" });
    assert_eq!(place.reconcile(with.clone()).await, Reconciled::NotApplied);
    // What an attempt that was killed has left, and an empty folder.
    let key = stage::context(&place.path(".")).0.idempotency_key();
    let left = format!("work/.copy.{}-0", &key[..20]);
    place.write(&format!("{left}/.git/HEAD"), "ref: refs/heads/main\n");
    std::fs::create_dir_all(place.path("work/copy")).unwrap();
    let made = place.gives(with.clone()).await;
    let sha = place.sha("site", "HEAD");
    let path = place.path("work/copy").to_str().unwrap().to_owned();
    assert_eq!(made, json!({ "path": path, "sha": sha, "branch": "main", "cloned": true }));
    assert_eq!(place.read("work/copy/a.txt"), "one\n");
    assert!(!place.has(&left), "what was left is removed");
    assert!(!place.has("work/copy/.git/hooks"), "no template is copied");
    assert_eq!(place.gives(with.clone()).await["cloned"], false);
    assert!(matches!(place.reconcile(with).await, Reconciled::Applied(_)));

    let (class, why) = place.fails(json!({ "do": "clone", "url": "origin.git", "path": "site/.git" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("no repository"), "{why}");
    let (class, why) = place.fails(json!({ "do": "clone", "url": "other.git", "path": "work/copy" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("something else, not a clone of") && why.contains("other.git"), "{why}");
    let (class, why) =
        place.fails(json!({ "do": "clone", "url": "origin.git", "path": "work/copy", "branch": "x" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("on main, not on x"), "{why}");
}

#[tokio::test]
async fn a_clone_that_fails_leaves_nothing() {
    let place = Place::new();
    let (class, why) = place.fails(json!({ "do": "clone", "url": "missing.git", "path": "copy" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("cloning") && why.contains("missing.git"), "{why}");
    let with = json!({ "do": "clone", "url": "origin.git", "path": "copy", "branch": "nowhere" });
    let (class, why) = place.fails(with).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("nowhere"), "{why}");
    // A port of this machine on which nobody listens.
    let with = json!({ "do": "clone", "url": "http://127.0.0.1:1/a.git", "path": "copy" });
    assert_eq!(place.fails(with).await.0, ErrorClass::Transient);
    let mut left: Vec<_> =
        std::fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["origin.git", "site"]);
}

#[tokio::test]
async fn a_shallow_clone_of_a_branch() {
    let place = Place::new();
    place.commit("site", "b.txt", "b\n");
    place.git("site", &["push", "-q", "origin", "HEAD:refs/heads/next"]);
    let with = json!({ "do": "clone", "url": "origin.git", "path": "copy", "branch": "next", "depth": 1 });
    assert_eq!(place.gives(with).await["branch"], "next");
    assert_eq!(place.git("copy", &["rev-list", "--count", "HEAD"]), "1");
}

#[tokio::test]
async fn a_fetch_tells_what_has_changed() {
    let place = Place::new();
    place.git(".", &["clone", "-q", "origin.git", "other"]);
    let old = place.sha("site", "HEAD");
    let new = place.commit("other", "b.txt", "b\n");
    place.git("other", &["push", "-q", "origin", "main", "HEAD:refs/heads/next"]);
    let fetched = place.gives(json!({ "do": "fetch", "repository": "site" })).await;
    let changed = json!([
        { "ref": "refs/remotes/origin/main", "from": old, "to": new },
        { "ref": "refs/remotes/origin/next", "from": null, "to": new },
    ]);
    assert_eq!(fetched["refs"], changed);
    assert_eq!(place.gives(json!({ "do": "fetch", "repository": "site" })).await["refs"], json!([]));
    place.git("other", &["push", "-q", "origin", ":next"]);
    let pruned = place.gives(json!({ "do": "fetch", "repository": "site", "prune": true })).await;
    assert_eq!(pruned["refs"][0]["to"], Value::Null);
    let one = json!({ "do": "fetch", "repository": "site", "branch": "main", "remote": "./origin.git" });
    assert_eq!(place.gives(one).await["sha"], json!(new));
    let (class, why) = place.fails(json!({ "do": "fetch", "repository": "site", "branch": "gone" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("gone"), "{why}");
    let (class, why) =
        place.fails(json!({ "do": "fetch", "repository": "site", "remote": "upstream" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("`upstream`") && why.contains("no such remote"), "{why}");
}

#[tokio::test]
async fn branches_are_made_once() {
    let place = Place::new();
    let first = place.sha("site", "HEAD");
    let with = json!({ "do": "branch", "repository": "site", "branch": "next", "switch": true });
    assert_eq!(place.reconcile(with.clone()).await, Reconciled::NotApplied);
    let made = place.gives(with.clone()).await;
    assert_eq!(made, json!({ "branch": "next", "sha": first, "created": true }));
    assert_eq!(place.git("site", &["branch", "--show-current"]), "next");
    assert_eq!(place.gives(with.clone()).await["created"], false);
    assert!(matches!(place.reconcile(with).await, Reconciled::Applied(_)));
    let second = place.commit("site", "b.txt", "b\n");
    // It has grown since, and begins there all the same.
    let with = json!({ "do": "branch", "repository": "site", "branch": "next", "start": first });
    assert_eq!(place.gives(with).await["sha"], json!(second));
    let with = json!({ "do": "branch", "repository": "site", "branch": "main", "start": second });
    let (class, why) = place.fails(with).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("`main` is there already"), "{why}");
    let with = json!({ "do": "branch", "repository": "site", "branch": "x", "start": "nowhere" });
    assert!(place.fails(with).await.1.contains("`start`: there is no commit `nowhere`"));
}

#[tokio::test]
async fn worktrees_come_and_go() {
    let place = Place::new();
    let with = json!({ "do": "worktree_add", "repository": "site", "path": "tree", "branch": "task" });
    assert_eq!(place.reconcile(with.clone()).await, Reconciled::NotApplied);
    let made = place.gives(with.clone()).await;
    assert_eq!((&made["created"], &made["branch"]), (&json!(true), &json!("task")));
    assert_eq!(place.read("tree/a.txt"), "one\n");
    assert!(!place.git("site", &["worktree", "list", "--porcelain"]).contains("locked"));
    assert_eq!(place.gives(with.clone()).await["created"], false);
    assert!(matches!(place.reconcile(with).await, Reconciled::Applied(_)));
    let other = json!({ "do": "worktree_add", "repository": "site", "path": "tree", "branch": "other" });
    let (class, why) = place.fails(other).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("on task, not on other"), "{why}");

    place.write("tree/new.txt", "x");
    let with = json!({ "do": "worktree_remove", "repository": "site", "path": "tree" });
    let (class, why) = place.fails(with.clone()).await;
    assert_eq!(class, ErrorClass::Failed);
    assert!(why.contains("it has changes"), "{why}");
    let forced = json!({ "do": "worktree_remove", "repository": "site", "path": "tree", "force": true });
    assert_eq!(place.gives(forced).await["removed"], true);
    assert!(!place.has("tree"));
    assert_eq!(place.gives(with).await["removed"], false);
    let with = json!({ "do": "worktree_remove", "repository": "site", "path": "origin.git" });
    assert!(place.fails(with).await.1.contains("is not a worktree of"));
    assert!(place.has("origin.git"));
}

#[tokio::test]
async fn a_worktree_whose_making_was_killed_is_made_anew() {
    let place = Place::new();
    let path = place.path("tree");
    let args = ["worktree", "add", "-q", "--no-checkout", "--lock", "--reason", "orchestrator is making it"];
    place.git("site", &[&args[..], &["-b", "task", path.to_str().unwrap()]].concat());
    assert!(!place.has("tree/a.txt"));
    let with = json!({ "do": "worktree_add", "repository": "site", "path": "tree", "branch": "task" });
    assert_eq!(place.reconcile(with.clone()).await, Reconciled::NotApplied);
    place.gives(with.clone()).await;
    assert_eq!(place.read("tree/a.txt"), "one\n");
    // One whose folder somebody has removed is made anew too.
    std::fs::remove_dir_all(&path).unwrap();
    place.gives(with).await;
    assert_eq!(place.read("tree/a.txt"), "one\n");
}

#[tokio::test]
async fn a_diff_lists_files_and_gives_the_patch() {
    let place = Place::new();
    let first = place.sha("site", "HEAD");
    place.write("site/b.txt", "b\n");
    place.git("site", &["mv", "a.txt", "moved.txt"]);
    place.git("site", &["add", "-A"]);
    place.git("site", &["commit", "-q", "-m", "two"]);
    let with = json!({ "do": "diff", "repository": "site", "from": first, "to": "HEAD" });
    assert_eq!(Git.effect_class(&with), EffectClass::Pure);
    let found = place.gives(with).await;
    assert_eq!(
        found["files"],
        json!([
            { "path": "b.txt", "status": "added", "added": 1, "deleted": 0 },
            { "path": "moved.txt", "from": "a.txt", "status": "renamed", "added": 0, "deleted": 0 },
        ])
    );
    assert!(found["patch"].as_str().unwrap().contains("+++ b/b.txt\n"), "{found}");
    assert_eq!(found["truncated"], false);
    let with = json!({ "do": "diff", "repository": "site", "from": first, "to": "HEAD", "max_bytes": 10 });
    let cut = place.gives(with).await;
    assert_eq!((cut["patch"].as_str().unwrap().len(), &cut["truncated"]), (10, &json!(true)));
    let with =
        json!({ "do": "diff", "repository": "site", "from": first, "stat": true, "paths": ["b.txt", "*"] });
    let stat = place.gives(with).await;
    assert_eq!(stat["files"].as_array().unwrap().len(), 1, "a pattern is a name here: {stat}");
    assert_eq!(stat.get("patch"), None);
    place.write("site/b.txt", "changed\n");
    let dirty = place.gives(json!({ "do": "diff", "repository": "site" })).await;
    assert_eq!(dirty["files"][0]["path"], "b.txt");
    let (class, why) = place.fails(json!({ "do": "diff", "repository": "site", "from": "nope" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("`from`: there is no commit `nope`"), "{why}");
}

#[tokio::test]
async fn a_patch_is_masked_before_it_is_cut() {
    let place = Place::new();
    place.write("site/a.txt", "xxxxx-hunter2secret\n");
    let (mut context, _) = stage::context(&place.path("."));
    context.mask = orchestrator_core::mask::Mask::of(["hunter2secret"]);
    let whole = place.gives(json!({ "do": "diff", "repository": "site" })).await;
    let place_of = whole["patch"].as_str().unwrap().find("hunter2").unwrap();
    let with = json!({ "do": "diff", "repository": "site", "max_bytes": place_of + 6 });
    let patch = stage::output(Git.execute(context, stage::request(with)).await)["patch"].clone();
    assert!(
        patch.as_str().unwrap().ends_with("xxxxx-***\n") || patch.as_str().unwrap().contains("-***"),
        "{patch}"
    );
    assert!(!patch.as_str().unwrap().contains("hunt"), "{patch}");
}

#[tokio::test]
async fn what_is_no_repository_is_told() {
    let place = Place::empty();
    std::fs::create_dir(place.path("plain")).unwrap();
    let (class, why) = place.fails(json!({ "do": "branch", "repository": "plain", "branch": "x" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("plain") && why.contains("not a git repository"), "{why}");
    let (class, why) = place.fails(json!({ "do": "branch", "repository": "gone", "branch": "x" })).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("there is no folder"), "{why}");
    place.git(".", &["init", "-q", "--bare", "bare.git"]);
    let with = json!({ "do": "commit", "repository": "bare.git", "message": "x" });
    assert!(place.fails(with).await.1.contains("has no working tree"));
}

#[tokio::test]
async fn what_a_value_brings_is_no_expression() {
    // It is told before anything is looked at: there is no repository.
    let place = Place::empty();
    for (key, with) in [
        ("to", json!({ "do": "push", "repository": "site", "to": "-${{ x }}" })),
        ("to", json!({ "do": "diff", "repository": "site", "to": "--${{x}}" })),
    ] {
        assert_eq!(Git.validate(&with), [], "as written, nothing is known of it");
        let (class, why) = place.fails(with).await;
        assert_eq!(class, ErrorClass::Invalid, "{why}");
        assert!(why.starts_with(&format!("`{key}`: ")), "{why}");
    }
}

#[test]
fn a_config_is_checked_as_it_is_written() {
    for (with, place, message) in [
        (json!({ "do": "clone", "url": "a" }), "", "`do: clone` needs `path`"),
        (json!({ "do": "push", "message": "x" }), "message", "`message` means nothing to `do: push`"),
        (json!({ "do": "branch", "branch": "-x" }), "branch", "would be an option"),
        (json!({ "do": "clone", "url": "ext::sh", "path": "a" }), "url", "start a program"),
        (json!({ "do": "push", "to": "a..b" }), "to", "cannot be the name of a branch"),
        (
            json!({ "do": "commit", "message": "x", "author": { "name": "a<b", "email": "c" } }),
            "author.name",
            "`<`",
        ),
    ] {
        let issues = Git.validate(&with);
        assert_eq!(issues.len(), 1, "{with}: {issues:?}");
        assert_eq!(issues[0].path.join("."), place);
        assert!(issues[0].message.contains(message), "{}", issues[0].message);
    }
    for with in [
        json!({ "do": "branch", "branch": "${{ inputs.x }}" }),
        json!({ "do": "${{ inputs.what }}", "anything": 1 }),
        json!({ "do": "diff", "to": "HEAD~1" }),
        json!({ "do": "push", "remote": "upstream", "force_with_lease": true }),
    ] {
        assert_eq!(Git.validate(&with), [], "{with}");
    }
}
