//! How a queue is opened.

use std::time::Duration;

use orchestrator_core::port::queue::{MAX_LETTERS, QueueError};

/// The longest prefix of keys, in bytes.
pub const MAX_PREFIX: usize = 100;

/// How a queue is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What all keys begin with, and the channel on which is told that there is something; a `:` is put behind it. Queues
    /// with one prefix, on one database, are one; no other may have one that begins with this and a `:`. 1 to [`MAX_PREFIX`] letters, digits, `_`, `-`, `.`, `:`, `{` and `}` of
    /// ASCII. Default: `orchestrator`.
    pub prefix: String,
    /// How many tickets there may be; what would be more is refused, as long as it is. Default: a million, which takes
    /// about half a gigabyte.
    pub capacity: u64,
    /// How many dead letters there may be of each queue: the oldest go first. 0: none are kept, and none is buried. Default:
    /// [`MAX_LETTERS`].
    pub letters: u32,
    /// How long opening a connection may take, and how long an answer. Default: 5 s.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: "orchestrator".to_owned(),
            capacity: 1_000_000,
            letters: MAX_LETTERS,
            answer_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// The same, with another prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same, with room for so many tickets.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: u64) -> Self {
        self.capacity = capacity;
        self
    }

    /// The same, with room for so many dead letters of each queue.
    #[must_use]
    pub const fn with_letters(mut self, letters: u32) -> Self {
        self.letters = letters;
        self
    }

    /// The same, with so much patience.
    #[must_use]
    pub const fn with_answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.answer_timeout = answer_timeout;
        self
    }

    /// Refuses what no queue can be opened with.
    pub(crate) fn require_fit(&self) -> Result<(), QueueError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:{}".contains(&byte);
        let fits = (1..=MAX_PREFIX).contains(&self.prefix.len()) && self.prefix.bytes().all(is_plain);
        if !fits {
            return Err(QueueError::Invalid(format!(
                "the prefix of keys is 1 to {MAX_PREFIX} letters, digits, `_`, `-`, `.`, `:`, `{{` and `}}`"
            )));
        }
        if self.answer_timeout.is_zero() {
            return Err(QueueError::Invalid("no answer comes in no time".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_held_to_what_it_may_be() {
        let fits = |prefix: &str| Options::default().with_prefix(prefix).require_fit().is_ok();
        assert!(Options::default().require_fit().is_ok());
        assert!(fits("{a}:b-c_D.1") && fits(&"p".repeat(MAX_PREFIX)));
        for wrong in ["", "a b", "ä", "a*", "a\n", "a\0", &"p".repeat(MAX_PREFIX + 1)] {
            assert!(!fits(wrong), "{wrong:?}");
        }
        assert!(Options::default().with_answer_timeout(Duration::ZERO).require_fit().is_err());
    }
}
