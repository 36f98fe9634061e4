//! What a step tells people while it runs.

use serde::{Deserialize, Serialize};

use crate::mask::Mask;

/// How urgent a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// Good to know.
    #[default]
    Info,
    /// Someone should look at it.
    Warning,
    /// Something is wrong.
    Error,
}

impl Level {
    /// The word that authors write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that a step tells people: shown to whoever watches the run, and kept among the lines of the step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notice {
    /// How urgent it is.
    pub level: Level,
    /// A few words above the message.
    pub title: Option<String>,
    /// What is told; may have several lines.
    pub message: String,
}

impl Notice {
    /// The same without any value that must not be shown.
    #[must_use]
    pub fn masked(&self, mask: &Mask) -> Self {
        let text = |text: &String| mask.text(text).into_owned();
        Self { level: self.level, title: self.title.as_ref().map(text), message: text(&self.message) }
    }

    /// The lines as they are kept: `warning: TITLE: MESSAGE`, without the level where it is `info`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let level = match self.level {
            Level::Info => String::new(),
            level => format!("{}: ", level.as_str()),
        };
        let title = self.title.as_ref().map(|title| format!("{title}: ")).unwrap_or_default();
        let mut head = Some(level + &title);
        let lines: Vec<String> =
            self.message.lines().map(|line| head.take().unwrap_or_default() + line).collect();
        lines.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_how_urgent_it_is() {
        let notice = Notice {
            level: Level::Warning,
            title: Some("Disk".to_owned()),
            message: "full\nsoon".to_owned(),
        };
        assert_eq!(notice.lines().collect::<Vec<_>>(), ["warning: Disk: full", "soon"]);
        let notice = Notice { message: "done".to_owned(), ..Notice::default() };
        assert_eq!(notice.lines().collect::<Vec<_>>(), ["done"]);
    }
}
