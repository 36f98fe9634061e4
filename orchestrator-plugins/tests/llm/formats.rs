//! The formats in which servers are asked and answer, as a whole.

use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Llm;
use serde_json::{Value, json};

use crate::server::{Received, Server, reply, reply_json};
use crate::stage::{failure, output};
use crate::{ask, completion, usage};

/// A conversation in which a tool was called.
fn conversation() -> Value {
    json!([
        { "role": "system", "content": "Use tools." },
        { "role": "user", "content": "What is an ox?" },
        { "role": "assistant", "tool_calls": [{ "id": "c1", "name": "look_up", "arguments": { "word": "ox" } }] },
        { "role": "tool", "tool_call_id": "c1", "content": "an animal" },
    ])
}

fn tools() -> Value {
    json!([{ "name": "look_up", "description": "Looks a word up.", "parameters": { "type": "object", "properties": { "word": { "type": "string" } } } }])
}

/// What a server is sent that answers so.
async fn sent(api: &str, answer: Value) -> (Value, Received) {
    let server = Server::always(reply_json(200, &answer)).await;
    let with = json!({
        "model": "m", "api": api, "base_url": format!("{}/v1", server.url), "api_key": "sk-1", "system": "Be brief.",
        "messages": conversation(), "tools": tools(), "tool_choice": "look_up", "temperature": 0.5, "max_tokens": 20,
        "options": { "seed": 7 }, "stream": false,
    });
    assert!(Llm::default().validate(&with).is_empty());
    (output(ask(with).await.0), server.received().remove(0))
}

fn calls() -> Value {
    json!([{ "id": "c2", "name": "look_up", "arguments": { "word": "cow" } }])
}

#[tokio::test]
async fn chat_completions() {
    let mut answer = completion("");
    let function = json!({ "name": "look_up", "arguments": "{\"word\": \"cow\"}" });
    answer["choices"][0]["message"] = json!({
        "role": "assistant", "content": null, "tool_calls": [{ "id": "c2", "type": "function", "function": function }],
    });
    answer["choices"][0]["finish_reason"] = "tool_calls".into();
    answer["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": 4 });
    let (output, received) = sent("chat", answer).await;
    assert_eq!((&output["tool_calls"], &output["finish_reason"]), (&calls(), &json!("tool_calls")));
    assert_eq!((&output["text"], &output["usage"]["cached_input_tokens"]), (&json!(""), &json!(4)));
    let called = json!({ "id": "c1", "type": "function", "function": { "name": "look_up", "arguments": "{\"word\":\"ox\"}" } });
    let body = json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "system", "content": "Use tools." },
            { "role": "user", "content": "What is an ox?" },
            { "role": "assistant", "content": "", "tool_calls": [called] },
            { "role": "tool", "tool_call_id": "c1", "content": "an animal" },
        ],
        "tools": [{ "type": "function", "function": tools()[0] }],
        "tool_choice": { "type": "function", "function": { "name": "look_up" } },
        "temperature": 0.5, "max_tokens": 20, "seed": 7,
    });
    assert_eq!(received.json(), body);
    assert_eq!(received.headers["authorization"], "Bearer sk-1");
}

#[tokio::test]
async fn responses() {
    let answer = json!({
        "id": "resp_1", "object": "response", "status": "completed", "model": "m-2026", "error": null,
        "output": [
            { "type": "reasoning", "summary": [] },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Let me see.", "annotations": [] }] },
            { "type": "function_call", "call_id": "c2", "name": "look_up", "arguments": "{\"word\": \"cow\"}" },
        ],
        "usage": { "input_tokens": 11, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 3, "total_tokens": 14 },
    });
    let (output, received) = sent("responses", answer).await;
    assert_eq!((&output["tool_calls"], &output["finish_reason"]), (&calls(), &json!("tool_calls")));
    assert_eq!((&output["text"], &output["usage"]), (&json!("Let me see."), &usage(11, 3)));
    assert_eq!(received.target, "/v1/responses");
    let body = json!({
        "model": "m", "instructions": "Be brief.", "store": false,
        "input": [
            { "role": "system", "content": "Use tools." },
            { "role": "user", "content": "What is an ox?" },
            { "type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{\"word\":\"ox\"}" },
            { "type": "function_call_output", "call_id": "c1", "output": "an animal" },
        ],
        "tools": [{
            "type": "function", "name": "look_up", "description": "Looks a word up.", "parameters": tools()[0]["parameters"],
            "strict": false,
        }],
        "tool_choice": { "type": "function", "name": "look_up" },
        "temperature": 0.5, "max_output_tokens": 20, "seed": 7,
    });
    assert_eq!(received.json(), body);
}

