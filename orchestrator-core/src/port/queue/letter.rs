//! Dead letters: tickets with which nobody could do anything, kept with the reason, so that somebody can look at them.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{QueueError, Ticket};
use crate::time::Timestamp;

/// How many dead letters a queue keeps for each name, if nothing else is said.
pub const MAX_LETTERS: u32 = 10_000;

/// The longest reason of a dead letter, in bytes.
pub const MAX_REASON: usize = 1_000;

/// The longest text of a dead letter, in bytes: what is longer is cut.
pub const MAX_LETTER_TEXT: usize = 4_096;

/// A ticket that was buried: taken out of its queue, and kept. It rings for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// What it is called.
    pub id: LetterId,
    /// The queue it is from.
    pub queue: Arc<str>,
    /// The tenant.
    pub project: Arc<str>,
    /// As the ticket was published.
    pub priority: i32,
    /// How often the ticket had been given out.
    pub count: u32,
    /// When it was buried, by the queue's clock.
    pub at: Timestamp,
    /// Why, in the words of whoever has buried it; where a queue has done so itself, because nobody could read what is on the
    /// ticket, it says that ([`unreadable`]).
    pub reason: Arc<str>,
    /// What is on it, if that can be read.
    pub ticket: Option<Ticket>,
    /// What is on it, as it is kept. At most [`MAX_LETTER_TEXT`] bytes.
    pub text: Arc<str>,
}

/// Refuses to publish a letter on which is what cannot be read. For backends.
///
/// # Errors
/// [`QueueError::Invalid`].
pub fn require_readable(letter: &LetterId, is_readable: bool) -> Result<(), QueueError> {
    if is_readable {
        return Ok(());
    }
    Err(QueueError::Invalid(format!(
        "what is on the dead letter {letter} cannot be read here: drop it, or have it published by a version that can"
    )))
}

/// Names a dead letter. Made by the queue and understood by it alone; never used again for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LetterId(Arc<str>);

impl LetterId {
    /// What a queue calls one of its letters: at most [`MAX_RECEIPT`](super::MAX_RECEIPT) bytes.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// As the queue has called it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Asks for dead letters, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLetters {
    /// Of this queue; `None`: of all.
    pub queue: Option<Arc<str>>,
    /// In which order.
    pub order: LetterOrder,
    /// Goes on behind this one, which may be gone by now; `None`: begins.
    pub after: Option<LetterId>,
    /// At most this many. At most [`MAX_TICKETS`](super::MAX_TICKETS).
    pub limit: usize,
}

/// In which order dead letters come: that in which they were buried, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LetterOrder {
    /// The last that was buried comes first.
    #[default]
    NewestFirst,
    /// The first that was buried comes first.
    OldestFirst,
}

/// Takes a dead letter away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clear {
    /// Which one.
    pub letter: LetterId,
    /// What becomes of it.
    pub how: Clearing,
}

/// What becomes of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearing {
    /// Its ticket is published again in its queue, project and priority, as a new one that was never given out. One that cannot be
    /// read is refused ([`QueueError::Invalid`](super::QueueError::Invalid)), and stays.
    Publish,
    /// It is gone.
    Drop,
}

/// The reason of a letter that a queue buries by itself, because what is on a ticket cannot be read. For backends: whoever
/// receives it buries it, gives the others, and asks for as many more.
#[must_use]
pub fn unreadable(why: impl fmt::Display) -> Arc<str> {
    within(&format!("what is on it cannot be read: {why}").replace('\0', " "), MAX_REASON).into()
}

/// As much of the beginning of a text as fits in so many bytes.
#[must_use]
pub fn within(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(within("short", 9), "short");
        assert_eq!(within("aä", 2), "a");
        assert_eq!(within("", 0), "");
        let reason = unreadable("ä".repeat(MAX_REASON));
        assert!(
            reason.len() <= MAX_REASON && reason.starts_with("what is on it cannot be read: ä"),
            "{reason}"
        );
        assert!(!unreadable("a\0b").contains('\0'));
    }
}
