//! What went wrong, and what becomes of a step whose attempt was lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::retry::ErrorClass;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// The class, which a retry policy can name.
    pub class: ErrorClass,
    /// What happened, for people. At most [`StepError::MESSAGE_LIMIT`] bytes.
    pub message: Arc<str>,
}

impl StepError {
    /// The longest message kept, in bytes.
    pub const MESSAGE_LIMIT: usize = 8 << 10;

    /// An error; a message that is too long is cut, and says so.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        let mut message: String = message.into().replace('\0', "\u{fffd}");
        if message.len() > Self::MESSAGE_LIMIT {
            let whole = message.len();
            let mut cut = Self::MESSAGE_LIMIT - 64;
            while !message.is_char_boundary(cut) {
                cut -= 1;
            }
            message.truncate(cut);
            message.push_str(&format!(" … (cut; {whole} bytes in all)"));
        }
        Self { class, message: message.into() }
    }
}

/// What becomes of a step whose attempt was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AfterLoss {
    /// It begins again.
    Again,
    /// Its outcome is unknown; someone must say.
    Unknown,
    /// It has killed its executor too often; someone must say.
    Quarantine,
    /// It has used up its attempts.
    Fail,
    /// The run is being cancelled, and a repetition would have been harmless.
    Cancel,
}
