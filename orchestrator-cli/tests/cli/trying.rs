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
    assert_eq!((&tried["kind"], &tried["status"]), (&"script".into(), &"completed".into()));
    assert_eq!(tried["output"]["exit_code"], 0);
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
fn what_a_step_may_reach_is_granted_by_a_flag() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let with = format!("{{ url: \"http://{place}/\", timeout: 1s }}");
    let refused = Sandbox::new().run_args(&["plugins", "try", "http", "--with", &with]).exits(1);
    assert!(refused.err.contains("not the public internet"), "{}", refused.err);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "something has connected");
    // It is reached, and does not answer.
    let reached =
        Sandbox::new().run_args(&["plugins", "try", "http", "--with", &with, "--network", &place]).exits(1);
    assert!(!reached.err.contains("not the public internet"), "{}", reached.err);
    assert!(listener.accept().is_ok(), "nothing has connected: {}", reached.err);
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