#[tokio::test]
async fn messages() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-2026", "stop_reason": "tool_use",
        "content": [
            { "type": "thinking", "thinking": "hm" },
            { "type": "text", "text": "Let me see." },
            { "type": "tool_use", "id": "c2", "name": "look_up", "input": { "word": "cow" } },
        ],
        "usage": { "input_tokens": 4, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 3 },
    });
    let (output, received) = sent("messages", answer).await;
    assert_eq!((&output["tool_calls"], &output["finish_reason"]), (&calls(), &json!("tool_calls")));
    assert_eq!(
        (&output["usage"]["input_tokens"], &output["usage"]["cached_input_tokens"]),
        (&json!(11), &json!(5))
    );
    assert_eq!(received.target, "/v1/messages");
    assert_eq!(
        (&*received.headers["x-api-key"], &*received.headers["anthropic-version"]),
        ("sk-1", "2023-06-01")
    );
    assert!(!received.headers.contains_key("authorization"));
    let body = json!({
        "model": "m", "system": "Be brief.\n\nUse tools.", "max_tokens": 20, "temperature": 0.5, "seed": 7,
        "messages": [
            { "role": "user", "content": "What is an ox?" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": "look_up", "input": { "word": "ox" } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": "an animal" }] },
        ],
        "tools": [{ "name": "look_up", "description": "Looks a word up.", "input_schema": tools()[0]["parameters"] }],
        "tool_choice": { "type": "tool", "name": "look_up" },
    });
    assert_eq!(received.json(), body);
}

