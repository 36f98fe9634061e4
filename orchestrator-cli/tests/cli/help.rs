//! What `--help` says.

use crate::{Said, Sandbox};

/// The commands that `--help` of a command lists, without `help`.
fn listed(text: &str) -> Vec<String> {
    let list = text.split("Commands:\n").nth(1).unwrap_or_default();
    let names = list.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    let names =
        names.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command there is, found as a reader would; and whether it is one that does something.
fn commands() -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(command) = open.pop() {
        let inner = listed(&help(&command).out);
        open.extend(inner.iter().map(|name| format!("{command} {name}").trim().to_owned()));
        if !command.is_empty() {
            found.push((command, inner.is_empty()));
        }
    }
    found.sort();
    found
}

fn verbs() -> Vec<String> {
    let verbs: Vec<String> = commands().into_iter().filter(|(_, does)| *does).map(|(name, _)| name).collect();
    assert!(verbs.len() >= 24 && verbs.contains(&"runs list".to_owned()), "{verbs:?}");
    verbs
}

/// The words behind `orchestrator` of every example of every command.
pub(crate) fn examples() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for verb in verbs() {
        let text = help(&verb).out;
        let calls = text.lines().filter_map(|line| line.strip_prefix("  orchestrator "));
        for call in calls {
            let call = call.split([';', '|', '&', '>', '#']).next().unwrap_or_default();
            found.push(call.split_whitespace().map(|word| word.replace(['"', '\''], "")).collect());
        }
    }
    found
}

fn help(command: &str) -> Said {
    Sandbox::new().run(&format!("{command} --help")).exits(0)
}

#[test]
fn the_first_help_is_golden() {
    insta::assert_snapshot!(help("").out);
}

#[test]
fn help_of_commands_is_golden() {
    for (command, _) in commands() {
        insta::assert_snapshot!(format!("help {command}").replace(' ', "-"), help(&command).out);
    }
}

#[test]
fn every_command_shows_an_example_that_names_it() {
    for command in verbs() {
        let text = help(&command).out;
        let example = text.split("Example").nth(1).unwrap_or_else(|| panic!("{command} has no example"));
        assert!(example.contains(&format!("orchestrator {command}")), "{command}:\n{text}");
        // Every command that can fail in its own way says how it ends.
        let plain = ["version", "plugins list"].contains(&&*command);
        assert!(plain || text.contains("Exit codes:"), "{command}:\n{text}");
    }
}

#[test]
fn lines_of_help_fit_a_hundred_columns() {
    for command in verbs() {
        for line in help(&command).out.lines() {
            assert!(line.chars().count() <= 112, "{command}: {line}");
        }
    }
}

#[test]
fn a_misspelt_command_is_met_with_the_right_one() {
    let sandbox = Sandbox::new();
    for (command, _) in commands() {
        let (before, last) =
            command.rsplit_once(' ').map_or(("", &*command), |(before, last)| (before, last));
        // Its second and third letters swapped; short and even ones get a letter more.
        let mut letters: Vec<char> = last.chars().collect();
        if letters.len() > 2 && letters[1] != letters[2] {
            letters.swap(1, 2);
        } else {
            letters.push('x');
        }
        let slip = String::from_iter(letters);
        let said = sandbox.run(format!("{before} {slip}").trim()).exits(2);
        assert!(said.err.contains(&format!("'{last}'")), "{before} {slip}: {}", said.err);
        assert_eq!(said.out, "");
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
