//! Where output goes, and what happens if it cannot go there.

use std::fs::File;
use std::process::Stdio;

use crate::{HELLO, Said, Sandbox};

#[test]
fn a_reader_that_goes_away_is_no_accident() {
    let many = "name: many\nsteps:\n  many:\n    run: seq 1 20000\n    effect: pure\n";
    let sandbox = Sandbox::with(&[("many.yaml", many), ("hello.yaml", HELLO)]);
    sandbox.run("run many.yaml -q").exits(0);
    for words in [
        "runs logs @last",
        "runs logs @last --json",
        "runs events @last",
        "runs show @last --json",
        "run hello.yaml --json=stream",
        "run hello.yaml",
        "--help",
    ] {
        let mut child = sandbox.spawn(words);
        drop(child.stdout.take());
        let said = Said::by(child);
        assert!(said.code == 0 && !said.err.contains("panicked"), "{words}: {said:?}");
    }
    // Nobody who listens at all.
    let mut child = sandbox.spawn("run hello.yaml");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(sandbox.last()["status"], "completed");
}

#[test]
fn a_full_disk_is_told() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let said = Said::of(&sandbox.command(["plugins", "list"]).stdout(full()).output().unwrap()).exits(7);
    assert!(said.err.contains("cannot write to standard output"), "{}", said.err);
    let said = Said::of(&sandbox.command(["run", "hello.yaml"]).stdout(full()).output().unwrap()).exits(7);
    assert!(said.err.contains("cannot write to standard output"), "{}", said.err);
    assert_eq!(sandbox.last()["status"], "completed");
}

#[test]
fn nothing_is_coloured_where_nobody_watches() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    for words in ["run hello.yaml", "runs list", "runs show @last", "doctor", "--help", "rnu"] {
        let said = sandbox.run(words);
        assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{words}: {said:?}");
    }
}

#[test]
fn a_plain_locale_gets_plain_signs() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said =
        Said::of(&sandbox.command(["run", "hello.yaml"]).env("LC_ALL", "C").output().unwrap()).exits(0);
    assert!(said.err.is_ascii() && said.err.contains("+ greet"), "{}", said.err);
}

#[test]
fn traces_come_only_if_they_are_asked_for() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said = Said::of(
        &sandbox.command(["run", "hello.yaml", "-q"]).env("ORCHESTRATOR_LOG", "trace").output().unwrap(),
    );
    assert!(said.code == 0 && said.err.contains("INFO"), "{}", said.err);
    assert_eq!(said.out, "greeting: Hello, world!\n");
    let said =
        Said::of(&sandbox.command(["run", "hello.yaml", "-q"]).env("RUST_LOG", "trace").output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}
