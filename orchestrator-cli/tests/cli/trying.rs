//! `plugins try`: one step, outside of any workflow and any store.

use std::os::unix::fs::PermissionsExt as _;

use crate::Sandbox;

#[test]
fn a_step_is_tried_and_nothing_is_kept() {
    let sandbox = Sandbox::new();
    let with = "run: |\n  echo \"hello $NAME\"\n  echo more >&2";
    let said =
        sandbox.run_args(&["plugins", "try", "script", "--with", with, "--env", "NAME=world"]).exits(0);
    assert!(said.out.contains("\"stdout\": \"hello world\""), "{}", said.out);
    assert!(said.err.contains("| hello world") && said.err.contains("! more"), "{}", said.err);
    let tried = sandbox
        .run_args(&["plugins", "try", "script", "--with", "{ run: \"true\" }", "--json"])
        .exits(0)
        .json();
    assert_eq!((&tried["status"], &tried["output"]["exit_code"]), (&"completed".into(), &0.into()));
    assert!(!sandbox.path(".orchestrator").exists());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let sandbox = Sandbox::with(&[("with.yaml", "run: exit 3\n")]);
    let said = sandbox.run_args(&["plugins", "try", "script", "--with", "rum: x"]).exits(3);
    assert!(
        said.err.contains("unknown key \"rum\"") && said.err.contains("did you mean \"run\"?"),
        "{}",
        said.err
    );
    assert!(sandbox.run("plugins try scirpt").exits(4).err.contains("did you mean `script`?"));
    let said = sandbox.run("plugins try script --with @with.yaml").exits(1);
    assert!(said.err.contains("failed: exit code 3"), "{}", said.err);
    assert!(sandbox.run("plugins try script --with @nowhere.yaml").exits(4).err.contains("nowhere.yaml"));
    sandbox.run("plugins try script --env NAME").exits(2);
    let said = sandbox.run_args(&["plugins", "try", "approval", "--with", "message: Go on?"]).exits(9);
    assert!(said.err.contains("it waits (approval)"), "{}", said.err);
    let said =
        sandbox.run_args(&["plugins", "try", "sleep", "--with", "for: 1h", "--timeout", "1x"]).exits(3);
    assert!(said.err.contains("1x"), "{}", said.err);
}

#[test]
fn secrets_are_filled_in_and_masked() {
    let sandbox = Sandbox::with(&[(".orchestrator/secrets.env", "TOKEN=s3cret-value\n")]);
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(sandbox.path(".orchestrator/secrets.env"), mode).unwrap();
    let args =
        ["plugins", "try", "script", "--with", "run: echo \"${#T} $T\"", "--env", "T=${{ secrets.TOKEN }}"];
    let said = sandbox.run_args(&args).exits(0);
    assert!(said.out.contains("\"stdout\": \"12 ***\""), "{}", said.out);
    assert!(!said.err.contains("s3cret"), "{}", said.err);
    let args = args.map(|arg| if arg.starts_with("T=") { "T=${{ secrets.OTHER }}" } else { arg });
    assert!(sandbox.run_args(&args).exits(3).err.contains("secret `OTHER` cannot be had"));
}
