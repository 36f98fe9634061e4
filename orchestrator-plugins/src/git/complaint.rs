//! What git's complaints mean.

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;

use super::process::Ran;

/// The other side, or this machine, refuses.
const DENIED: [&str; 13] = [
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied",
    "access denied",
    "returned error: 401",
    "returned error: 403",
    "host key verification failed",
    "protected branch",
    "hook declined",
    "dubious ownership",
    "is currently checked out",
    "transport '",
];

/// It passes by itself.
const TRANSIENT: [&str; 18] = [
    "could not resolve",
    "connection refused",
    "connection timed out",
    "connection reset",
    "connection closed",
    "failed to connect",
    "couldn't connect",
    "could not connect",
    "unable to connect",
    "network is unreachable",
    "no route to host",
    "operation timed out",
    "temporary failure",
    "returned error: 429",
    "returned error: 5",
    ".lock': file exists",
    "no space left on device",
    "cannot fork",
];

/// It stays wrong.
const INVALID: [&str; 10] = [
    "not a git repository",
    "does not appear to be a git repository",
    "does not exist",
    "not found",
    "couldn't find remote ref",
    "did not match any file",
    "unknown revision",
    "ignored by one of your .gitignore",
    "returned error: 404",
    "is outside repository",
];

/// A line broke.
const BROKEN: [&str; 3] = ["early eof", "hung up unexpectedly", "rpc failed"];

/// The error of a git that has failed. `wanted` says what it was to do, and where.
pub(super) fn error(wanted: &str, ran: &Ran) -> StepError {
    let (class, said) = (class(&ran.stderr), gist(&ran.stderr));
    let said = match (said.is_empty(), ran.code) {
        (false, _) => said,
        (true, Some(code)) => format!("git ended with code {code} and said nothing"),
        (true, None) => "git was ended by a signal".to_owned(),
    };
    let hint = match class {
        ErrorClass::Denied if said.contains("dubious ownership") => {
            "; the folder belongs to another user: change its owner, or clone it anew"
        }
        ErrorClass::Denied if said.contains("ublickey") || said.contains("ost key") => {
            "; ssh asks nobody: is the key in the ssh agent, and the host known?"
        }
        ErrorClass::Denied if said.contains("terminal prompts") || said.contains("uthentication") => {
            "; give `auth: { token: … }` from a secret that may do this"
        }
        _ => "",
    };
    StepError::new(class, format!("{wanted}: {said}{hint}"))
}

fn class(stderr: &str) -> ErrorClass {
    let said = stderr.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if any(&TRANSIENT) {
        ErrorClass::Transient
    } else if any(&DENIED) {
        ErrorClass::Denied
    } else if any(&INVALID) {
        ErrorClass::Invalid
    } else if any(&BROKEN) {
        ErrorClass::Transient
    } else {
        ErrorClass::Failed
    }
}

/// The first lines that say what is wrong, in one.
fn gist(stderr: &str) -> String {
    const GENERAL: [&str; 4] =
        ["hint: ", "Please make sure", "and the repository exists", "Could not read from remote"];
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = lines.filter(|line| !GENERAL.iter().any(|general| line.starts_with(general)));
    let bare = telling.map(|line| {
        let line = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
        line.chars().take(300).collect::<String>()
    });
    bare.filter(|line| !line.starts_with("Cloning into") && !line.starts_with("To "))
        .take(4)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_have_a_class() {
        for (said, expected) in [
            ("fatal: Authentication failed for 'https://a/'", ErrorClass::Denied),
            ("fatal: could not read Username for 'https://a': terminal prompts disabled", ErrorClass::Denied),
            (
                "git@a: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
                ErrorClass::Denied,
            ),
            (
                "fatal: unable to access 'https://a/': The requested URL returned error: 403",
                ErrorClass::Denied,
            ),
            (
                "fatal: unable to access 'https://a/': The requested URL returned error: 503",
                ErrorClass::Transient,
            ),
            ("fatal: unable to access 'https://a/': Could not resolve host: a", ErrorClass::Transient),
            ("ssh: connect to host a port 22: Connection refused", ErrorClass::Transient),
            ("fatal: Unable to create '/a/.git/index.lock': File exists.", ErrorClass::Transient),
            ("fatal: repository 'https://a/' not found", ErrorClass::Invalid),
            ("fatal: pathspec 'x' did not match any files", ErrorClass::Invalid),
            ("error: RPC failed; curl 18\nfatal: early EOF", ErrorClass::Transient),
            ("error: Your local changes would be overwritten", ErrorClass::Failed),
        ] {
            assert_eq!(class(said), expected, "{said}");
        }
    }

    #[test]
    fn the_gist_is_what_went_wrong() {
        let said =
            "Cloning into 'x'...\nfatal: repository 'x' does not exist\n\nPlease make sure you have it\n";
        assert_eq!(gist(said), "repository 'x' does not exist");
    }
}
