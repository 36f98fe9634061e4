//! OpenAI's responses.

use serde_json::{Map, Value, json};

use super::format::{Asked, Wire, list, number, text};
use crate::llm::answer::{Draft, Unread, Usage};
use crate::llm::question::{Message, Role};

/// The format.
pub(super) struct Responses;

impl Wire for Responses {
    fn path(&self) -> &'static [&'static str] {
        &["responses"]
    }

    fn body(&self, asked: &Asked<'_>) -> Map<String, Value> {
        let question = asked.question;
        let mut body = Map::new();
        let mut give = |key: &str, value: Value| body.insert(key.to_owned(), value);
        give("model", asked.model.into());
        give("input", asked.messages.iter().flat_map(items).collect());
        // A step's question stands by itself: nothing of it has to be kept elsewhere.
        give("store", false.into());
        if let Some(system) = question.instructions() {
            give("instructions", system.into());
        }
        if let Some(temperature) = question.temperature {
            give("temperature", temperature.into());
        }
        if let Some(limit) = asked.max_tokens {
            give("max_output_tokens", limit.into());
        }
        if !question.tools.is_empty() {
            let tools = question.tools.iter().map(|tool| {
                json!({
                    "type": "function", "name": tool.name, "description": tool.description,
                    "parameters": tool.parameters, "strict": false,
                })
            });
            give("tools", tools.collect());
        }
        match question.tool_choice.as_deref() {
            None => {}
            Some(word @ ("auto" | "none" | "required")) => _ = give("tool_choice", word.into()),
            Some(name) => _ = give("tool_choice", json!({ "type": "function", "name": name })),
        }
        if let Some(schema) = &question.schema {
            let format =
                json!({ "type": "json_schema", "name": "answer", "schema": schema, "strict": false });
            give("text", json!({ "format": format }));
        }
        if asked.stream {
            give("stream", true.into());
        }
        body
    }

    fn whole(&self, answer: &Value, draft: &mut Draft) -> Result<(), Unread> {
        let output = answer.get("output").and_then(Value::as_array);
        let output = output.ok_or_else(|| Unread::odd("the answer is not a response"))?;
        if let Some(message) = text(answer, "/error/message") {
            return Err(Unread::told(text(answer, "/error/code").unwrap_or_default(), message));
        }
        let came = std::mem::take(draft);
        for item in output {
            match text(item, "/type") {
                Some("message") => {
                    for part in list(item, "/content") {
                        text(part, "/text").map_or(Ok(()), |text| draft.say(text))?;
                        text(part, "/refusal").map_or(Ok(()), |text| draft.refuse(text))?;
                    }
                }
                Some("function_call") => {
                    let call = draft.call(draft.calls.len())?;
                    text(item, "/call_id").unwrap_or_default().clone_into(&mut call.id);
                    text(item, "/name").unwrap_or_default().clone_into(&mut call.name);
                    call.argue(text(item, "/arguments").unwrap_or_default())?;
                }
                // Reasoning, and what may be added to the format.
                _ => {}
            }
        }
        if output.is_empty() {
            // Some servers end a stream without saying all of it again.
            *draft = came;
        }
        draft.model = text(answer, "/model").map(str::to_owned);
        draft.usage = number(answer, "/usage/input_tokens").map(|input| {
            let cached = number(answer, "/usage/input_tokens_details/cached_tokens").unwrap_or(0);
            Usage::counted(input, cached, number(answer, "/usage/output_tokens").unwrap_or(0))
        });
        draft.finish_reason = match (text(answer, "/status"), text(answer, "/incomplete_details/reason")) {
            (Some("incomplete"), Some("max_output_tokens")) => Some("length".to_owned()),
            (Some("incomplete"), reason) => Some(reason.unwrap_or("incomplete").to_owned()),
            _ if !draft.calls.is_empty() => Some("tool_calls".to_owned()),
            (Some("completed"), _) => Some("stop".to_owned()),
            (status, _) => status.map(str::to_owned),
        };
        draft.is_whole = true;
        Ok(())
    }

    fn piece(&self, piece: &Value, draft: &mut Draft) -> Result<(), Unread> {
        let delta = text(piece, "/delta").unwrap_or_default();
        match text(piece, "/type").unwrap_or_default() {
            "response.output_text.delta" => draft.say(delta),
            "response.refusal.delta" => draft.refuse(delta),
            // Which call it is, the end says; until then only its length counts.
            "response.function_call_arguments.delta" => draft.call(0)?.argue(delta),
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.whole(piece.get("response").unwrap_or(&Value::Null), draft)
            }
            "error" => {
                let kind = text(piece, "/code").or_else(|| text(piece, "/error/code")).unwrap_or_default();
                let message = text(piece, "/message").or_else(|| text(piece, "/error/message"));
                Err(Unread::told(kind, message.unwrap_or_default()))
            }
            _ => Ok(()),
        }
    }
}

/// A message, and the calls in it: here each is an item of its own.
fn items(message: &Message) -> Vec<Value> {
    if message.role == Role::Tool {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        return vec![json!({ "type": "function_call_output", "call_id": id, "output": message.content })];
    }
    let said = (!message.content.is_empty() || message.tool_calls.is_empty())
        .then(|| json!({ "role": message.role, "content": message.content }));
    let calls = message.tool_calls.iter().map(|call| {
        let arguments = call.arguments.to_string();
        json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments })
    });
    said.into_iter().chain(calls).collect()
}
