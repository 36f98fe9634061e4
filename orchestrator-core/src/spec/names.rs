//! What may be called what.

/// The longest name of a step, an input, an output.
const MAX_NAME: usize = 64;

/// The pattern that messages show.
pub(super) const PATTERN: &str = "[A-Za-z_][A-Za-z0-9_]{0,63}";

/// Whether a step, an input or an output may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.len() <= MAX_NAME && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a workflow may have this name: 1 to 100 letters, digits, `_`, `-`, `.` and single inner spaces.
pub(super) fn is_workflow_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    (1..=100).contains(&name.chars().count())
        && name.chars().all(allowed)
        && name.trim() == name
        && !name.contains("  ")
        && !name.starts_with('.')
}

/// Why an environment variable cannot be set by a workflow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EnvFault {
    /// It is no name of a variable: letters, digits and `_`, not beginning with a digit.
    Invalid,
    /// It changes which code is loaded or executed, or belongs to the engine.
    Forbidden,
}

/// Variables that change which code a process loads or executes before its first own line, and those of the engine.
/// A script that wants one of them can set it itself, where a reader of the script sees it.
const FORBIDDEN: [&str; 18] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
];

const FORBIDDEN_PREFIXES: [&str; 5] = ["LD_", "DYLD_", "BASH_FUNC_", "GIT_", "ORCHESTRATOR_"];

/// What of git's is harmless: who is named in a commit, and no questions asked.
const ALLOWED_PREFIXES: [&str; 3] = ["GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_TERMINAL_PROMPT"];

/// Checks the name of an environment variable.
pub(super) fn check_env(name: &str) -> Result<(), EnvFault> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !first || name.len() > 256 || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(EnvFault::Invalid);
    }
    let upper = name.to_ascii_uppercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| upper.starts_with(prefix));
    if FORBIDDEN.contains(&&*upper) || (begins(&FORBIDDEN_PREFIXES) && !begins(&ALLOWED_PREFIXES)) {
        return Err(EnvFault::Forbidden);
    }
    Ok(())
}

/// Whether a text looks like it holds a credential.
pub(super) fn looks_like_secret(text: &str) -> bool {
    /// How a credential begins, and how many characters of the alphabet of credentials follow at least.
    const MARKS: [(&str, usize); 13] = [
        ("sk-", 20),
        ("sk_live_", 16),
        ("AKIA", 16),
        ("ASIA", 16),
        ("ghp_", 30),
        ("gho_", 30),
        ("ghs_", 30),
        ("github_pat_", 30),
        ("glpat-", 20),
        ("xoxb-", 20),
        ("xoxp-", 20),
        ("AIza", 30),
        ("hf_", 30),
    ];
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.len() < 16 {
        return false;
    }
    text.contains("PRIVATE KEY-----")
        || MARKS.iter().any(|(mark, least)| {
            text.match_indices(mark).any(|(at, _)| {
                let begins = at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
                let tail = &text.as_bytes()[at + mark.len()..];
                begins && tail.iter().take_while(|byte| belongs(**byte)).take(*least).count() == *least
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_names() {
        for name in ["COUNT", "_x", "http_proxy", "GIT_AUTHOR_NAME", "GIT_TERMINAL_PROMPT", "HOME", "LANG"] {
            assert_eq!(check_env(name), Ok(()), "{name}");
        }
        for name in ["", "A=B", "A\0", "1A", "A B", "A-B", "é"] {
            assert_eq!(check_env(name), Err(EnvFault::Invalid), "{name}");
        }
        for name in ["LD_PRELOAD", "ld_preload", "PATH", "GIT_SSH_COMMAND", "BASH_ENV", "ORCHESTRATOR_RUN_ID"]
        {
            assert_eq!(check_env(name), Err(EnvFault::Forbidden), "{name}");
        }
    }

    #[test]
    fn credentials_are_recognised_and_words_are_not() {
        for text in
            ["token: sk-abcdefghij0123456789", "AKIAABCDEFGHIJKLMNOP", "-----BEGIN RSA PRIVATE KEY-----"]
        {
            assert!(looks_like_secret(text), "{text}");
        }
        for text in ["task-list for the week ahead", "risk-assessment-of-everything", "AKIA", "ghp_short"] {
            assert!(!looks_like_secret(text), "{text}");
        }
    }
}
