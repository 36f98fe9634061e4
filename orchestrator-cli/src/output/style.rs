//! Colours and symbols, where the terminal takes them.

use std::fmt;
use std::io::IsTerminal;

/// How one stream is written to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
    unicode: bool,
}

/// The colours there are. Meaning, not taste.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tint {
    Good,
    Bad,
    Warn,
    Active,
    Dim,
    Strong,
}

/// A text in a colour.
#[derive(Debug)]
pub(crate) struct Tinted<'a> {
    text: &'a str,
    code: Option<&'static str>,
}

impl fmt::Display for Tinted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\u{1b}[{code}m{}\u{1b}[0m", self.text),
            None => f.write_str(self.text),
        }
    }
}

impl Style {
    /// For a stream: colours only on a terminal that can show them and where `NO_COLOR` is not set.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { colour: stream.is_terminal() && !set("NO_COLOR") && !dumb, unicode: speaks_utf8() }
    }

    /// Symbols without colours: for files.
    pub(crate) const fn unicode() -> Self {
        Self { colour: false, unicode: true }
    }

    /// The same without colours.
    pub(crate) const fn without_colour(&self) -> Self {
        Self { colour: false, unicode: self.unicode }
    }

    /// Neither colours nor symbols.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { colour: false, unicode: false }
    }

    /// `text` in a colour.
    pub(crate) const fn tint<'a>(&self, tint: Tint, text: &'a str) -> Tinted<'a> {
        let code = match tint {
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Warn => "33",
            Tint::Active => "36",
            Tint::Dim => "2",
            Tint::Strong => "1",
        };
        Tinted { text, code: if self.colour { Some(code) } else { None } }
    }

    /// A status in the colour of its meaning.
    pub(crate) fn status<'a>(&self, status: &'a str) -> Tinted<'a> {
        self.tint(tint_of(status), status)
    }

    /// Whether colours are written.
    pub(crate) const fn has_colour(&self) -> bool {
        self.colour
    }

    /// One of two spellings: for terminals that show Unicode, and for the others.
    pub(crate) const fn either(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// The mark before a step that has ended, or waits.
    pub(crate) fn mark(&self, status: &str) -> Tinted<'_> {
        self.tint(tint_of(status), self.bare_mark(status))
    }

    /// The same mark without its colour. Each state has one that tells it from the others.
    pub(crate) fn bare_mark(&self, status: &str) -> &'static str {
        match status {
            "completed" | "ok" | "approved" => self.either("✔", "+"),
            "failed" | "rejected" => self.either("✘", "x"),
            "cancelled" => self.either("■", "#"),
            "skipped" | "pending" | "void" => self.either("○", "-"),
            "waiting" | "needs_qa" | "blocked" | "paused" | "outcome_unknown" | "open" => {
                self.either("◆", "?")
            }
            "warn" => self.either("▲", "!"),
            _ => self.either("●", "*"),
        }
    }
}

/// The colour of a status.
pub(crate) fn tint_of(status: &str) -> Tint {
    match status {
        "completed" | "ok" | "approved" => Tint::Good,
        "failed" | "rejected" => Tint::Bad,
        "running" | "claimed" => Tint::Active,
        "waiting" | "needs_qa" | "blocked" | "paused" | "outcome_unknown" | "cancelled" | "warn" | "open" => {
            Tint::Warn
        }
        _ => Tint::Dim,
    }
}

/// Whether the locale says that the terminal reads UTF-8.
fn speaks_utf8() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_string_lossy().to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}
