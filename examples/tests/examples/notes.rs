//! `release-notes.yaml`

use std::path::Path;

use crate::bench::{Bench, step};

/// Commits with these subjects, oldest first.
pub(crate) fn repository(bench: &Bench, name: &str, subjects: &[&str]) -> String {
    let folder = bench.path().join(name);
    let folder = folder.to_str().expect("the path is UTF-8").to_owned();
    git(bench, &["init", "--quiet", &folder]);
    for subject in subjects {
        let who =
            ["-c", "user.name=A Name", "-c", "user.email=name@example.org", "-c", "commit.gpgsign=false"];
        git(
            bench,
            &[&["-C", &folder][..], &who, &["commit", "--quiet", "--allow-empty", "-m", subject]].concat(),
        );
    }
    folder
}

fn git(bench: &Bench, args: &[&str]) {
    let done = bench.command("git", args);
    assert_eq!(done.code, Some(0), "git {args:?}: {done:?}");
}

/// A bench that stands inside `folder`.
fn inside(folder: &str, bench: &Bench) -> crate::bench::Done {
    let file = crate::bench::example_file("release-notes.yaml");
    let script = format!("cd {folder:?} && exec \"$0\" run \"$1\" --json");
    let binary = crate::bench::binary();
    bench.command("sh", &["-c", &script, path(&binary), path(&file)])
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

#[test]
fn the_log_becomes_notes_in_groups() {
    let bench = Bench::new();
    let subjects = [
        "Lay the first stone",
        "Add a door",
        "Fix the \"roof\" & the $HOME",
        "Add a window",
        "Drop the ladder",
    ];
    let folder = repository(&bench, "house", &subjects);
    let done = inside(&folder, &bench);
    assert_eq!(done.code, Some(0), "{done:?}");
    let report = done.json();
    assert_eq!(report["status"], "completed");
    assert_eq!(report["outputs"]["commits"], 5);
    let list = step(&report, "group")["output"]["list"].as_str().expect("a list");
    let expected = "## Added\n- Add a window\n- Add a door\n## Changed\n- Lay the first stone\n## Fixed\n- Fix the \"roof\" & the \
                    $HOME\n## Removed\n- Drop the ladder";
    assert_eq!(list, expected);
    let written = bench.file("house/out/release-notes.md").expect("the notes are written");
    assert_eq!(written.strip_suffix('\n'), report["outputs"]["notes"].as_str());
    assert!(written.starts_with("# Release notes: the latest 5 commits\n"), "{written}");
    assert!(written.contains("- Add a window\n"), "{written}");
}

#[test]
fn one_commit_of_a_shallow_clone_is_enough() {
    let bench = Bench::new();
    let folder = repository(&bench, "deep", &["Add a", "Add b"]);
    git(&bench, &["clone", "--quiet", "--depth", "1", &format!("file://{folder}"), "shallow"]);
    let shallow = bench.path().join("shallow");
    let done = inside(path(&shallow), &bench);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json()["outputs"]["commits"], 1);
}

#[test]
fn outside_of_a_repository_the_error_is_that_of_git() {
    let bench = Bench::new();
    let done = bench.start("release-notes.yaml", &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let report = done.json();
    assert_eq!(step(&report, "log")["status"], "failed");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("not a git repository")), "{report}");
    assert_eq!(step(&report, "write")["status"], "skipped");
}
