//! `docs/cli.md`: its list of commands is printed from the arguments, and every example in it is a command.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory, Parser};

use crate::args::Cli;

/// Set to `1`, the page is written anew instead of compared.
const WRITE: &str = "WRITE_DOCS";

/// What stands around the printed part.
const MARKS: (&str, &str) = ("<!-- printed: commands -->\n", "<!-- end -->");

fn root() -> Command {
    let mut root = Cli::command();
    root.build();
    root
}

/// Every command that does something, in the order of the help.
pub(super) fn verbs(root: &Command) -> Vec<&Command> {
    let mut found = Vec::new();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        if command.has_subcommands() { found.extend(verbs(command)) } else { found.push(command) }
    }
    found
}

fn text(styled: Option<&StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

fn row(page: &mut String, arg: &Arg) {
    let about = text(arg.get_help()).replace('|', "\\|").replace('\n', " ");
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let name = if arg.is_positional() { arg.to_string() } else { format!("{short}{arg}") };
    let defaults = arg.get_default_values().iter().filter(|_| arg.get_action().takes_values());
    let default: Vec<_> = defaults.filter_map(|value| value.to_str()).collect();
    let default =
        if default.is_empty() { String::new() } else { format!(" [default: {}]", default.join(", ")) };
    let _ = writeln!(page, "| `{}` | {about}{default} |", name.replace('|', "\\|"));
}

/// The commands, as a part of the page.
fn commands() -> String {
    let root = root();
    let mut page = String::from("Every command takes these:\n\n| | |\n|---|---|\n");
    root.get_arguments().filter(|arg| arg.is_global_set()).for_each(|arg| row(&mut page, arg));
    for command in verbs(&root) {
        let name = command.get_bin_name().unwrap_or_default();
        let usage = command.clone().render_usage().to_string().replace("Usage: ", "");
        let _ = writeln!(page, "\n### `{name}`\n\n{}.\n\n```text\n{usage}\n```\n", text(command.get_about()));
        let own = |arg: &&Arg| !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str());
        if command.get_arguments().any(|arg| own(&arg)) {
            page.push_str("| | |\n|---|---|\n");
            command.get_arguments().filter(own).for_each(|arg| row(&mut page, arg));
            page.push('\n');
        }
        let _ = writeln!(page, "```text\n{}\n```", text(command.get_after_help()));
    }
    page
}

/// The words of a line of shell, up to where the command ends.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '&' | '>' | '#' | ';') => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The command lines among the examples of a command.
pub(super) fn examples(command: &Command) -> Vec<Vec<String>> {
    let help = text(command.get_after_help());
    let lines = help.lines().filter(|line| line.starts_with("  "));
    let calls = lines.filter_map(|line| line.find("orchestrator ").map(|at| &line[at..]));
    calls.map(words).collect()
}

#[test]
fn the_page_of_commands_is_what_the_arguments_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let old = fs::read_to_string(&path).unwrap();
    let from = old.find(MARKS.0).expect("the page has a printed part") + MARKS.0.len();
    let to = from + old[from..].find(MARKS.1).expect("the part has an end");
    let new = format!("{}\n{}\n\n{}", &old[..from], commands().trim(), &old[to..]);
    if std::env::var(WRITE).is_ok_and(|set| set == "1") {
        fs::write(&path, &new).unwrap();
    } else {
        assert!(
            old == new,
            "docs/cli.md is not what the arguments say: run `{WRITE}=1 cargo nextest run -p orchestrator-cli`"
        );
    }
}

#[test]
fn every_example_of_the_help_is_understood() {
    let root = root();
    let mut count = 0;
    for command in verbs(&root) {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{:?} has no example", command.get_bin_name());
        for example in examples {
            count += 1;
            if let Err(error) = Cli::try_parse_from(&example) {
                panic!("{example:?}: {error}");
            }
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn lines_of_shell_are_split() {
    assert_eq!(words("a 'b c' --d=\"e f\" ''# g"), ["a", "b c", "--d=e f", ""]);
    assert_eq!(words("a b | c"), ["a", "b"]);
}
