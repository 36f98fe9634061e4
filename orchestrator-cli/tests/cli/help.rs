//! What `--help` says.

use crate::{Said, Sandbox};

/// Every command that does something.
const COMMANDS: [&str; 31] = [
    "init",
    "run",
    "validate",
    "plan",
    "runs list",
    "runs show",
    "runs logs",
    "runs events",
    "runs wait",
    "runs cancel",
    "runs pause",
    "runs resume",
    "runs resolve",
    "workflow register",
    "workflow list",
    "workflow show",
    "workflow diff",
    "workflow execute",
    "approval list",
    "approval approve",
    "approval reject",
    "plugins list",
    "plugins schema",
    "store show",
    "store check",
    "migrate",
    "backup",
    "restore",
    "prune",
    "doctor",
    "version",
];

fn help(command: &str) -> Said {
    Sandbox::new().run(&format!("{command} --help")).exits(0)
}

#[test]
fn the_first_help_is_golden() {
    insta::assert_snapshot!(help("").out);
}

#[test]
fn help_of_commands_is_golden() {
    for command in COMMANDS.into_iter().chain([
        "config show",
        "runs",
        "workflow",
        "approval",
        "plugins",
        "store",
        "config",
    ]) {
        insta::assert_snapshot!(format!("help {command}").replace(' ', "-"), help(command).out);
    }
}

#[test]
fn every_command_shows_an_example_that_names_it() {
    for command in COMMANDS {
        let text = help(command).out;
        let example = text.split("Example").nth(1).unwrap_or_else(|| panic!("{command} has no example"));
        assert!(example.contains(&format!("orchestrator {command}")), "{command}:\n{text}");
    }
}

#[test]
fn lines_of_help_fit_a_hundred_columns() {
    for command in COMMANDS {
        for line in help(command).out.lines() {
            assert!(line.chars().count() <= 112, "{command}: {line}");
        }
    }
}

#[test]
fn no_command_is_told_what_there_is() {
    let said = Sandbox::new().run("").exits(2);
    assert_eq!(said.out, "");
    assert!(said.err.contains("Commands:") && said.err.contains("Exit codes:"), "{}", said.err);
    for group in ["runs", "workflow", "approval", "plugins", "store", "config"] {
        let said = Sandbox::new().run(group).exits(2);
        assert!(said.err.contains("Commands:"), "{}", said.err);
    }
}

#[test]
fn versions_are_told() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.run("--version").exits(0).out,
        format!("orchestrator {}\n", env!("CARGO_PKG_VERSION"))
    );
    let version = sandbox.run("version --json").exits(0).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["durability"], "full");
    assert!(version["sqlite"].as_str().unwrap().starts_with("3."), "{version}");
    assert!(sandbox.listing().is_empty(), "{:?}", sandbox.listing());
}
