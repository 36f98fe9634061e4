//! Every promise of `docs/guarantees.md` names the commands that check it, and those commands are there.

use crate::Fault;
use crate::workspace::Workspace;

const PAGE: &str = "docs/guarantees.md";
const BATTERY: &str = "battery";

pub(crate) fn check(house: &Workspace) -> Vec<Fault> {
    let page = house.file(PAGE).unwrap_or_default();
    let parts = parts(&house.file(BATTERY).unwrap_or_default());
    let exists = |path: &str| house.root.join(path).exists();
    faults(&page, &parts, &exists)
}

fn faults(page: &str, parts: &[String], exists: &impl Fn(&str) -> bool) -> Vec<Fault> {
    let promised = page.split("\n## ").find(|section| section.starts_with("What is promised\n"));
    let paragraphs: Vec<&str> = promised.unwrap_or_default().split("\n\n").map(str::trim).collect();
    let next = |at: usize| paragraphs.get(at + 1).copied().unwrap_or_default();
    let promises: Vec<(&str, &str)> = (0..paragraphs.len())
        .filter(|at| paragraphs[*at].starts_with("**"))
        .map(|at| (paragraphs[at], next(at)))
        .collect();
    if promises.is_empty() {
        return vec![format!("{PAGE} has no promise under `What is promised`")];
    }
    let of_promise = |(promise, after): &(&str, &str)| {
        let name = promise.split("**").nth(1).unwrap_or_default().to_owned();
        let Some(check) = after.strip_prefix("*Check:* ") else {
            return vec![format!("{PAGE}: `{name}` names no command that checks it")];
        };
        let commands =
            check.split('`').skip(1).step_by(2).filter(|command| !is_there(command, parts, exists));
        commands.map(|command| format!("{PAGE}: `{name}`: there is no `{command}`")).collect()
    };
    promises.iter().flat_map(of_promise).collect()
}

/// Whether a command names what there is: a part of the battery, a test target and a module of it, or the command line.
fn is_there(command: &str, parts: &[String], exists: &impl Fn(&str) -> bool) -> bool {
    match command.split(' ').collect::<Vec<_>>()[..] {
        ["./battery", "smoke", "--only", part] => parts.iter().any(|known| known == part),
        ["cargo", "test", "-p", package, "--test", target] => {
            let small = format!("{package}/tests/{target}.rs");
            exists(&format!("{package}/tests/{target}/main.rs")) || exists(&small)
        }
        ["cargo", "test", "-p", package, "--test", target, module] => {
            exists(&format!("{package}/tests/{target}/{module}.rs"))
        }
        ["orchestrator", "doctor"] => true,
        _ => false,
    }
}

/// The parts of the battery: the lines `crate test` of its list.
fn parts(script: &str) -> Vec<String> {
    let list =
        script.split_once("\nparts=(").and_then(|(_, rest)| rest.split_once(')')).map(|(list, _)| list);
    let quoted = list.unwrap_or_default().split('"').skip(1).step_by(2);
    quoted.filter_map(|part| Some(part.split_once(' ')?.1.to_owned())).collect()
}

#[test]
fn a_promise_without_a_check_is_caught() {
    let parts = parts("x\nparts=(\"orchestrator-cli crash\" \"orchestrator-core scope\")\n");
    let exists = |path: &str| matches!(path, "core/tests/machine/main.rs" | "core/tests/machine/items.rs");
    let check = |text: &str| {
        faults(&format!("# A\n\n## What is promised\n\n{text}\n\n## B\n\n**No.** One."), &parts, &exists)
    };
    let good = "**A.** It is so.\n\n*Check:* `./battery smoke --only scope` · `cargo test -p core --test machine items`";
    assert_eq!(check(good), [""; 0]);
    assert_eq!(check("None.").len(), 1);
    for bad in [
        "**A.** It is so.",
        "**A.** It is so.\n\n*Check:* `./battery smoke --only other`",
        "**A.** It is so.\n\n*Check:* `cargo test -p core --test other`",
        "**A.** It is so.\n\n*Check:* `cargo test -p core --test machine other`",
        "**A.** It is so.\n\n*Check:* `true`",
    ] {
        assert_eq!(check(bad).len(), 1, "{bad}");
    }
}
