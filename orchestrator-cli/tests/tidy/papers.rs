//! The pages: the README, the guides, the licences.

use std::path::{Component, Path, PathBuf};

use crate::Fault;
use crate::markdown::{anchors, blocks, links};
use crate::workspace::{Workspace, walk};

/// Files that must be there.
const NEEDED: [&str; 7] = [
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "docs/ARCHITECTURE.md",
    "docs/CONTRIBUTING.md",
    "orchestrator-core/README.md",
];

pub(crate) fn check(house: &Workspace) -> Vec<Fault> {
    let missing = NEEDED.iter().filter(|path| house.file(path).is_none());
    let mut faults: Vec<Fault> = missing.map(|path| format!("{path} is missing")).collect();
    let page = |path: &str| house.file(path).unwrap_or_default();
    if !page("orchestrator-core/src/lib.rs").contains("#![doc = include_str!(\"../README.md\")]") {
        faults.push(
            "orchestrator-core/src/lib.rs does not include README.md: nothing compiles its program".into(),
        );
    }
    faults.extend(same_program(&page("README.md"), &page("orchestrator-core/README.md")));
    let mut pages = Vec::new();
    walk(&house.root, &mut |path| {
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(house.relative(path));
        }
    });
    let read = |path: &str| house.file(path);
    let exists = |path: &str| house.root.join(path).exists();
    for path in &pages {
        faults.extend(dead_links(path, &page(path), &read, &exists));
    }
    faults
}

/// The host program of the README is the one that is compiled: a documentation test of core.
fn same_program(readme: &str, compiled: &str) -> Vec<Fault> {
    let program =
        |page: &str| blocks(page).into_iter().find(|block| block.language == "rust").map(|block| block.text);
    match (program(readme), program(compiled)) {
        (Some(shown), Some(compiled)) if shown == compiled => Vec::new(),
        (Some(_), Some(_)) => {
            vec!["README.md: its host program is not the one in orchestrator-core/README.md, which is compiled".into()]
        }
        _ => vec![
            "README.md and orchestrator-core/README.md both show the host program in a `rust` block".into(),
        ],
    }
}

/// Links to files and headings that are not there.
fn dead_links(
    path: &str,
    page: &str,
    read: &impl Fn(&str) -> Option<String>,
    exists: &impl Fn(&str) -> bool,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (line, target) in links(page) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let file = if file.is_empty() { path.to_owned() } else { beside(path, file) };
        if !exists(&file) {
            faults.push(format!("{path}:{line}: there is no file {file}"));
        } else if !anchor.is_empty()
            && !anchors(&read(&file).unwrap_or_default()).iter().any(|found| found == anchor)
        {
            faults.push(format!("{path}:{line}: {file} has no heading #{anchor}"));
        }
    }
    faults
}

/// A path relative to a page, from the root.
fn beside(page: &str, target: &str) -> String {
    let mut path = PathBuf::from(page);
    path.pop();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => _ = path.pop(),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn a_host_program_that_nobody_compiles_is_caught() {
        let page = |code: &str| format!("text\n```rust\n{code}\n```\n");
        assert_eq!(same_program(&page("a"), &page("a")), [""; 0]);
        assert_eq!(same_program(&page("a"), &page("b")).len(), 1);
        assert_eq!(same_program("", &page("b")).len(), 1);
    }

    #[test]
    fn dead_links_are_caught() {
        let read = |path: &str| (path == "docs/b.md").then(|| "# One two\n".to_owned());
        let exists = |path: &str| matches!(path, "docs/b.md" | "README.md");
        let check = |page: &str| dead_links("docs/a.md", page, &read, &exists);
        assert_eq!(check("[a](b.md) [b](../README.md) [c](b.md#one-two) [d](https://example.org)"), [""; 0]);
        for page in ["[a](c.md)", "[a](README.md)", "[a](b.md#three)", "[a](#here)"] {
            assert_eq!(check(page).len(), 1, "{page}");
        }
    }
}
