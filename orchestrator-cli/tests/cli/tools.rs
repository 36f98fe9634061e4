//! `completions` and `man`.

use std::process::Command;

use crate::{Said, Sandbox};

/// What bash offers for a line, with the cursor at its end.
fn offered(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let script = format!(
        "source ./completions.bash; COMP_WORDS=({line} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         _orchestrator orchestrator '' \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    let output = bash.args(["--norc", "-c", &script]).current_dir(sandbox.path("")).output().unwrap();
    let said = Said::of(&output).exits(0);
    said.out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let sandbox = Sandbox::new();
    sandbox.write("completions.bash", sandbox.run("completions bash").exits(0).out);
    let top = offered(&sandbox, "orchestrator");
    for word in ["run", "runs", "schema", "completions", "--json"] {
        assert!(top.iter().any(|offered| offered == word), "{word}: {top:?}");
    }
    let runs = offered(&sandbox, "orchestrator runs");
    assert!(runs.iter().any(|offered| offered == "resolve"), "{runs:?}");
}

#[test]
fn every_shell_gets_a_script_that_names_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sandbox.run(&format!("completions {shell}")).exits(0).out;
        for verb in ["validate", "resume", "reject", "schema"] {
            assert!(script.contains(verb), "{shell} does not know {verb}");
        }
    }
    let said = sandbox.run("completions bsh").exits(2);
    assert!(said.err.contains("'bash'"), "{}", said.err);
    assert!(sandbox.listing().is_empty());
}

#[test]
fn a_page_of_the_manual_has_the_options_and_the_examples() {
    let sandbox = Sandbox::new();
    let page = sandbox.run("man runs list").exits(0).out;
    for text in
        [".TH orchestrator-runs-list 1", "\\-\\-status", ".SH EXAMPLES", "orchestrator runs list \\-\\-open"]
    {
        assert!(page.contains(text), "{text}:\n{page}");
    }
    let said = sandbox.run("man runs lsit").exits(4);
    assert!(said.err.contains("did you mean `list`?"), "{}", said.err);
    assert!(sandbox.run("man").exits(0).out.contains(".SH SUBCOMMANDS"));
}

#[test]
fn all_pages_are_written_at_once() {
    let sandbox = Sandbox::new();
    let said = sandbox.run("man --out pages").exits(0);
    for name in ["orchestrator", "orchestrator-runs", "orchestrator-runs-list", "orchestrator-schema"] {
        assert!(said.out.contains(&format!("written  pages/{name}.1\n")), "{}", said.out);
    }
    let page = sandbox.read("pages/orchestrator-runs-list.1");
    assert_eq!(page.trim_end(), sandbox.run("man runs list").out.trim_end());
    let before = sandbox.listing();
    sandbox.run("man --out pages --json").exits(0).json();
    assert_eq!(sandbox.listing(), before);
    sandbox.write("file", "");
    sandbox.run("man --out file").exits(7);
}
