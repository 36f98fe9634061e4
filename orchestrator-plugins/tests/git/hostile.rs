//! Repositories that were made to harm whoever works in them: each trick works on plain git, and on the plugin does not.

use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::place::{Place, author};

/// A trick: how it is laid, the plain command that it works on (`ORIGIN` is the address of the remote), and the
/// step that it is tried on.
struct Trick {
    name: &'static str,
    /// Is given the place, and a command that leaves the mark and passes its input on.
    lay: fn(&Place, &str),
    plain: &'static [&'static str],
    step: fn() -> Value,
}

fn set(place: &Place, key: &str, value: &str) {
    place.git("site", &["config", key, value]);
}

fn hook(place: &Place, repository: &str, name: &str, evil: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = format!("{repository}/hooks/{name}");
    place.write(&path, &format!("#!/bin/sh\n{evil}\n"));
    std::fs::set_permissions(place.path(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Gives all files of the repository this attribute.
fn attribute(place: &Place, attribute: &str) {
    place.write("site/.git/info/attributes", &format!("* {attribute}\n"));
}

fn commit() -> Value {
    json!({ "do": "commit", "repository": "site", "message": "x", "author": author() })
}

fn switch() -> Value {
    json!({ "do": "branch", "repository": "site", "branch": "next", "switch": true })
}

fn diff() -> Value {
    json!({ "do": "diff", "repository": "site" })
}

fn fetch() -> Value {
    json!({ "do": "fetch", "repository": "site" })
}

fn push() -> Value {
    json!({ "do": "push", "repository": "site", "to": "next" })
}

fn worktree() -> Value {
    json!({ "do": "worktree_add", "repository": "site", "path": "tree", "branch": "tree" })
}

fn merge() -> Value {
    json!({ "do": "merge", "repository": "site", "from": "other", "author": author() })
}

fn change(place: &Place) {
    place.write("site/a.txt", "changed\n");
}

fn hooks() -> Vec<Trick> {
    vec![
        Trick {
            name: "a hook before a commit",
            lay: |place, evil| {
                change(place);
                hook(place, "site/.git", "pre-commit", evil);
            },
            plain: &["commit", "-qam", "x"],
            step: commit,
        },
        Trick {
            name: "a hook after a checkout",
            lay: |place, evil| hook(place, "site/.git", "post-checkout", evil),
            plain: &["switch", "-qc", "next"],
            step: switch,
        },
        Trick {
            name: "a hook of a worktree",
            lay: |place, evil| hook(place, "site/.git", "post-checkout", evil),
            plain: &["worktree", "add", "-q", "../tree"],
            step: worktree,
        },
        Trick {
            name: "a hook on references",
            lay: |place, evil| hook(place, "site/.git", "reference-transaction", evil),
            plain: &["branch", "next"],
            step: switch,
        },
        Trick {
            name: "a hook before a push",
            lay: |place, evil| hook(place, "site/.git", "pre-push", evil),
            plain: &["push", "-q", "origin", "HEAD:refs/heads/next"],
            step: push,
        },
        Trick {
            name: "a folder of hooks",
            lay: |place, evil| {
                change(place);
                hook(place, "site", "pre-commit", evil);
                set(place, "core.hooksPath", "hooks");
            },
            plain: &["commit", "-qam", "x"],
            step: commit,
        },
        Trick {
            name: "a hook of the receiver",
            lay: |place, evil| hook(place, "origin.git", "pre-receive", evil),
            plain: &["push", "-q", "origin", "HEAD:refs/heads/next"],
            step: push,
        },
        Trick {
            name: "a hook after a merge",
            lay: |place, evil| {
                part(place);
                hook(place, "site/.git", "post-merge", evil);
            },
            plain: &["merge", "-q", "--no-edit", "other"],
            step: merge,
        },
    ]
}

/// `main` and `other` have both changed.
fn part(place: &Place) {
    place.write("site/a.txt", "one\ntwo\nthree\nfour\nfive\n");
    place.git("site", &["commit", "-qam", "lines"]);
    place.git("site", &["checkout", "-q", "-b", "other"]);
    place.commit("site", "a.txt", "ONE\ntwo\nthree\nfour\nfive\n");
    place.git("site", &["checkout", "-q", "main"]);
    place.commit("site", "a.txt", "one\ntwo\nthree\nfour\nFIVE\n");
}

fn filters() -> Vec<Trick> {
    vec![
        Trick {
            name: "a filter on what is added",
            lay: |place, evil| {
                change(place);
                attribute(place, "filter=evil");
                set(place, "filter.evil.clean", evil);
                set(place, "filter.evil.required", "true");
            },
            plain: &["add", "-A"],
            step: commit,
        },
        Trick {
            name: "a filter on what is checked out",
            lay: |place, evil| {
                attribute(place, "filter=evil");
                set(place, "filter.evil.smudge", evil);
            },
            plain: &["worktree", "add", "-q", "../tree"],
            step: worktree,
        },
        Trick {
            name: "a filter that is a process",
            lay: |place, evil| {
                change(place);
                attribute(place, "filter=e.v=il");
                set(place, "filter.e.v=il.process", evil);
            },
            plain: &["add", "-A"],
            step: commit,
        },
        Trick {
            name: "a driver of merge",
            lay: |place, evil| {
                part(place);
                attribute(place, "merge=evil");
                set(place, "merge.evil.driver", evil);
            },
            plain: &["merge", "-q", "--no-edit", "other"],
            step: merge,
        },
        Trick {
            name: "a text for diffs",
            lay: |place, evil| {
                change(place);
                attribute(place, "diff=evil");
                set(place, "diff.evil.textconv", evil);
            },
            plain: &["diff"],
            step: diff,
        },
        Trick {
            name: "a driver of diff",
            lay: |place, evil| {
                change(place);
                attribute(place, "diff=evil");
                set(place, "diff.evil.command", evil);
            },
            plain: &["diff"],
            step: diff,
        },
    ]
}

fn programs() -> Vec<Trick> {
    vec![
        Trick {
            name: "a program for all diffs",
            lay: |place, evil| {
                change(place);
                set(place, "diff.external", evil);
            },
            plain: &["diff"],
            step: diff,
        },
        Trick {
            name: "a watcher of files",
            lay: |place, evil| {
                change(place);
                set(place, "core.fsmonitor", evil);
            },
            plain: &["add", "-A"],
            step: commit,
        },
        Trick {
            name: "a watcher of files in a diff",
            lay: |place, evil| set(place, "core.fsmonitor", evil),
            plain: &["diff"],
            step: diff,
        },
        Trick {
            name: "an editor",
            lay: |place, evil| {
                change(place);
                set(place, "core.editor", evil);
            },
            plain: &["commit", "-qa"],
            step: commit,
        },
        Trick {
            name: "a signing program",
            lay: |place, evil| {
                change(place);
                set(place, "gpg.program", &program(place, evil));
                set(place, "commit.gpgSign", "true");
            },
            plain: &["commit", "-qam", "x"],
            step: commit,
        },
    ]
}

/// A file that does it, for settings that take no arguments.
fn program(place: &Place, evil: &str) -> String {
    // Nobody may wait for what it passes on.
    hook(place, ".", "program", evil.trim_end_matches("; cat"));
    place.path("hooks/program").to_str().unwrap().to_owned()
}

fn connections() -> Vec<Trick> {
    vec![
        Trick {
            name: "a program that takes the place of upload-pack",
            lay: |place, evil| set(place, "remote.origin.uploadpack", evil),
            plain: &["fetch", "-q", "origin"],
            step: fetch,
        },
        Trick {
            name: "a program that takes the place of receive-pack",
            lay: |place, evil| set(place, "remote.origin.receivepack", evil),
            plain: &["push", "-q", "origin", "HEAD:refs/heads/next"],
            step: push,
        },
        Trick {
            name: "the same for an address",
            lay: |place, evil| {
                let origin = format!("file://{}", place.path("origin.git").display());
                set(place, "remote.origin.url", &origin);
                set(place, &format!("remote.{origin}.url"), &origin);
                set(place, &format!("remote.{origin}.uploadpack"), evil);
            },
            plain: &["fetch", "-q", "ORIGIN"],
            step: fetch,
        },
        Trick {
            name: "a program that takes the place of ssh",
            lay: |place, evil| {
                set(place, "remote.origin.url", "ssh://127.0.0.1:1/a");
                set(place, "core.sshCommand", evil);
            },
            plain: &["fetch", "-q", "origin"],
            step: fetch,
        },
    ]
}

fn protocols() -> Vec<Trick> {
    vec![
        Trick {
            name: "a program that is an address",
            lay: |place, evil| {
                set(place, "remote.origin.url", &format!("ext::{}", program(place, evil)));
                set(place, "protocol.ext.allow", "always");
            },
            plain: &["fetch", "-q", "origin"],
            step: fetch,
        },
        Trick {
            name: "a proxy of git's own protocol",
            lay: |place, evil| {
                set(place, "remote.origin.url", "git://127.0.0.1:1/a");
                set(place, "core.gitProxy", &program(place, evil));
            },
            plain: &["fetch", "-q", "origin"],
            step: fetch,
        },
        Trick {
            name: "objects that are elsewhere",
            lay: |place, evil| {
                place.git("site", &["config", "core.repositoryFormatVersion", "1"]);
                set(place, "extensions.partialClone", "evil");
                set(place, "remote.evil.promisor", "true");
                set(place, "remote.evil.url", &format!("ext::{}", program(place, evil)));
                set(place, "protocol.ext.allow", "always");
            },
            plain: &["cat-file", "-e", "0123456789012345678901234567890123456789"],
            step: || {
                let missing = "0123456789012345678901234567890123456789";
                json!({ "do": "diff", "repository": "site", "from": missing })
            },
        },
        Trick {
            name: "objects that are borrowed",
            lay: |place, evil| {
                let objects = place.path("origin.git/objects");
                place.write("site/.git/objects/info/alternates", &format!("{}\n", objects.display()));
                place.git(".", &["clone", "-q", "origin.git", "other"]);
                place.commit("other", "b.txt", "b\n");
                place.git("other", &["push", "-q"]);
                set(place, "core.alternateRefsCommand", evil);
                // They come from elsewhere.
                set(place, "remote.origin.url", place.path("other").to_str().unwrap());
            },
            plain: &["fetch", "-q", "origin"],
            step: fetch,
        },
    ]
}

/// Settings that stand where one does not look for them.
fn hidden() -> Vec<Trick> {
    vec![
        Trick {
            name: "an included file",
            lay: |place, evil| {
                change(place);
                attribute(place, "filter=evil");
                place.write("site/.git/more", &format!("[filter \"evil\"]\n\tclean = \"{evil}\"\n"));
                set(place, "include.path", "more");
            },
            plain: &["add", "-A"],
            step: commit,
        },
        Trick {
            name: "a file that is included in worktrees only",
            lay: |place, evil| {
                attribute(place, "filter=evil");
                place.write("site/.git/more", &format!("[filter \"evil\"]\n\tsmudge = \"{evil}\"\n"));
                place.git("site", &["config", "includeIf.gitdir:**/worktrees/**.path", "more"]);
            },
            plain: &["worktree", "add", "-q", "../tree"],
            step: worktree,
        },
        Trick {
            name: "a configuration of the worktree",
            lay: |place, evil| {
                change(place);
                attribute(place, "filter=evil");
                set(place, "extensions.worktreeConfig", "true");
                place.git("site", &["config", "--worktree", "filter.evil.clean", evil]);
            },
            plain: &["add", "-A"],
            step: commit,
        },
        Trick {
            name: "a repository inside of the repository",
            lay: nested,
            plain: &["add", "-A"],
            step: commit,
        },
        Trick {
            name: "a repository inside of the repository, in a diff",
            lay: nested,
            plain: &["diff"],
            step: diff,
        },
    ]
}

/// A submodule with a filter of its own, and a change in it.
fn nested(place: &Place, evil: &str) {
    place.git("site", &["init", "-q", "sub"]);
    place.commit("site/sub", "s.txt", "s\n");
    place.git("site", &["-c", "advice.addEmbeddedRepo=false", "add", "sub"]);
    place.git("site", &["commit", "-qm", "sub"]);
    place.write("site/sub/.git/info/attributes", "* filter=evil\n");
    place.git("site/sub", &["config", "filter.evil.clean", evil]);
    place.write("site/sub/s.txt", "t\n");
}

/// Tries tricks on plain git, where each has to work, and on the plugin.
async fn none_works(tricks: Vec<Trick>) {
    let mut dull = Vec::new();
    for trick in tricks {
        let evil = |place: &Place| format!("touch {}; cat", place.path("mark").display());
        let place = Place::new();
        (trick.lay)(&place, &evil(&place));
        assert!(!place.has("mark"), "{}: it works too early", trick.name);
        let origin = format!("file://{}", place.path("origin.git").display());
        let plain: Vec<&str> =
            trick.plain.iter().map(|arg| if *arg == "ORIGIN" { &origin } else { *arg }).collect();
        let said = place.try_git("site", &plain);
        if !place.has("mark") {
            dull.push((trick.name, said));
        }
        let place = Place::new();
        (trick.lay)(&place, &evil(&place));
        let outcome = place.execute((trick.step)()).await;
        assert!(!place.has("mark"), "{}: it works; {outcome:?}", trick.name);
    }
    assert!(dull.is_empty(), "these do not work on plain git either: {dull:#?}");
}

#[tokio::test]
async fn no_hook_runs() {
    none_works(hooks()).await;
}

#[tokio::test]
async fn no_filter_runs() {
    none_works(filters()).await;
}

#[tokio::test]
async fn no_program_runs() {
    none_works(programs()).await;
}

#[tokio::test]
async fn no_program_runs_on_a_connection() {
    none_works(connections()).await;
}

#[tokio::test]
async fn no_program_runs_for_a_protocol() {
    none_works(protocols()).await;
}

#[tokio::test]
async fn nothing_runs_that_is_hidden() {
    none_works(hidden()).await;
}

#[tokio::test]
async fn drivers_and_filters_that_do_not_run_change_nothing() {
    let place = Place::new();
    part(&place);
    attribute(&place, "merge=evil filter=evil");
    set(&place, "merge.evil.driver", "echo evil > %A");
    set(&place, "filter.evil.clean", "false");
    set(&place, "filter.evil.smudge", "false");
    set(&place, "filter.evil.required", "true");
    assert_eq!(place.gives(merge()).await["merged"], true);
    assert_eq!(place.read("site/a.txt"), "ONE\ntwo\nthree\nfour\nFIVE\n");
    place.write("site/b.txt", "b\n");
    place.gives(commit()).await;
    assert_eq!(place.git("site", &["show", "HEAD:b.txt"]), "b");
}

#[tokio::test]
async fn what_leads_elsewhere_is_refused_by_name() {
    for (key, value) in [
        ("url./tmp/evil.insteadOf", "/"),
        ("url.https://evil.example/.pushInsteadOf", "/"),
        ("http.proxy", "http://evil.example"),
        ("http.https://good.example/.sslVerify", "false"),
        ("fetch.bundleURI", "https://evil.example/a"),
        ("remote.origin.vcs", "evil"),
    ] {
        let place = Place::new();
        set(&place, key, value);
        for step in [fetch(), push()] {
            let (class, why) = place.fails(step).await;
            assert_eq!(class, ErrorClass::Invalid, "{key}");
            assert!(why.contains("could lead the connection elsewhere"), "{why}");
            assert!(why.to_lowercase().contains(&key.to_lowercase()), "{why}");
        }
        assert_eq!(place.gives(diff()).await["files"], json!([]), "it harms nothing that stays here");
    }
}

#[tokio::test]
async fn a_working_tree_elsewhere_is_refused() {
    let place = Place::new();
    place.write("private/key", "secret");
    for (worktree, message) in [
        (place.path("private"), "has no working tree"),
        (place.path("."), "`core.worktree` in its configuration"),
        ("/".into(), "`core.worktree` in its configuration"),
    ] {
        set(&place, "core.worktree", worktree.to_str().unwrap());
        let (class, why) = place.fails(commit()).await;
        assert_eq!(class, ErrorClass::Invalid, "{why}");
        assert!(why.contains(message), "{why}");
    }
    // As submodules say it.
    set(&place, "core.worktree", "..");
    change(&place);
    assert_eq!(place.gives(commit()).await["committed"], true);
    assert_eq!(place.git("site", &["ls-tree", "-r", "--name-only", "HEAD"]), "a.txt");
}
