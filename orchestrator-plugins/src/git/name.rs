//! Names that reach git as arguments. None may be taken for an option, whatever git thinks of it.

use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;

use crate::config::invalid;

/// The longest name, in bytes. A file system bounds those of branches to about this.
const LONGEST: usize = 250;

/// What is wrong with it, whatever it is the name of.
fn of_any(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > LONGEST {
        Some("it is longer than 250 bytes")
    } else if name.starts_with('-') {
        Some("a name that begins with `-` would be an option")
    } else {
        None
    }
}

/// Checks the name of a branch: the rules of `git check-ref-format --branch`, and a few more.
///
/// # Errors
/// What is wrong with it.
pub(super) fn branch(name: &str) -> Result<(), String> {
    let parts = || name.split('/');
    let problem = if let Some(problem) = of_any(name) {
        problem
    } else if name.starts_with("refs/") {
        "give the name alone, without `refs/heads/`"
    } else if matches!(name, "HEAD" | "@") {
        "that is where one is, not a branch"
    } else if name.contains(|c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c)) {
        "none of its characters may be a space, a control character or one of ~ ^ : ? * [ \\"
    } else if name.contains("..") || name.contains("@{") {
        "`..` and `@{` have a meaning of their own"
    } else if parts().any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
        "no part between slashes may be empty, begin with a dot or end with `.lock`"
    } else if name.ends_with('.') {
        "it ends with a dot"
    } else {
        return Ok(());
    };
    Err(format!("`{}` cannot be the name of a branch: {problem}", shown(name)))
}

/// Checks the name of a commit: anything that `git rev-parse` takes, and no option.
///
/// # Errors
/// What is wrong with it.
pub(super) fn revision(name: &str) -> Result<(), String> {
    let problem = if let Some(problem) = of_any(name) {
        problem
    } else if name.contains(|c: char| c.is_ascii_control()) {
        "it holds a control character"
    } else if name.contains("..") {
        "one commit is meant, not a range"
    } else {
        return Ok(());
    };
    Err(format!("`{}` cannot be the name of a commit: {problem}", shown(name)))
}

/// Whether a text is the name of a remote, and not an address.
pub(super) fn is_remote(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !text.contains("..")
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Checks a name or an address of an author, which must not break out of its place in a commit.
///
/// # Errors
/// What is wrong with it.
pub(super) fn person(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is blank".to_owned());
    }
    match text.contains(|c: char| c.is_control() || "<>".contains(c)) {
        true => Err(format!("`{}` holds a line end, a control character, `<` or `>`", shown(text))),
        false => Ok(()),
    }
}

/// A path of the author's, made absolute: no option begins with a slash.
///
/// # Errors
/// Class `invalid`, where it is no path that git could be given.
pub(super) fn place(folder: &Path, key: &str, path: &str) -> Result<PathBuf, StepError> {
    if path.is_empty() || path.contains('\0') {
        return Err(invalid(format!("`{key}`: the path is empty or holds a NUL character")));
    }
    std::path::absolute(folder.join(path)).map_err(|error| invalid(format!("`{key}`: {path}: {error}")))
}

/// A path as an argument.
///
/// # Errors
/// Class `invalid`, where it is not UTF-8.
pub(super) fn argument(path: &Path) -> Result<&str, StepError> {
    path.to_str().ok_or_else(|| invalid(format!("the path {} is not valid UTF-8", path.display())))
}

/// A text for a message: bounded, in one line.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_named_as_git_names_them() {
        for name in ["main", "feature/a", "a-b_c.d", "é", "v1.0", "a@b"] {
            assert_eq!(branch(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "-a",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\nb",
            "a\0b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a@{1}",
            "@",
            "HEAD",
            "refs/heads/a",
        ] {
            assert!(branch(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn commits_and_remotes_are_no_options() {
        for name in ["HEAD~1", "main", "v1^{commit}", "a1b2c3", "origin/main", ":/fix"] {
            assert_eq!(revision(name), Ok(()), "{name}");
        }
        for name in ["", "-x", "--output=/tmp/x", "a\nb", "a..b"] {
            assert!(revision(name).is_err(), "{name:?}");
        }
        assert!(is_remote("origin") && is_remote("up.stream-2"));
        for name in ["", "-o", "a/b", "a:b", "ext::x", "..", "a b"] {
            assert!(!is_remote(name), "{name:?}");
        }
    }
}
