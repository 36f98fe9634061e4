//! What a format has to say.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::chat::Chat;
use super::messages::{MAX_TOKENS, Messages};
use super::responses::Responses;
use crate::llm::answer::{Draft, Unread};
use crate::llm::question::{Message, Question};
use crate::outbound;

/// The formats that authors can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::llm) enum Api {
    /// OpenAI's chat completions, which most servers speak.
    #[default]
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

/// What goes into a request of any format.
#[derive(Debug)]
pub(in crate::llm) struct Asked<'a> {
    pub(in crate::llm) question: &'a Question,
    /// The conversation so far.
    pub(in crate::llm) messages: &'a [Message],
    pub(in crate::llm) model: &'a str,
    pub(in crate::llm) max_tokens: Option<u64>,
    /// Whether the answer is to come piece by piece.
    pub(in crate::llm) stream: bool,
    /// Whether the server is OpenAI's own, which has words that others do not know.
    pub(in crate::llm) by_openai: bool,
}

/// One format.
pub(in crate::llm) trait Wire: Sync {
    /// What follows the base URL.
    fn path(&self) -> &'static [&'static str];

    /// How the key is sent.
    fn authorize(&self, key: &str, headers: &mut HeaderMap) -> Result<(), String> {
        insert(headers, AUTHORIZATION, &format!("Bearer {key}"))
    }

    /// Headers that every request has.
    fn headers(&self, headers: &mut HeaderMap) {
        let _ = headers;
    }

    /// The request.
    fn body(&self, asked: &Asked<'_>) -> Map<String, Value>;

    /// Reads an answer that came as a whole.
    fn whole(&self, answer: &Value, draft: &mut Draft) -> Result<(), Unread>;

    /// Reads the next piece of an answer.
    fn piece(&self, piece: &Value, draft: &mut Draft) -> Result<(), Unread>;
}

impl Api {
    pub(in crate::llm) const NAMES: [&str; 3] = ["chat", "responses", "messages"];

    pub(in crate::llm) fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }

    pub(in crate::llm) fn wire(self) -> &'static dyn Wire {
        match self {
            Self::Chat => &Chat,
            Self::Responses => &Responses,
            Self::Messages => &Messages,
        }
    }

    /// The server of whoever has made the format.
    pub(in crate::llm) const fn home(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses => "https://api.openai.com/v1",
            Self::Messages => "https://api.anthropic.com/v1",
        }
    }

    /// The longest answer, in tokens, where the author does not say, if the format has one.
    pub(in crate::llm) const fn limit(self) -> Option<u64> {
        match self {
            Self::Chat | Self::Responses => None,
            Self::Messages => Some(MAX_TOKENS),
        }
    }

    /// Where requests to the server at `base_url` go.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment for a message.
    pub(in crate::llm) fn endpoint(self, base_url: &str) -> Result<Url, String> {
        let mut url = outbound::address(base_url)?;
        url.path_segments_mut()
            .map_err(|()| "has no path that could be extended".to_owned())?
            .pop_if_empty()
            .extend(self.wire().path());
        Ok(url)
    }
}

/// Puts a secret into a header.
pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) -> Result<(), String> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| "the API key holds characters that no header can".to_owned())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// The text at `pointer`, if there is one.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The number at `pointer`, if there is one.
pub(super) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The list at `pointer`; none is an empty one.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_follows_from_the_base_url() {
        for (api, base, expected) in [
            (Api::Chat, "https://api.example.com/v1", "https://api.example.com/v1/chat/completions"),
            (Api::Chat, "https://api.example.com/v1/", "https://api.example.com/v1/chat/completions"),
            (Api::Chat, "http://127.0.0.1:11434", "http://127.0.0.1:11434/chat/completions"),
            (
                Api::Chat,
                "https://host/openai/x?api-version=1",
                "https://host/openai/x/chat/completions?api-version=1",
            ),
            (Api::Responses, "https://api.example.com/v1", "https://api.example.com/v1/responses"),
            (Api::Messages, "https://api.example.com/v1", "https://api.example.com/v1/messages"),
        ] {
            assert_eq!(api.endpoint(base).unwrap().as_str(), expected);
        }
        assert!(Api::Chat.endpoint("localhost:8080").is_err());
    }

    #[test]
    fn every_name_is_that_of_a_format() {
        for name in Api::NAMES {
            serde_json::from_value::<Api>(name.into()).unwrap();
        }
    }
}
