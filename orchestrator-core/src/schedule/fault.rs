//! What is wrong with a cron expression, and what would be right.

use std::ops::RangeInclusive;

use super::cron::MAX_CRON;

/// Why something is no schedule: as a message, with a way out in [`CronFault::hint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronFault {
    /// So many fields.
    #[error("a cron expression has five fields, or six with the second first; this one has {0}")]
    Fields(usize),
    /// A word with `@` that means no time of day.
    #[error("`{0}` is not a time at which runs can be started")]
    Nickname(String),
    /// One of its fields.
    #[error("`{text}` is not {field}")]
    Field {
        /// What is meant to stand there: `a minute`.
        field: &'static str,
        /// What stands there.
        text: String,
        /// The least and the greatest number.
        range: (u8, u8),
    },
    /// All of it.
    #[error("this is not a cron expression: {0}")]
    Expression(String),
    /// It can be read, and no calendar ever has such a day.
    #[error("there is no such day in any year, so it would never start a run")]
    Never,
    /// More bytes than any has.
    #[error("a cron expression has at most {MAX_CRON} bytes")]
    TooLong,
    /// The zone.
    #[error("there is no time zone `{zone}`")]
    Zone {
        /// As it was written.
        zone: String,
        /// One that may be meant.
        meant: Option<String>,
    },
}

/// The fields from the last to the first, which may be missing.
const FIELDS: [(&str, RangeInclusive<u8>); 6] = [
    ("a day of the week", 0..=7),
    ("a month", 1..=12),
    ("a day of the month", 1..=31),
    ("an hour", 0..=23),
    ("a minute", 0..=59),
    ("a second", 0..=59),
];

impl CronFault {
    /// What would be right.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Nickname(_) => {
                "write @hourly, @daily, @weekly, @monthly or @yearly, or five fields such as `0 9 * * 1-5`"
                    .into()
            }
            Self::Field { range: (least, most), .. } => {
                format!(
                    "write numbers from {least} to {most}, lists `1,2`, ranges `1-5`, steps `*/5`, or `*`"
                )
            }
            Self::Never => "February has 29 days at most, and four months have 30".into(),
            Self::Zone { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            Self::Zone { .. } => "write a name such as UTC, Europe/Berlin or America/New_York".into(),
            Self::Fields(_) | Self::Expression(_) | Self::TooLong => {
                "write minute, hour, day of the month, month, day of the week, such as `0 9 * * 1-5`".into()
            }
        }
    }

    /// Finds the field that is at fault in an expression that cannot be read: the one with which it cannot be read even if
    /// all others are `*`.
    pub(super) fn of_field(expression: &str, why: &str, can_be_read: impl Fn(&str) -> bool) -> Self {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        for (at, text) in fields.iter().enumerate() {
            let alone: Vec<&str> = (0..fields.len()).map(|ix| if ix == at { *text } else { "*" }).collect();
            if !can_be_read(&alone.join(" "))
                && let Some((field, range)) = FIELDS.get(fields.len() - 1 - at)
            {
                let range = (*range.start(), *range.end());
                return Self::Field { field, text: (*text).to_owned(), range };
            }
        }
        Self::Expression(why.trim_end_matches('.').to_owned())
    }
}
