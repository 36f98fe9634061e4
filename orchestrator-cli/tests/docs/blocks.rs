//! Every block of every page is run or read, but for those that say that they are not, which are counted here.

use crate::page::{Block, blocks, pages};
use crate::scratch::Scratch;
use crate::shown::{commands, fits};
use crate::yaml;

/// What a block says behind its fence that cannot be run by a test.
const NOT_RUN: &str = "not-run";

/// What a block says behind its fence that shows what is refused.
const REFUSED: &str = "refused";

/// Blocks that are not run, by page: building from a bare machine, the loop of a developer of this, and what takes a server
/// under a name.
const LEFT_OUT: [(&str, usize); 3] = [("README.md", 1), ("docs/CONTRIBUTING.md", 1), ("docs/fleet.md", 3)];

/// Languages of blocks that are there to be read. Those in Rust are documentation tests.
const READ: [&str; 5] = ["json", "mermaid", "rust", "text", "toml"];

/// What is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let scratch = Scratch::new();
    let mut faults = Vec::new();
    for block in blocks(page) {
        if !block.note.starts_with(NOT_RUN) {
            faults.extend(
                check(&scratch, &block).into_iter().map(|fault| format!("line {}: {fault}", block.line)),
            );
        }
    }
    faults
}

fn check(scratch: &Scratch, block: &Block) -> Vec<String> {
    match block.language.as_str() {
        "yaml" if block.note == REFUSED => match yaml::wrong(&block.text) {
            Some(_) => Vec::new(),
            None => vec!["this YAML is said to be refused, and is not".to_owned()],
        },
        "yaml" => {
            let (refused, name) = match block.note.strip_prefix(REFUSED) {
                Some(name) => (true, name.trim()),
                None => (false, block.note.as_str()),
            };
            if !name.is_empty() {
                scratch.write(name, &block.text);
            }
            let wrong = yaml::wrong(&block.text);
            if refused == wrong.is_some() {
                Vec::new()
            } else {
                vec![wrong.unwrap_or_else(|| "is not refused".into())]
            }
        }
        // A program, in a file of that name.
        "python" if !block.note.is_empty() => {
            scratch.write_program(&block.note, &block.text);
            Vec::new()
        }
        "console" => commands(&block.text)
            .iter()
            .filter_map(|command| {
                let (code, said) = scratch.run(&command.line);
                if code != command.code {
                    Some(format!("`{}` exits with {code}, not {}:\n{said}", command.line, command.code))
                } else if !command.shown.trim().is_empty() && !fits(&command.shown, &said) {
                    Some(format!("`{}` does not say what is shown, but:\n{said}", command.line))
                } else {
                    None
                }
            })
            .collect(),
        // Each line is a command. One that waits for a person has done what the page says.
        "sh" => block
            .text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .filter_map(|line| {
                let (code, said) = scratch.run(line);
                (code != 0 && code != 9).then(|| format!("`{line}` exits with {code}:\n{said}"))
            })
            .collect(),
        language if READ.contains(&language) => Vec::new(),
        language => vec![format!("nobody knows what to do with a block in `{language}`")],
    }
}

#[test]
fn what_the_pages_show_holds() {
    let mut ran = 0;
    let mut all = Vec::new();
    for (path, page) in pages() {
        let runs = |block: &&Block| ["yaml", "console", "sh"].contains(&&*block.language);
        ran += blocks(&page).iter().filter(runs).count();
        all.extend(faults(&page).into_iter().map(|fault| format!("{path}: {fault}")));
    }
    assert_eq!(all, [""; 0], "{}", all.join("\n\n"));
    assert!(ran >= 20, "only {ran} blocks are run");
}

#[test]
fn what_is_not_run_is_counted() {
    let (mut counted, pages) = (Vec::new(), pages());
    for (path, page) in &pages {
        let left_out = blocks(page).iter().filter(|block| block.note.starts_with(NOT_RUN)).count();
        if left_out > 0 {
            counted.push((path.as_str(), left_out));
        }
    }
    assert_eq!(counted, LEFT_OUT);
}

#[test]
fn planted_faults_are_found() {
    for (page, least) in [
        ("```yaml\nsteps: { a: { rnu: x } }\n```\n", 1),
        ("```yaml refused\nsteps: { a: { run: x } }\n```\n", 1),
        ("```console\n$ echo a\nb\n```\n", 1),
        ("```console\n$ orchestrator validate nothing.yaml\n```\n", 1),
        ("```sh\nexit 3\necho x\nfalse\n```\n", 2),
        ("```python\nx\n```\n", 1),
    ] {
        assert_eq!(faults(page).len(), least, "{page}");
    }
    let good = "```yaml a.yaml\nsteps: { a: { run: x } }\n```\n```console\n$ orchestrator validate a.yaml\na.yaml: ok (1 step)\n```\n";
    assert_eq!(faults(good), [""; 0]);
}
