//! OpenAI's chat completions, which many servers speak.

use serde_json::{Map, Value, json};

use super::format::{Asked, Wire, list, number, text};
use crate::llm::answer::{Draft, Unread, Usage};
use crate::llm::question::{Message, Role};

/// The format.
pub(super) struct Chat;

impl Wire for Chat {
    fn path(&self) -> &'static [&'static str] {
        &["chat", "completions"]
    }

    fn body(&self, asked: &Asked<'_>) -> Map<String, Value> {
        let question = asked.question;
        let mut body = Map::new();
        let mut give = |key: &str, value: Value| body.insert(key.to_owned(), value);
        let system = question.instructions().map(|content| json!({ "role": "system", "content": content }));
        let messages: Vec<Value> = system.into_iter().chain(asked.messages.iter().map(message)).collect();
        give("model", asked.model.into());
        give("messages", messages.into());
        if let Some(temperature) = question.temperature {
            give("temperature", temperature.into());
        }
        if let Some(limit) = asked.max_tokens {
            // OpenAI's newer models refuse the older name, which is the one that other servers know.
            give(if asked.by_openai { "max_completion_tokens" } else { "max_tokens" }, limit.into());
        }
        if !question.tools.is_empty() {
            let tools = question.tools.iter().map(|tool| json!({ "type": "function", "function": tool }));
            give("tools", tools.collect());
        }
        match question.tool_choice.as_deref() {
            None => {}
            Some(word @ ("auto" | "none" | "required")) => _ = give("tool_choice", word.into()),
            Some(name) => {
                give("tool_choice", json!({ "type": "function", "function": { "name": name } }));
            }
        }
        if let Some(schema) = &question.schema {
            let shape = json!({ "name": "answer", "schema": schema });
            give("response_format", json!({ "type": "json_schema", "json_schema": shape }));
        }
        if asked.stream {
            give("stream", true.into());
            give("stream_options", json!({ "include_usage": true }));
        }
        body
    }

    fn whole(&self, answer: &Value, draft: &mut Draft) -> Result<(), Unread> {
        let choices = answer.get("choices").and_then(Value::as_array);
        let choices = choices.ok_or_else(|| Unread::odd("the answer is not a chat completion"))?;
        let choice = choices.first().ok_or_else(|| Unread::odd("the answer has no choices"))?;
        about(answer, draft);
        said(choice.get("message").unwrap_or(&Value::Null), draft)?;
        draft.finish_reason = text(choice, "/finish_reason").map(str::to_owned);
        draft.is_whole = true;
        Ok(())
    }

    fn piece(&self, piece: &Value, draft: &mut Draft) -> Result<(), Unread> {
        if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
            let kind = text(error, "/type").or_else(|| text(error, "/code")).unwrap_or_default();
            return Err(Unread::told(kind, text(error, "/message").unwrap_or_default()));
        }
        about(piece, draft);
        // The last piece, with the usage, has none.
        let Some(choice) = list(piece, "/choices").first() else { return Ok(()) };
        said(choice.get("delta").unwrap_or(&Value::Null), draft)?;
        if let Some(reason) = text(choice, "/finish_reason") {
            draft.finish_reason = Some(reason.to_owned());
            draft.is_whole = true;
        }
        Ok(())
    }
}

fn message(message: &Message) -> Value {
    let mut wire = json!({ "role": message.role, "content": message.content });
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
            json!({ "id": call.id, "type": "function", "function": function })
        });
        wire["tool_calls"] = calls.collect();
    }
    if let (Role::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        wire["tool_call_id"] = id.as_str().into();
    }
    wire
}

/// Which model it is, and what it has taken, where a piece says so.
fn about(piece: &Value, draft: &mut Draft) {
    if let Some(model) = text(piece, "/model").filter(|model| !model.is_empty()) {
        draft.model = Some(model.to_owned());
    }
    if let Some(input) = number(piece, "/usage/prompt_tokens") {
        let cached = number(piece, "/usage/prompt_tokens_details/cached_tokens").unwrap_or(0);
        let output = number(piece, "/usage/completion_tokens").unwrap_or(0);
        let mut usage = Usage::counted(input, cached, output);
        if let Some(total) = number(piece, "/usage/total_tokens") {
            usage.total_tokens = total;
        }
        draft.usage = Some(usage);
    }
}

/// What a message, or the next piece of one, says. Most servers give a text; some give a list of parts.
fn said(message: &Value, draft: &mut Draft) -> Result<(), Unread> {
    match message.get("content") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => draft.say(text)?,
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| text(part, "/text")).try_for_each(|text| draft.say(text))?;
        }
        Some(_) => return Err(Unread::odd("the answer is not a chat completion")),
    }
    if let Some(refusal) = text(message, "/refusal") {
        draft.refuse(refusal)?;
    }
    for (place, call) in list(message, "/tool_calls").iter().enumerate() {
        let place = place_of(call, place, draft);
        let draft = draft.call(place)?;
        for (own, found) in [(&mut draft.id, "/id"), (&mut draft.name, "/function/name")] {
            if let Some(found) = text(call, found).filter(|found| !found.is_empty()) {
                found.clone_into(own);
            }
        }
        match call.pointer("/function/arguments") {
            Some(Value::String(text)) => draft.argue(text)?,
            // Some servers do not write JSON into JSON.
            Some(other @ Value::Object(_)) => draft.argue(&other.to_string())?,
            _ => {}
        }
    }
    Ok(())
}

/// Which call a piece goes on with. Pieces say it by index; some servers leave that out, or give 0 for each.
fn place_of(call: &Value, nth: usize, draft: &Draft) -> usize {
    let index = number(call, "/index").and_then(|index| usize::try_from(index).ok());
    let id = text(call, "/id").filter(|id| !id.is_empty());
    let place = index.unwrap_or(nth);
    match (draft.calls.get(place), id) {
        (Some(known), Some(id)) if !known.id.is_empty() && known.id != id => {
            draft.calls.iter().position(|call| call.id == id).unwrap_or(draft.calls.len())
        }
        (Some(_), None) if index.is_none() => draft.calls.len() - 1,
        _ => place,
    }
}
