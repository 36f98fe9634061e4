//! Why an executable brings no kinds of steps.

use std::error::Error;
use std::fmt;

/// An executable that is no plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAPlugin {
    pub(super) program: String,
    pub(super) wrong: Vec<String>,
}

impl NotAPlugin {
    /// A program of which something cannot even be tried.
    #[must_use]
    pub fn new(program: impl Into<String>, why: impl Into<String>) -> Self {
        Self { program: program.into(), wrong: vec![why.into()] }
    }

    /// The program as it was named.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// All that is wrong; what is wrong with what it says of itself begins with its place:
    /// `kinds[0].config_schema.properties.x.type: …`.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }
}

impl fmt::Display for NotAPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no plugin: {}", self.program, self.wrong.join("; "))
    }
}

impl Error for NotAPlugin {}
