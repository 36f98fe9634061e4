//! Names that reach git as arguments. None may be taken for an option, whatever git thinks of it.

use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;

use crate::branch::{LONGEST, of_any};
pub(super) use crate::branch::{check as branch, shown};
use crate::config::invalid;

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

#[cfg(test)]
mod tests {
    use super::*;

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
