//! Answers that come piece by piece.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use orchestrator_core::port::plugin::{LogSink, Plugin, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Llm;
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::stage::{context, failure, output, request};
use crate::{ask, usage};

/// What a server sends that streams these pieces.
fn streamed(pieces: &[Value], end: &str) -> Reply {
    let mut body = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n".to_owned();
    for piece in pieces {
        if let Some(name) = piece["type"].as_str() {
            let _ = writeln!(body, "event: {name}");
        }
        let _ = write!(body, "data: {piece}\n\n");
    }
    Reply::Raw(body + end)
}

fn tools() -> Value {
    json!([{ "name": "look_up" }, { "name": "count" }])
}

async fn asked(api: &str, reply: Reply) -> (Value, Value) {
    let server = Server::always(reply).await;
    let with = json!({ "model": "m", "api": api, "base_url": server.url, "prompt": "x", "tools": tools() });
    let output = output(ask(with).await.0);
    (output, server.received()[0].json())
}

/// The pieces of an answer that says something and calls two tools, in each format.
fn pieces(api: &str) -> Vec<Value> {
    let chat = |delta: Value| json!({ "model": "m-2026", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
    let call = |index: u32, id: Option<&str>, name: Option<&str>, arguments: &str| json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": name, "arguments": arguments } }] });
    let block = |index: u32, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let delta =
        |index: u32, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    match api {
        "chat" => vec![
            chat(json!({ "role": "assistant", "content": "" })),
            chat(json!({ "content": "Let me" })),
            chat(json!({ "content": " see é." })),
            chat(call(0, Some("c1"), Some("look_up"), "")),
            chat(call(0, None, None, "{\"word\":")),
            chat(call(0, None, None, " \"ox\"}")),
            chat(call(1, Some("c2"), Some("count"), "{\"n\": 1}")),
            json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] }),
            json!({ "choices": [], "usage": { "prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14 } }),
        ],
        "responses" => vec![
            json!({ "type": "response.created", "response": { "status": "in_progress", "output": [] } }),
            json!({ "type": "response.output_text.delta", "delta": "Let me" }),
            json!({ "type": "response.output_text.delta", "delta": " see é." }),
            json!({ "type": "response.function_call_arguments.delta", "delta": "{\"word\": \"ox\"}" }),
            json!({ "type": "response.completed", "response": {
                "status": "completed", "model": "m-2026",
                "output": [
                    { "type": "message", "content": [{ "type": "output_text", "text": "Let me see é." }] },
                    { "type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{\"word\": \"ox\"}" },
                    { "type": "function_call", "call_id": "c2", "name": "count", "arguments": "{\"n\": 1}" },
                ],
                "usage": { "input_tokens": 11, "output_tokens": 3, "total_tokens": 14 },
            } }),
        ],
        _ => vec![
            json!({ "type": "message_start", "message": { "model": "m-2026", "content": [], "usage": { "input_tokens": 11, "output_tokens": 1 } } }),
            block(0, json!({ "type": "text", "text": "" })),
            json!({ "type": "ping" }),
            delta(0, json!({ "type": "text_delta", "text": "Let me" })),
            delta(0, json!({ "type": "text_delta", "text": " see é." })),
            json!({ "type": "content_block_stop", "index": 0 }),
            block(1, json!({ "type": "tool_use", "id": "c1", "name": "look_up", "input": {} })),
            delta(1, json!({ "type": "input_json_delta", "partial_json": "{\"word\":" })),
            delta(1, json!({ "type": "input_json_delta", "partial_json": " \"ox\"}" })),
            block(2, json!({ "type": "tool_use", "id": "c2", "name": "count", "input": {} })),
            delta(2, json!({ "type": "input_json_delta", "partial_json": "{\"n\": 1}" })),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 3 } }),
            json!({ "type": "message_stop" }),
        ],
    }
}

#[tokio::test]
async fn every_format_comes_to_the_same_answer() {
    for api in ["chat", "responses", "messages"] {
        let end = if api == "chat" { "data: [DONE]\n\n" } else { "" };
        let (output, sent) = asked(api, streamed(&pieces(api), end)).await;
        assert_eq!(sent["stream"], true);
        assert_eq!(output["text"], "Let me see é.", "{api}");
        let calls = json!([
            { "id": "c1", "name": "look_up", "arguments": { "word": "ox" } },
            { "id": "c2", "name": "count", "arguments": { "n": 1 } },
        ]);
        assert_eq!(output["tool_calls"], calls, "{api}");
        assert_eq!((&output["usage"], &output["model"]), (&usage(11, 3), &json!("m-2026")), "{api}");
        assert_eq!(output["finish_reason"], "tool_calls", "{api}");
    }
}

