//! What a model has answered.

use orchestrator_core::spec::retry::ErrorClass;
use serde::Serialize;
use serde_json::{Map, Value};

use super::mock;
use super::question::{Message, Question, ToolCall};

/// The longest text of an answer, and the longest arguments of a tool, in bytes (4 MiB).
pub(super) const TEXT_MAX: usize = 4 << 20;

/// The most tools that one answer calls.
const CALLS_MAX: usize = 256;

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) model: String,
    pub(super) usage: Usage,
    /// Why it ends: `stop`, `length`, `tool_calls`, or what the server says.
    pub(super) finish_reason: Option<String>,
}

/// How many tokens that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Usage {
    /// Of what was sent.
    pub(super) input_tokens: u64,
    /// Those of them that the server had kept from an earlier request.
    pub(super) cached_input_tokens: u64,
    /// Of what came back.
    pub(super) output_tokens: u64,
    pub(super) total_tokens: u64,
    /// Whether the server does not count.
    pub(super) estimated: bool,
}

impl Usage {
    /// As a server counts.
    pub(super) const fn counted(input_tokens: u64, cached_input_tokens: u64, output_tokens: u64) -> Self {
        let total_tokens = input_tokens.saturating_add(output_tokens);
        Self { input_tokens, cached_input_tokens, output_tokens, total_tokens, estimated: false }
    }

    /// What both took.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_input_tokens: self.cached_input_tokens.saturating_add(other.cached_input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            total_tokens: self.total_tokens.saturating_add(other.total_tokens),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) class: ErrorClass,
    pub(super) problem: String,
    /// Words of the other side, to follow the problem.
    pub(super) quoted: String,
}

impl Unread {
    pub(super) fn odd(problem: impl Into<String>) -> Self {
        Self { class: ErrorClass::Failed, problem: problem.into(), quoted: String::new() }
    }

    /// What a server says is wrong in the middle of an answer, by the words that it has for it.
    pub(super) fn told(kind: &str, quoted: &str) -> Self {
        let class = match kind {
            kind if kind.contains("rate_limit") => ErrorClass::RateLimited,
            kind if kind.contains("invalid") || kind.contains("not_found") => ErrorClass::Invalid,
            kind if kind.contains("authentication") || kind.contains("permission") => ErrorClass::Denied,
            _ => ErrorClass::Transient,
        };
        Self { class, problem: "the server has given up: ".to_owned(), quoted: quoted.to_owned() }
    }
}

/// An answer while it comes in.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) refusal: Option<String>,
    pub(super) calls: Vec<DraftCall>,
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) finish_reason: Option<String>,
    /// Whether the server has said that this is all.
    pub(super) is_whole: bool,
}

/// A call of a tool while it comes in.
#[derive(Debug, Default)]
pub(super) struct DraftCall {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, as far as it is there.
    pub(super) arguments: String,
}

impl Draft {
    /// Appends to the text.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Unread> {
        append(&mut self.text, text)
    }

    /// Appends to the words with which the model refuses.
    pub(super) fn refuse(&mut self, text: &str) -> Result<(), Unread> {
        append(self.refusal.get_or_insert_default(), text)
    }

    /// The call of a tool at this place of the answer, which may be new.
    pub(super) fn call(&mut self, place: usize) -> Result<&mut DraftCall, Unread> {
        if place >= CALLS_MAX {
            return Err(Unread::odd(format!("the answer calls more than {CALLS_MAX} tools")));
        }
        if self.calls.len() <= place {
            self.calls.resize_with(place + 1, DraftCall::default);
        }
        Ok(&mut self.calls[place])
    }

    /// About how many tokens have come so far.
    pub(super) fn tokens(&self) -> u64 {
        let calls: usize = self.calls.iter().map(|call| call.arguments.len()).sum();
        mock::tokens_of(self.text.len() + calls)
    }

    /// The answer, now that all of it is there.
    ///
    /// # Errors
    /// A model that refuses, an answer without anything in it, a tool that the question does not offer.
    pub(super) fn end(
        self,
        question: &Question,
        messages: &[Message],
        model: &str,
    ) -> Result<Answer, Unread> {
        // Also where it has begun to answer: what it has not said is missing.
        if let Some(quoted) = self.refusal.filter(|refusal| !refusal.is_empty()) {
            let problem = "the model refuses: ".to_owned();
            return Err(Unread { class: ErrorClass::Denied, problem, quoted });
        }
        if self.finish_reason.as_deref() == Some("content_filter") {
            let problem = "the server has filtered the answer".to_owned();
            return Err(Unread { class: ErrorClass::Denied, problem, quoted: String::new() });
        }
        if self.text.is_empty() && self.calls.is_empty() {
            let why = self.finish_reason.map(|reason| format!("; it ends with `{reason}`"));
            return Err(Unread::odd(format!("the answer has no text{}", why.unwrap_or_default())));
        }
        let text = self.text.replace('\0', "\u{fffd}");
        let tool_calls = self.calls.into_iter().map(|call| call.end(question));
        let tool_calls = tool_calls.collect::<Result<Vec<_>, _>>()?;
        let usage = self.usage.unwrap_or_else(|| mock::usage(question, messages, &text));
        let model = self.model.unwrap_or_else(|| model.to_owned()).replace('\0', "\u{fffd}");
        Ok(Answer { text, tool_calls, model, usage, finish_reason: self.finish_reason })
    }
}

impl DraftCall {
    /// Appends to the arguments.
    pub(super) fn argue(&mut self, text: &str) -> Result<(), Unread> {
        append(&mut self.arguments, text)
    }

    fn end(self, question: &Question) -> Result<ToolCall, Unread> {
        let Self { id, name, arguments } = self;
        if !question.tools.iter().any(|tool| tool.name == name) {
            let problem = "the model calls a tool that it was not given: ".to_owned();
            return Err(Unread { class: ErrorClass::Failed, problem, quoted: name });
        }
        let mut read = match arguments.trim() {
            "" => Value::Object(Map::new()),
            text => serde_json::from_str(text).map_err(|error| {
                let problem = format!("the arguments of tool `{name}` are not JSON: {error}: ");
                Unread { class: ErrorClass::Failed, problem, quoted: arguments.clone() }
            })?,
        };
        crate::config::replace_nul(&mut read);
        Ok(ToolCall { id, name, arguments: read })
    }
}

fn append(to: &mut String, text: &str) -> Result<(), Unread> {
    if to.len() + text.len() > TEXT_MAX {
        return Err(Unread::odd(format!("the answer is longer than {TEXT_MAX} bytes")));
    }
    to.push_str(text);
    Ok(())
}
