//! Commands that are printed to be typed.

use std::borrow::Cow;
use std::path::PathBuf;

use orchestrator_core::id::RunId;

use crate::settings::{Origin, Settings};
use crate::store::masked;

/// Prints commands that work where the user is: with the program as it was called, and with the flags that made this
/// call find its store.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    program: String,
    flags: String,
}

impl Shell {
    /// For this process; `config` and `plugins` are what flags say.
    pub(crate) fn new(settings: &Settings, config: Option<&PathBuf>, plugins: &[String]) -> Self {
        // Called by path (as `cargo run` does), it may not be in the search path.
        let called = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
        let program = called
            .filter(|name| name.contains('/'))
            .map_or_else(|| "orchestrator".to_owned(), |name| quoted(&name).into_owned());
        let mut flags = String::new();
        if let Some(path) = config {
            flags.push_str(&format!(" --config {}", quoted(&path.display().to_string())));
        }
        for path in plugins {
            flags.push_str(&format!(" --plugin {}", quoted(path)));
        }
        let store = settings.store();
        // A variable of this terminal is not set in the next one. A password is not repeated.
        if matches!(store.origin, Origin::Flag(_) | Origin::Env(_)) {
            flags.push_str(&format!(" --store {}", quoted(&masked(&store.value))));
        }
        if let Some(bell) = settings.bell()
            && matches!(bell.origin, Origin::Flag(_) | Origin::Env(_))
        {
            flags.push_str(&format!(" --bell {}", quoted(&masked(&bell.value))));
        }
        Self { program, flags }
    }

    /// `orchestrator WORDS`.
    pub(crate) fn command(&self, words: &str) -> String {
        format!("{} {words}{}", self.program, self.flags)
    }

    /// `orchestrator runs VERB RUN`.
    pub(crate) fn runs(&self, verb: &str, run: RunId) -> String {
        self.command(&format!("runs {verb} {run}"))
    }

    /// `orchestrator approval VERB RUN STEP`.
    pub(crate) fn approval(&self, verb: &str, run: RunId, step: &str) -> String {
        self.command(&format!("approval {verb} {run} {}", quoted(step)))
    }

    /// `orchestrator queue resume QUEUE`.
    pub(crate) fn resume_queue(&self, queue: &str) -> String {
        self.command(&format!("queue resume {}", quoted(queue)))
    }
}

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("sqlite:a/b.db"), "sqlite:a/b.db");
        assert_eq!(quoted("it's here"), "'it'\\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
