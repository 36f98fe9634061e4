//! Values that would be options, commands or addresses that start programs: refused, or taken for what they say.

use orchestrator_core::port::plugin::Outcome;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::place::{Place, author};

/// What somebody might write into an input. `MARK` is a file that must not come to be.
const VALUES: [&str; 43] = [
    "--upload-pack=touch MARK",
    "--upload-pack",
    "-utouch MARK",
    "-u",
    "--receive-pack=touch MARK",
    "--exec=touch MARK",
    "-oProxyCommand=touch MARK",
    "--config=core.sshCommand=touch MARK",
    "-ccore.fsmonitor=touch MARK",
    "-c",
    "--output=MARK",
    "-oMARK",
    "--template=MARK",
    "--separate-git-dir=MARK",
    "--reference=MARK",
    "--git-dir=MARK",
    "--work-tree=MARK",
    "--exec-path=MARK",
    "--file=MARK",
    "--pathspec-from-file=MARK",
    "--open-files-in-pager=touch MARK",
    "--gpg-sign=MARK",
    "--ext-diff",
    "--no-index",
    "--mirror",
    "--force",
    "--all",
    "--",
    "--end-of-options",
    "-",
    "ext::sh -c touch% MARK",
    "ext::touch MARK",
    "fd::17/foo",
    "ssh://-oProxyCommand=touch MARK/x",
    "ssh://-oProxyCommand=touch MARK@host/x",
    "-oProxyCommand=touch MARK:x",
    "$(touch MARK)",
    "`touch MARK`",
    "; touch MARK",
    "| touch MARK",
    "a\ntouch MARK",
    "a\0b",
    "!touch MARK",
];

/// Every text that an author can give, each in a step that would otherwise succeed.
fn fields() -> Vec<(&'static str, Value)> {
    let site = "site";
    vec![
        ("/url", json!({ "do": "clone", "url": "", "path": "copy" })),
        ("/path", json!({ "do": "clone", "url": "origin.git", "path": "" })),
        ("/branch", json!({ "do": "clone", "url": "origin.git", "path": "copy", "branch": "" })),
        ("/remote", json!({ "do": "fetch", "repository": site, "remote": "", "branch": "main" })),
        ("/branch", json!({ "do": "fetch", "repository": site, "branch": "" })),
        ("/path", json!({ "do": "worktree_add", "repository": site, "path": "", "branch": "task" })),
        ("/branch", json!({ "do": "worktree_add", "repository": site, "path": "tree", "branch": "" })),
        (
            "/start",
            json!({ "do": "worktree_add", "repository": site, "path": "t", "branch": "x", "start": "" }),
        ),
        ("/path", json!({ "do": "worktree_remove", "repository": site, "path": "" })),
        ("/branch", json!({ "do": "branch", "repository": site, "branch": "" })),
        ("/start", json!({ "do": "branch", "repository": site, "branch": "y", "start": "" })),
        ("/message", json!({ "do": "commit", "repository": site, "message": "", "allow_empty": true })),
        ("/paths/0", json!({ "do": "commit", "repository": site, "message": "x", "paths": [""] })),
        ("/author/name", json!({ "do": "commit", "repository": site, "message": "x", "author": author() })),
        ("/author/email", json!({ "do": "commit", "repository": site, "message": "x", "author": author() })),
        ("/repository", json!({ "do": "diff", "repository": "" })),
        ("/remote", json!({ "do": "push", "repository": site, "remote": "" })),
        ("/branch", json!({ "do": "push", "repository": site, "branch": "" })),
        ("/to", json!({ "do": "push", "repository": site, "to": "" })),
        ("/force_with_lease", json!({ "do": "push", "repository": site, "to": "z", "force_with_lease": "" })),
        ("/from", json!({ "do": "diff", "repository": site, "from": "" })),
        ("/to", json!({ "do": "diff", "repository": site, "to": "" })),
        ("/paths/0", json!({ "do": "diff", "repository": site, "paths": [""] })),
        ("/from", json!({ "do": "merge", "repository": site, "from": "" })),
    ]
}

/// Fields in which none of the values above can mean anything, so that each is refused. Elsewhere they are paths, folders,
/// messages and names like any other.
fn is_strict(field: &str) -> bool {
    ["/branch", "/start", "/from", "/to", "/force_with_lease", "/repository"].contains(&field)
}

/// Tries all values in these fields. Shared among several tests, which run side by side.
async fn values_are_values(fields: &[(&'static str, Value)]) {
    let place = Place::new();
    let mark = place.path("mark");
    let mark = mark.to_str().unwrap();
    for (field, step) in fields {
        for value in VALUES {
            let mut with = step.clone();
            *with.pointer_mut(field).unwrap() = json!(value.replace("MARK", mark));
            let outcome = place.execute(with.clone()).await;
            assert!(!place.has("mark"), "{with} has run something");
            match outcome {
                Outcome::Failed { error, .. } => {
                    let known =
                        [ErrorClass::Invalid, ErrorClass::Failed, ErrorClass::Denied, ErrorClass::Transient];
                    assert!(known.contains(&error.class), "{with}: {error:?}");
                }
                Outcome::Succeeded { output } => {
                    assert!(!is_strict(field), "{with} gives {output}");
                }
                other => panic!("{with}: {other:?}"),
            }
        }
    }
    assert_eq!(
        place.git("site", &["status", "--porcelain"]),
        "",
        "nothing was left behind in the repository"
    );
}

#[tokio::test]
async fn values_are_values_where_repositories_come_from() {
    values_are_values(&fields()[..5]).await;
}

#[tokio::test]
async fn values_are_values_in_worktrees_and_branches() {
    values_are_values(&fields()[5..11]).await;
}

#[tokio::test]
async fn values_are_values_in_commits() {
    values_are_values(&fields()[11..16]).await;
}

#[tokio::test]
async fn values_are_values_in_pushes() {
    values_are_values(&fields()[16..20]).await;
}

#[tokio::test]
async fn values_are_values_in_diffs_and_merges() {
    values_are_values(&fields()[20..]).await;
}

#[test]
fn plain_git_takes_them_for_options() {
    let place = Place::new();
    let mark = place.path("mark");
    let option = format!("--upload-pack=touch {};", mark.display());
    place.try_git("site", &["ls-remote", &option, "../origin.git"]);
    assert!(place.has("mark"));
}
