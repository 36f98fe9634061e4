//! Names of branches, wherever they are given.

/// The longest name, in bytes. A file system bounds those of branches to about this.
pub(crate) const LONGEST: usize = 250;

/// What is wrong with it, whatever it is the name of.
pub(crate) fn of_any(name: &str) -> Option<&'static str> {
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
pub(crate) fn check(name: &str) -> Result<(), String> {
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

/// A text for a message: bounded, in one line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_named_as_git_names_them() {
        for name in ["main", "feature/a", "a-b_c.d", "é", "v1.0", "a@b"] {
            assert_eq!(check(name), Ok(()), "{name}");
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
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