#[tokio::test]
async fn an_answer_says_why_it_ends_in_the_same_words() {
    let message =
        |reason: &str| json!({ "content": [{ "type": "text", "text": "a" }], "stop_reason": reason });
    let part = json!({ "type": "message", "content": [{ "type": "output_text", "text": "a" }] });
    let cut = json!({ "status": "incomplete", "incomplete_details": { "reason": "max_output_tokens" }, "output": [part] });
    for (api, answer, expected) in [
        ("messages", message("end_turn"), "stop"),
        ("messages", message("max_tokens"), "length"),
        ("messages", message("pause_turn"), "pause_turn"),
        ("responses", json!({ "status": "completed", "output": [part] }), "stop"),
        ("responses", cut, "length"),
    ] {
        let server = Server::always(reply_json(200, &answer)).await;
        let with = json!({ "model": "m", "api": api, "base_url": server.url, "prompt": "x" });
        assert_eq!(output(ask(with).await.0)["finish_reason"], expected, "{api}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_of_another_format_is_a_failure_with_a_reason() {
    let refused = json!({ "content": [], "stop_reason": "refusal" });
    let half = json!({ "content": [{ "type": "text", "text": "Half of" }], "stop_reason": "refusal" });
    let mut filtered = completion("Half of");
    filtered["choices"][0]["finish_reason"] = "content_filter".into();
    let failed =
        json!({ "status": "failed", "output": [], "error": { "code": "server_error", "message": "sorry" } });
    let unknown = json!({ "content": [{ "type": "tool_use", "id": "1", "name": "rm", "input": {} }], "stop_reason": "tool_use" });
    for (api, answer, class, expected) in [
        ("messages", completion("x"), ErrorClass::Failed, "the answer is not a message"),
        ("responses", completion("x"), ErrorClass::Failed, "the answer is not a response"),
        ("messages", refused, ErrorClass::Denied, "the model refuses"),
        ("messages", half, ErrorClass::Denied, "the model refuses"),
        ("chat", filtered, ErrorClass::Denied, "the server has filtered the answer"),
        ("messages", unknown, ErrorClass::Failed, "calls a tool that it was not given: rm"),
        ("responses", failed, ErrorClass::Transient, "the server has given up: sorry"),
        (
            "messages",
            json!({ "content": [], "stop_reason": "max_tokens" }),
            ErrorClass::Failed,
            "no text; it ends with `length`",
        ),
    ] {
        let server = Server::always(reply_json(200, &answer)).await;
        let with = json!({ "model": "m", "api": api, "base_url": server.url, "prompt": "x" });
        let (found, message) = failure(ask(with).await.0);
        assert_eq!(found, class, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn options_add_and_do_not_replace() {
    let server = Server::always(reply_json(200, &completion("x"))).await;
    let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "options": { "messages": [] } });
    let (class, message) = failure(ask(with).await.0);
    assert!(class == ErrorClass::Invalid && message.contains("`options.messages`"), "{message}");
    let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "options": { "max_completion_tokens": 9 } });
    assert!(failure(ask(with).await.0).1.contains("`options.max_completion_tokens`"));
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn a_server_that_fails_is_left_for_the_next_one() {
    let refusing = Server::always(reply(503, "", "busy")).await;
    let other = Server::always(reply_json(200, &completion("Hello"))).await;
    let with = json!({
        "model": "m", "base_url": refusing.url, "api_key": "sk-first", "prompt": "x", "stream": false,
        "fallbacks": [{ "model": "n" }, { "model": "o", "base_url": other.url }],
    });
    let (outcome, log) = ask(with).await;
    let output = output(outcome);
    assert_eq!((&output["text"], &output["questions"]), (&json!("Hello"), &json!(1)));
    let models: Vec<Value> =
        refusing.received().iter().map(|received| received.json()["model"].clone()).collect();
    assert_eq!(models, ["m", "n"]);
    assert!(
        refusing.received().iter().all(|received| received.headers["authorization"] == "Bearer sk-first")
    );
    // Another question is another request.
    let keys: Vec<String> =
        refusing.received().iter().map(|received| received.headers["idempotency-key"].clone()).collect();
    assert!(keys[1].starts_with(&format!("{}-", keys[0])), "{keys:?}");
    // The key of one server is not another one's to see.
    assert!(!other.received()[0].headers.contains_key("authorization"));
    let text = log.text();
    assert!(
        text.contains("503") && text.contains("asking n instead") && text.contains("asking o instead"),
        "{text}"
    );
}

#[tokio::test]
async fn a_question_that_is_wrong_is_not_put_to_others() {
    for status in [400, 401] {
        let refusing = Server::always(reply(status, "", "no")).await;
        let other = Server::always(reply_json(200, &completion("Hello"))).await;
        let with = json!({
            "model": "m", "base_url": refusing.url, "prompt": "x", "fallbacks": [{ "model": "o", "base_url": other.url }],
        });
        failure(ask(with).await.0);
        assert_eq!(other.received(), []);
    }
}

#[test]
fn a_format_alone_names_the_server_of_its_maker() {
    let reaches = |with: Value| Llm::default().reaches(&with);
    assert_eq!(
        reaches(
            json!({ "model": "m", "api": "messages", "prompt": "x", "fallbacks": [{ "model": "n" }, { "model": "o", "api": "responses" }] })
        ),
        [
            "sends the prompt to https://api.anthropic.com/v1",
            "if it fails, sends the prompt to https://api.openai.com/v1"
        ]
    );
    assert!(Llm::default().validate(&json!({ "model": "m", "api": "messages", "prompt": "x" })).is_empty());
}
