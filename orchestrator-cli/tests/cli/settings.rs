//! Where settings come from.

use std::os::unix::fs::PermissionsExt as _;

use crate::{HELLO, Sandbox};

#[test]
fn every_value_has_a_source() {
    let sandbox = Sandbox::with(&[(".orchestrator/config.toml", "slots = 3\n"), ("below/x", "")]);
    let mut command = sandbox.command(["config", "show", "--json", "--store", "memory"]);
    command.current_dir(sandbox.path("below")).env("ORCHESTRATOR_GRACE", "3s");
    let shown = crate::Said::of(&command.output().unwrap()).exits(0).json();
    let source = |name: &str| {
        (
            shown["settings"][name]["value"].as_str().unwrap().to_owned(),
            shown["settings"][name]["source"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(source("slots"), ("3".into(), "file".into()));
    assert_eq!(source("grace"), ("3s".into(), "environment".into()));
    assert_eq!(source("store"), ("memory".into(), "flag".into()));
    assert_eq!(shown["settings"]["grace"]["place"], "ORCHESTRATOR_GRACE");
}

#[test]
fn settings_are_shown_as_a_table() {
    insta::assert_snapshot!(Sandbox::new().run("config show").stable());
}

#[test]
fn a_wrong_file_is_refused_by_every_command_and_named_by_doctor() {
    let sandbox =
        Sandbox::with(&[(".orchestrator/config.toml", "stor = \"memory\"\n"), ("hello.yaml", HELLO)]);
    let before = sandbox.listing();
    for words in ["run hello.yaml", "runs list", "config show", "validate hello.yaml"] {
        let said = sandbox.run(words).exits(2);
        assert!(
            said.err.contains("unknown key `stor`") && said.err.contains("did you mean `store`?"),
            "{}",
            said.err
        );
    }
    let checks = sandbox.run("doctor --json").exits(1).json();
    let config = checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == "config").unwrap();
    assert_eq!(config["status"], "failed");
    assert_eq!(sandbox.listing(), before);
}

#[test]
fn what_others_can_write_starts_nothing() {
    let loud = "plugins = [\"./plugins/loud.sh\"]\n";
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    crate::outside::program(&sandbox, "plugins/loud.sh", "#!/bin/sh\ntouch was-started\n");
    let mode = |path: &str, mode| {
        std::fs::set_permissions(sandbox.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (text, key) in [
        (loud, "plugins"),
        ("mcp.loud.command = [\"./plugins/loud.sh\"]\n", "mcp"),
        ("secrets_command = \"./plugins/loud.sh\"\n", "secrets_command"),
    ] {
        for (writable, open, shut) in
            [(".orchestrator/config.toml", 0o664, 0o644), (".orchestrator", 0o777, 0o755)]
        {
            sandbox.write(".orchestrator/config.toml", text);
            mode(writable, open);
            let said = sandbox.run("validate hello.yaml").exits(3);
            let told = format!("`{key}` names what is started, and others can write to {writable}");
            assert!(said.err.contains(&told), "{}", said.err);
            assert!(said.err.contains("chmod go-w .orchestrator .orchestrator/config.toml"), "{}", said.err);
            mode(writable, shut);
        }
    }
    // What starts nothing counts all the same, and so does a file that was named.
    mode(".orchestrator", 0o777);
    sandbox.write(".orchestrator/config.toml", "slots = 3\n");
    sandbox.run("validate hello.yaml").exits(0);
    assert!(!sandbox.path("was-started").exists());
    sandbox.write(".orchestrator/config.toml", loud);
    let said = sandbox.run("validate hello.yaml --config .orchestrator/config.toml").exits(3);
    assert!(said.err.contains("plugins[0]") && sandbox.path("was-started").exists(), "{}", said.err);
    // A link to a folder of one's own is one's own word too.
    mode(".orchestrator", 0o755);
    std::fs::rename(sandbox.path(".orchestrator"), sandbox.path("kept")).unwrap();
    std::os::unix::fs::symlink("kept", sandbox.path(".orchestrator")).unwrap();
    let said = sandbox.run("validate hello.yaml").exits(3);
    assert!(said.err.contains("plugins[0]"), "{}", said.err);
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let said = Sandbox::new().run("config show --config nowhere.toml").exits(2);
    assert!(said.err.contains("there is no configuration file nowhere.toml"), "{}", said.err);
}

#[test]
fn the_store_is_found_upwards() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("a/b/x", "")]);
    sandbox.run("run hello.yaml").exits(0);
    let mut command = sandbox.command(["runs", "list", "--json"]);
    let listed = crate::Said::of(&command.current_dir(sandbox.path("a/b")).output().unwrap()).exits(0).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(!sandbox.path("a/b/.orchestrator").exists());
}

#[test]
fn printed_commands_find_the_same_store() {
    let sandbox = Sandbox::with(&[("ask.yaml", crate::ASK)]);
    let said = sandbox.run("run ask.yaml --store sqlite:other.db").exits(9);
    let approve = said.from("orchestrator approval approve");
    assert!(approve.ends_with("--store sqlite:other.db"), "{approve}");
    let said = sandbox.follow(&approve).exits(0);
    sandbox.follow(&said.from("orchestrator runs resume")).exits(0);
}

#[test]
fn relaxed_durability_is_told_wherever_it_is_on() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml -q").exits(0);
    let with = |durability: &str, words: &str| {
        let mut command = sandbox.command(words.split_whitespace());
        crate::Said::of(&command.env("ORCHESTRATOR_DURABILITY", durability).output().unwrap())
    };
    for (durability, told, mark) in
        [("full", "survive", "✔ store"), ("relaxed", "may be lost with the power", "▲ store")]
    {
        assert_eq!(with(durability, "version --json").exits(0).json()["durability"], durability);
        let doctor = with(durability, "doctor").exits(0).out;
        assert_eq!(with(durability, "store show --json").exits(0).json()["durable"], durability == "full");
        assert!(doctor.contains(told) && doctor.contains(mark), "{doctor}");
    }
    let said = with("none", "version").exits(2);
    assert!(said.err.contains("expected full or relaxed, not `none`"), "{}", said.err);
}
