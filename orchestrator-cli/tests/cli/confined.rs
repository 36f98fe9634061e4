//! Scripts in the sandbox, as the command line runs them: the store lies in the folder in which they work.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::{Said, Sandbox};

const FLOW: &str = "\
name: flow
steps:
  write:
    run: mkdir dist && echo made > dist/file && echo made > kept.txt && ls -a
    effect: pure
  spy:
    needs: write
    run: cat .orchestrator/state.db
    effect: pure
    continue-on-error: true
  spoil:
    needs: spy
    run: echo x > .orchestrator/config.toml
    effect: pure
    continue-on-error: true
  remove:
    needs: spoil
    run: rm -rf .orchestrator; mv .orchestrator away
    effect: pure
    continue-on-error: true
";

/// Checks what a run of the flow has said and left, if new files can be made beside the store.
fn check(place: &Sandbox, said: Said) {
    let report = said.exits(0).json();
    for step in report["steps"].as_array().unwrap() {
        let expected = if step["id"] == "write" { "completed" } else { "failed" };
        assert_eq!(step["status"], expected, "{step:#}");
    }
    assert_eq!(place.read("kept.txt"), "made\n");
    assert!(place.path(".orchestrator/state.db").exists() && !place.path("away").exists());
}

#[test]
fn a_script_makes_what_it_likes_beside_the_store_and_does_not_see_it() {
    let place = Sandbox::with(&[("flow.yaml", FLOW)]);
    check(&place, place.run("run flow.yaml --json"));
}

/// Runs the binary as somebody who may not mount. Where it was built, somebody else may not come, so it is a copy.
fn as_nobody(place: &Sandbox, args: &[&str]) -> Said {
    fs::create_dir_all(place.path("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_orchestrator"), place.path("bin/orchestrator")).unwrap();
    for path in ["", "bin", "flow.yaml"] {
        fs::set_permissions(place.path(path), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(place.path("bin/orchestrator"))
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", place.path(""))
        .current_dir(place.path(""));
    Said::of(&command.output().unwrap())
}

#[test]
fn nor_does_that_of_a_user_who_may_not_mount() {
    if !rustix::process::geteuid().is_root() {
        // The test before has shown it.
        return;
    }
    let place = Sandbox::with(&[("flow.yaml", FLOW)]);
    check(&place, as_nobody(&place, &["run", "flow.yaml", "--json"]));
    let doctor = as_nobody(&place, &["doctor", "--json"]).exits(0).json();
    let checks = doctor["checks"].as_array().unwrap();
    let sandbox = checks.iter().find(|check| check["name"] == "sandbox").unwrap();
    assert_eq!(sandbox["text"], "Landlock 6, seccomp; the store is hidden by a mount");
}

#[test]
fn the_launcher_serves_nobody_else() {
    let said = Sandbox::new().run("--orchestrator-cell").exits(122);
    assert_eq!(said.err, "--orchestrator-cell is for this program alone\n");
}