#[tokio::test]
async fn calls_are_told_apart_also_by_servers_that_do_not_number_them() {
    for index in [json!(null), json!(0)] {
        let piece = |id: Value, name: &str, arguments: &str| {
            let call =
                json!({ "index": index, "id": id, "function": { "name": name, "arguments": arguments } });
            json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] })
        };
        let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] });
        let pieces = [
            piece(json!("c1"), "look_up", "{\"word\": \"ox\"}"),
            piece(json!("c2"), "count", "{\"n\": 1}"),
            end,
        ];
        let (output, _) = asked("chat", streamed(&pieces, "")).await;
        let calls = json!([
            { "id": "c1", "name": "look_up", "arguments": { "word": "ox" } },
            { "id": "c2", "name": "count", "arguments": { "n": 1 } },
        ]);
        assert_eq!(output["tool_calls"], calls, "{index}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_too_early_is_no_answer() {
    for api in ["chat", "responses", "messages"] {
        let mut pieces = pieces(api);
        let end = pieces.iter().rposition(|piece| {
            piece["choices"][0]["finish_reason"] == "tool_calls"
                || piece["type"] == "response.completed"
                || piece["type"] == "message_delta"
        });
        pieces.truncate(end.unwrap());
        let server = Server::always(streamed(&pieces, "data: [DONE]\n\n")).await;
        let with =
            json!({ "model": "m", "api": api, "base_url": server.url, "prompt": "x", "tools": tools() });
        let (class, message) = failure(ask(with).await.0);
        assert!(class == ErrorClass::Transient && message.contains("ends in the middle"), "{api}: {message}");
    }
}

#[tokio::test]
async fn a_server_may_give_up_in_the_middle() {
    for (api, piece, class) in [
        (
            "chat",
            json!({ "error": { "message": "sk-1 is over", "type": "server_error" } }),
            ErrorClass::Transient,
        ),
        (
            "chat",
            json!({ "error": { "message": "sk-1 is over", "code": "rate_limit_exceeded" } }),
            ErrorClass::RateLimited,
        ),
        (
            "responses",
            json!({ "type": "error", "code": "server_error", "message": "sk-1 is over" }),
            ErrorClass::Transient,
        ),
        (
            "responses",
            json!({ "type": "response.failed", "response": { "status": "failed", "output": [], "error": { "code": "invalid_prompt", "message": "sk-1 is over" } } }),
            ErrorClass::Invalid,
        ),
        (
            "messages",
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "sk-1 is over" } }),
            ErrorClass::Transient,
        ),
        (
            "messages",
            json!({ "type": "error", "error": { "type": "authentication_error", "message": "sk-1 is over" } }),
            ErrorClass::Denied,
        ),
    ] {
        let mut pieces = pieces(api);
        pieces.truncate(2);
        pieces.push(piece);
        let server = Server::always(streamed(&pieces, "")).await;
        let with =
            json!({ "model": "m", "api": api, "base_url": server.url, "prompt": "x", "api_key": "sk-1" });
        let (found, message) = failure(ask(with).await.0);
        assert_eq!(found, class, "{api}: {message}");
        assert!(message.ends_with("the server has given up: *** is over"), "{message}");
    }
}

#[tokio::test]
async fn hostile_streams_are_left() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let long = json!({ "choices": [{ "delta": { "content": "x".repeat(1 << 20) } }] });
    let many =
        json!({ "choices": [{ "delta": { "tool_calls": [{ "index": 4_000_000_000_u64, "id": "1" }] } }] });
    for (reply, class, expected) in [
        (Reply::Endless(format!("{head}data: ")), ErrorClass::Failed, "longer than"),
        (streamed(&vec![long; 5], ""), ErrorClass::Failed, "the answer is longer than 4194304 bytes"),
        (streamed(&[many], ""), ErrorClass::Failed, "more than 256 tools"),
        (Reply::Raw(format!("{head}data: {{\n\n")), ErrorClass::Failed, "a piece of the answer is not JSON"),
        (Reply::Hang(head.to_owned()), ErrorClass::Timeout, "no complete answer within"),
        (Reply::Raw(head.to_owned()), ErrorClass::Transient, "ends in the middle"),
    ] {
        let server = Server::always(reply).await;
        let timeout = if class == ErrorClass::Timeout { "1s" } else { "1m" };
        let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "timeout": timeout });
        let (found, message) = failure(ask(with).await.0);
        assert_eq!(found, class, "{message}");
        assert!(message.contains(expected) && message.len() < 1_000, "{message}");
    }
}

/// Keeps what is said of the progress.
#[derive(Debug, Default)]
struct Far(Mutex<Vec<String>>);

impl LogSink for Far {
    fn line(&self, _: Stream, _: &str) {}

    fn progress(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[tokio::test]
async fn whoever_watches_sees_how_long_the_answer_is() {
    let server = Server::always(streamed(&pieces("chat"), "data: [DONE]\n\n")).await;
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = context(folder.path());
    let far = Arc::new(Far::default());
    context.log = far.clone();
    let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "tools": tools() });
    output(Llm::default().execute(context, request(with)).await);
    // However the pieces came, something was said of them.
    let said = far.0.lock().unwrap().clone();
    assert!(
        !said.is_empty() && said.iter().all(|said| said.starts_with("about ") && said.ends_with(" tokens")),
        "{said:?}"
    );
}
