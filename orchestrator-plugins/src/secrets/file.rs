//! Secrets in files.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use orchestrator_core::port::secret::{LONGEST, Secret, SecretError, SecretProvider};

/// The longest file of `NAME=VALUE` lines, in bytes: 1 MiB.
const FILE_LIMIT: u64 = 1 << 20;

/// Takes secrets from a file of `NAME=VALUE` lines, or from a folder that holds a file `NAME` for each secret, as Docker
/// and Kubernetes mount them. What is not there yet when it is asked holds no secrets.
///
/// In a file, blank lines and lines that begin with `#` are skipped, `export ` before a name is allowed, and a value may
/// stand in single quotes (as it is) or double quotes (`\n`, `\"`, `\\`, `\t` and `\r` are escapes; it may go on over
/// several lines).
///
/// A file that others than its owner can read is refused, except in a folder: mounted secrets have the mode that the
/// cluster gives them, and only the folder decides who gets there.
#[derive(Debug, Clone)]
pub struct FileSecrets {
    path: PathBuf,
}

impl FileSecrets {
    /// Reads this file, or the files of this folder, whenever a secret is asked for.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn read(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        let folder = self.path.is_dir();
        let path = if folder { self.path.join(name) } else { self.path.clone() };
        let limit = if folder { LONGEST as u64 + 2 } else { FILE_LIMIT };
        let Some(text) = contents(&path, limit, !folder)? else { return Ok(None) };
        if folder {
            return Ok(Some(Secret::new(super::trimmed(&text).to_owned())));
        }
        let found = value_of(&text, name);
        found.map_err(|(line, why)| SecretError::Refused(format!("{}:{line}: {why}", path.display())))
    }
}

fn contents(path: &Path, limit: u64, private: bool) -> Result<Option<String>, SecretError> {
    let refused = |why: &dyn std::fmt::Display| SecretError::Refused(format!("{}: {why}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&error)),
    };
    if private {
        check_mode(&file, path)?;
    }
    let mut text = String::new();
    file.take(limit + 1).read_to_string(&mut text).map_err(|error| refused(&error))?;
    if text.len() as u64 > limit {
        return Err(refused(&format!("it is longer than {limit} bytes")));
    }
    Ok(Some(text))
}

#[cfg(unix)]
fn check_mode(file: &std::fs::File, path: &Path) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata =
        file.metadata().map_err(|error| SecretError::Refused(format!("{}: {error}", path.display())))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(SecretError::Refused(format!(
        "others can read {path} (its mode is {mode:04o}); run: chmod 600 {path}"
    )))
}

#[cfg(not(unix))]
fn check_mode(_: &std::fs::File, _: &Path) -> Result<(), SecretError> {
    Ok(())
}

/// The value of a name, of several the last; or the line that is wrong, and why. The text itself is in no message.
fn value_of(text: &str, name: &str) -> Result<Option<Secret>, (usize, &'static str)> {
    let mut found = None;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let entry = line.trim_start();
        let entry = entry.strip_prefix("export ").unwrap_or(entry).trim_start();
        if entry.trim().is_empty() || entry.starts_with('#') {
            rest = after;
            continue;
        }
        let Some((key, _)) = entry.split_once('=') else {
            return Err((number, "expected NAME=VALUE"));
        };
        // A quoted value may go on behind the end of this line.
        let from = rest.len() - after.len() - usize::from(rest.len() > line.len());
        let begin = from - (entry.len() - key.len() - 1);
        let (value, used) =
            value(&rest[begin..]).ok_or((number, "the quotes of this value are never closed"))?;
        let (value_text, behind) = rest[begin..].split_at(used);
        let (tail, next) = behind.split_once('\n').unwrap_or((behind, ""));
        if !tail.trim().is_empty() && !tail.trim_start().starts_with('#') {
            return Err((number, "something stands behind the value's quotes"));
        }
        number += value_text.matches('\n').count();
        if key.trim_end() == name {
            found = Some(Secret::new(value));
        }
        rest = next;
    }
    Ok(found)
}

/// The value at the beginning of a text, and how many bytes it takes; `None` if its quotes are never closed.
fn value(text: &str) -> Option<(String, usize)> {
    let skipped = text.len() - text.trim_start_matches([' ', '\t']).len();
    let text = &text[skipped..];
    if let Some(inside) = text.strip_prefix('\'') {
        let end = inside.find('\'')?;
        return Some((inside[..end].to_owned(), skipped + end + 2));
    }
    let Some(inside) = text.strip_prefix('"') else {
        let line = text.split('\n').next().unwrap_or_default();
        return Some((line.trim_end().to_owned(), skipped + line.len()));
    };
    let mut value = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, skipped + at + 2)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

#[async_trait]
impl SecretProvider for FileSecrets {
    async fn fetch(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        let (own, name) = (self.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || own.read(&name)).await;
        // Reading does not panic.
        read.unwrap_or_else(|error| Err(SecretError::Unavailable(error.to_string())))
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_dir() {
            return format!("the file {}", self.path.join(name).display());
        }
        format!("{name} in the file {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str, name: &str) -> Result<Option<String>, (usize, &'static str)> {
        value_of(text, name).map(|found| found.map(|secret| secret.reveal().to_owned()))
    }

    #[test]
    fn lines_give_values() {
        let text = "# all\n\nA=one\nexport B = 'it is $A # not' # note\n C=\"two\\nlines \\\"q\\\"\nand more\"\nD=x=y z \nA=last\nE=\n";
        let expected = [
            ("A", Some("last")),
            ("B", Some("it is $A # not")),
            ("C", Some("two\nlines \"q\"\nand more")),
            ("D", Some("x=y z")),
            ("E", Some("")),
            ("F", None),
        ];
        for (name, value) in expected {
            assert_eq!(get(text, name).unwrap().as_deref(), value, "{name}");
            assert_eq!(get(&text.replace('\n', "\r\n"), "D").unwrap().as_deref(), Some("x=y z"));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_text() {
        assert_eq!(get("A=1\nsecret stuff\n", "A"), Err((2, "expected NAME=VALUE")));
        assert_eq!(get("A=\"x\ny\"\nB='z\n", "A"), Err((3, "the quotes of this value are never closed")));
        assert_eq!(get("A='x' y\n", "A"), Err((1, "something stands behind the value's quotes")));
    }
}
