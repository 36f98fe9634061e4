//! Reads the workspace: its sources, and what cargo knows of its crates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::source::Source;

/// The workspace as it is on disk.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Every Rust file of every crate.
    pub(crate) sources: Vec<Source>,
}

impl Workspace {
    pub(crate) fn read() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the root is there");
        let mut house = Self { root, sources: Vec::new() };
        house.read_sources();
        house
    }

    /// The folders of the crates.
    pub(crate) fn members(&self) -> Vec<String> {
        members(&self.file("Cargo.toml").unwrap_or_default())
    }

    fn read_sources(&mut self) {
        let mut found = Vec::new();
        for folder in self.members() {
            walk(&self.root.join(folder), &mut |path| {
                if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(Source::new(&self.relative(path), &text(path)));
                }
            });
        }
        let declared: Vec<String> = found.iter().flat_map(Source::test_files).collect();
        for source in &mut found {
            let stem = source.path.trim_end_matches(".rs");
            let is_declared = |file: &String| stem == file || stem.starts_with(&format!("{file}/"));
            source.is_test |= declared.iter().any(is_declared);
        }
        self.sources = found;
    }

    /// What `cargo metadata` says of this platform: crates of others need not be on this machine.
    pub(crate) fn metadata(&self) -> Value {
        let host = output(Command::new("rustc").arg("-vV"));
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
        let args = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host];
        let metadata: Value = serde_json::from_str(&self.cargo(&args)).expect("cargo metadata is JSON");
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let ours = packages.filter(|package| package["source"].is_null()).count();
        assert_eq!(ours, self.members().len(), "cargo knows the same crates");
        metadata
    }

    fn cargo(&self, args: &[&str]) -> String {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        output(Command::new(cargo).args(args).current_dir(&self.root))
    }

    /// A path from the root, with `/`.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// A file of the workspace; `None` if it is not there.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// The names and versions of all crates that building `package` for a host program takes.
    pub(crate) fn tree_of(&self, package: &str) -> Vec<String> {
        let args =
            ["tree", "--package", package, "--edges", "no-dev", "--prefix", "none", "--locked", "--offline"];
        let tree = self.cargo(&args);
        let mut crates: Vec<String> =
            tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        crates.sort_unstable();
        crates.dedup();
        crates
    }
}

/// The `members` of a workspace's manifest.
fn members(manifest: &str) -> Vec<String> {
    let list = manifest.split_once("\nmembers = [").and_then(|(_, rest)| rest.split_once(']'));
    let entries = list.map_or("", |(list, _)| list).split(',').map(|entry| entry.trim().trim_matches('"'));
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Visits every file below a folder, without what is built or hidden.
pub(crate) fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort_unstable();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() {
            visit(&path);
        } else if !matches!(&*name, "target" | "out") && !name.starts_with('.') {
            walk(&path, visit);
        }
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

#[test]
fn members_are_read_from_the_manifest() {
    let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\n    \"a\",\n    \"b/c\",\n]\ndefault-members = [\"a\"]\n";
    assert_eq!(members(manifest), ["a", "b/c"]);
}
