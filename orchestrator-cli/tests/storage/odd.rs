//! Places where a store cannot be, and places with odd names: a clear word and exit 7, and nothing made anywhere else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::battery::{self, Losses};
use crate::sandbox::{Said, Sandbox};

const HELLO: &str = "name: hello\nsteps:\n  a: { run: echo hello, effect: pure }\n";

/// Some place that is to be the store's, what is there, and what the answer must say.
type Case = (&'static str, fn(&Sandbox), &'static str, &'static str);

/// Nobody may write where nobody may.
const NOT_THERE: [Case; 8] = [
    ("a folder that is missing", |_| {}, "sqlite:no/such/state.db", "there is no folder no/such"),
    ("a folder", |place| fs::create_dir(place.path("d")).unwrap(), "sqlite:d", "is a folder"),
    ("a file for a folder", |place| place.write("f", "x"), "sqlite:f/state.db", "f/state.db"),
    ("text", |place| place.write("t.db", "hello, world\n".repeat(900)), "sqlite:t.db", "not a database"),
    (
        "an archive",
        |place| place.write("z.db", b"PK\x03\x04\x00\x00\x00\x00".repeat(900)),
        "sqlite:z.db",
        "not a database",
    ),
    ("another database", |place| foreign(place, "o.db"), "sqlite:o.db", "o.db"),
    ("a link to nothing", |place| symlink("no/such.db", place.path("l.db")).unwrap(), "sqlite:l.db", "l.db"),
    ("a link to itself", |place| symlink("s.db", place.path("s.db")).unwrap(), "sqlite:s.db", "s.db"),
];

/// A database of somebody else, with a table that is called as one of ours.
fn foreign(place: &Sandbox, name: &str) {
    let make = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let tables = "CREATE TABLE orchestrator_runs (x); INSERT INTO orchestrator_runs VALUES (1);";
    let made = Command::new("python3").args(["-c", make]).arg(place.path(name)).arg(tables).status();
    assert!(made.unwrap().success());
}

fn place() -> Sandbox {
    Sandbox::with(&[("hello.yaml", HELLO)])
}

/// Every file with what is in it. Whether a database of somebody else keeps a log stands in its header, and is not looked
/// at: that may change.
fn contents(place: &Sandbox) -> Vec<(String, Option<Vec<u8>>)> {
    let named = |line: String| {
        let name = line.rsplit_once(' ').unwrap().0.to_owned();
        let mut bytes = fs::read(place.path(&name)).ok();
        if let Some(bytes) = bytes.as_mut().filter(|bytes| bytes.starts_with(b"SQLite format 3\0")) {
            bytes[16..100].fill(0);
        }
        (name, bytes)
    };
    place.listing().into_iter().map(named).collect()
}

fn run(place: &Sandbox, store: &str) -> Said {
    place.run_args(&["run", "hello.yaml", "-q", "--json", "--store", store])
}

#[test]
fn where_no_store_can_be_is_said_and_nothing_is_made() {
    for (name, prepare, store, word) in NOT_THERE {
        let place = place();
        prepare(&place);
        let before = contents(&place);
        let said = run(&place, store).exits(7);
        let problem = said.problem();
        let title = problem["title"].as_str().unwrap();
        assert!(title.contains(word) && problem["exit_code"] == 7, "{name}: {problem}");
        assert!(contents(&place) == before, "{name}: {:?}", place.listing());
    }
    battery::tell("F-20 no place for a store", NOT_THERE.len(), Losses::default(), "exit 7, nothing made");
}

#[test]
fn odd_names_are_only_names() {
    let place = place();
    let names =
        ["with space", "ünï çøde 🦀", "new\nline", "-dash", "quo'te\"", "percent%20", "semi;colon$HOME"];
    for name in names {
        fs::create_dir(place.path(name)).unwrap();
        let store = format!("sqlite:{}/state.db", place.path(name).display());
        run(&place, &store).exits(0);
        let listed = place.run_args(&["runs", "list", "--json", "--store", &store]).exits(0).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{name:?}");
        place.run_args(&["store", "check", "--store", &store]).exits(0);
        assert!(place.path(name).join("state.db").is_file(), "{name:?}");
    }
    let tops = fs::read_dir(place.path("")).unwrap().count();
    assert_eq!(tops, names.len() + 1, "{:?}", place.listing());
    // Behind links: the same store, whichever way it is reached.
    symlink(place.path("with space"), place.path("link")).unwrap();
    symlink(place.path("with space/state.db"), place.path("file.db")).unwrap();
    for store in ["sqlite:link/state.db", "sqlite:file.db"] {
        run(&place, store).exits(0);
    }
    let listed = place.run("runs list --json --store sqlite:link/state.db").exits(0).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    place.run("store check --store sqlite:file.db").exits(0);
    battery::tell("F-20 odd names", names.len() + 2, Losses::default(), "");
}

/// Who may do everything may also write where nobody may: so this is done as somebody else.
fn as_nobody(place: &Sandbox, args: &[&str]) -> Said {
    let mut command = Command::new("setpriv");
    // A copy: where it was built, somebody else may not come.
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(place.path("bin/orchestrator"));
    command.args(args).current_dir(place.path(""));
    Said::of(&command.output().unwrap())
}

#[test]
fn what_may_not_be_written_is_said() {
    let place = place();
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(place.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    fs::create_dir(place.path("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_orchestrator"), place.path("bin/orchestrator")).unwrap();
    fs::create_dir(place.path("closed")).unwrap();
    run(&place, "sqlite:closed/state.db").exits(0);
    place.run("migrate --store sqlite:closed/state.db").exits(0);
    // The file can be read and not written; nothing can be put beside it. Then not even looked at.
    for (folder, file) in [(0o555, 0o444), (0o755, 0o000), (0o000, 0o644)] {
        mode("closed/state.db", file);
        mode("closed", folder);
        for args in [
            &["run", "hello.yaml", "-q", "--json", "--store", "sqlite:closed/state.db"][..],
            &["workflow", "register", "hello.yaml", "--json", "--store", "sqlite:closed/state.db"],
        ] {
            let said = as_nobody(&place, args).exits(7);
            assert!(said.err.contains("closed"), "{said:?}");
        }
        mode("closed", 0o755);
    }
    let said = as_nobody(&place, &["run", "hello.yaml", "-q", "--json", "--store", "sqlite:new.db"]).exits(7);
    assert!(said.err.contains("new.db"), "{said:?}");
    mode("closed/state.db", 0o600);
    place.run("store check --store sqlite:closed/state.db").exits(0);
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 3, "{:?}", place.listing());
    battery::tell("F-20 not to be written", 7, Losses::default(), "");
}
