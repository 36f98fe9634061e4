//! Anthropic's messages.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::format::{Asked, Wire, insert, number, text};
use crate::llm::answer::{Draft, Unread, Usage};
use crate::llm::question::{Message, Role};

/// The version of the format that is spoken here.
const VERSION: &str = "2023-06-01";

/// The longest answer where the author does not say, in tokens: the format demands a limit.
pub(super) const MAX_TOKENS: u64 = 4_096;

/// The format.
pub(super) struct Messages;

impl Wire for Messages {
    fn path(&self) -> &'static [&'static str] {
        &["messages"]
    }

    fn authorize(&self, key: &str, headers: &mut HeaderMap) -> Result<(), String> {
        insert(headers, HeaderName::from_static("x-api-key"), key)
    }

    fn headers(&self, headers: &mut HeaderMap) {
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
    }

    fn body(&self, asked: &Asked<'_>) -> Map<String, Value> {
        let question = asked.question;
        let mut body = Map::new();
        let mut give = |key: &str, value: Value| body.insert(key.to_owned(), value);
        give("model", asked.model.into());
        give("max_tokens", asked.max_tokens.unwrap_or(MAX_TOKENS).into());
        let spoken = asked.messages.iter().filter(|message| message.role != Role::System);
        give("messages", spoken.map(message).collect());
        // There is one place for what the model is told, before the conversation.
        let told = asked.messages.iter().filter(|message| message.role == Role::System);
        let told = question.instructions().into_iter().chain(told.map(|message| message.content.clone()));
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            give("system", told.join("\n\n").into());
        }
        if let Some(temperature) = question.temperature {
            give("temperature", temperature.into());
        }
        if !question.tools.is_empty() {
            let tools = question.tools.iter().map(|tool| {
                json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters })
            });
            give("tools", tools.collect());
        }
        match question.tool_choice.as_deref() {
            None => {}
            Some("required") => _ = give("tool_choice", json!({ "type": "any" })),
            Some(word @ ("auto" | "none")) => _ = give("tool_choice", json!({ "type": word })),
            Some(name) => _ = give("tool_choice", json!({ "type": "tool", "name": name })),
        }
        if asked.stream {
            give("stream", true.into());
        }
        body
    }

    fn whole(&self, answer: &Value, draft: &mut Draft) -> Result<(), Unread> {
        let content = answer.get("content").and_then(Value::as_array);
        let content = content.ok_or_else(|| Unread::odd("the answer is not a message"))?;
        about(answer, draft);
        content.iter().try_for_each(|block| begin(block, draft))?;
        ended(answer, draft)
    }

    fn piece(&self, piece: &Value, draft: &mut Draft) -> Result<(), Unread> {
        match text(piece, "/type").unwrap_or_default() {
            "message_start" => about(piece.get("message").unwrap_or(&Value::Null), draft),
            "content_block_start" => begin(piece.get("content_block").unwrap_or(&Value::Null), draft)?,
            "content_block_delta" => {
                text(piece, "/delta/text").map_or(Ok(()), |text| draft.say(text))?;
                // Blocks come one after the other: what is added belongs to the last call.
                if let (Some(json), Some(call)) = (text(piece, "/delta/partial_json"), draft.calls.last_mut())
                {
                    call.argue(json)?;
                }
            }
            "message_delta" => {
                about(piece, draft);
                ended(piece.get("delta").unwrap_or(&Value::Null), draft)?;
            }
            "error" => {
                let kind = text(piece, "/error/type").unwrap_or_default();
                return Err(Unread::told(kind, text(piece, "/error/message").unwrap_or_default()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Roles are two here: what tools give is said by the user.
fn message(message: &Message) -> Value {
    let mut blocks = Vec::new();
    match (message.role, &message.tool_call_id) {
        (Role::Tool, Some(id)) => {
            blocks.push(json!({ "type": "tool_result", "tool_use_id": id, "content": message.content }));
        }
        _ if message.tool_calls.is_empty() => {
            return json!({ "role": message.role, "content": message.content });
        }
        _ if message.content.is_empty() => {}
        _ => blocks.push(json!({ "type": "text", "text": message.content })),
    }
    blocks.extend(message.tool_calls.iter().map(
        |call| json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments }),
    ));
    let role = if message.role == Role::Assistant { Role::Assistant } else { Role::User };
    json!({ "role": role, "content": blocks })
}

/// Which model it is, and what it has taken so far. The counts of a stream come in two halves.
fn about(message: &Value, draft: &mut Draft) {
    if let Some(model) = text(message, "/model") {
        draft.model = Some(model.to_owned());
    }
    let before = draft.usage.unwrap_or_default();
    let count = |name: &str| number(message, &format!("/usage/{name}"));
    let input = count("input_tokens").map(|fresh| {
        let cached = count("cache_read_input_tokens").unwrap_or(0);
        let written = count("cache_creation_input_tokens").unwrap_or(0);
        (fresh.saturating_add(cached).saturating_add(written), cached)
    });
    let output = count("output_tokens");
    if input.is_some() || output.is_some() {
        let (input, cached) = input.unwrap_or((before.input_tokens, before.cached_input_tokens));
        draft.usage = Some(Usage::counted(input, cached, output.unwrap_or(before.output_tokens)));
    }
}

/// A block of the answer, or the beginning of one.
fn begin(block: &Value, draft: &mut Draft) -> Result<(), Unread> {
    match text(block, "/type") {
        Some("text") => draft.say(text(block, "/text").unwrap_or_default()),
        Some("tool_use") => {
            let call = draft.call(draft.calls.len())?;
            text(block, "/id").unwrap_or_default().clone_into(&mut call.id);
            text(block, "/name").unwrap_or_default().clone_into(&mut call.name);
            // In a stream it is empty, and comes piece by piece.
            match block.get("input").and_then(Value::as_object).filter(|input| !input.is_empty()) {
                Some(input) => call.argue(&Value::from(input.clone()).to_string()),
                None => Ok(()),
            }
        }
        // Thinking, and what may be added to the format.
        _ => Ok(()),
    }
}

fn ended(message: &Value, draft: &mut Draft) -> Result<(), Unread> {
    let Some(reason) = text(message, "/stop_reason") else { return Ok(()) };
    draft.is_whole = true;
    let reason = match reason {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => return draft.refuse("it gives no reason"),
        reason => reason,
    };
    draft.finish_reason = Some(reason.to_owned());
    Ok(())
}
