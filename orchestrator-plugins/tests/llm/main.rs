//! Language models: the mock, and servers that speak the wire formats.

mod formats;
mod mock;
mod money;
#[path = "../server/mod.rs"]
mod server;
mod shapes;
#[path = "../stage/mod.rs"]
mod stage;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::port::plugin::{Outcome, Plugin, Stop, StopReason, Stream};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::Digest;
use orchestrator_plugins::Llm;
use serde_json::{Value, json};
use server::{Reply, Server, reply, reply_json};
use stage::{Log, context, failure, output, request};

/// Longer than anything here takes; reached only by what hangs.
const HANG: Duration = Duration::from_secs(60);

async fn ask(with: Value) -> (Outcome, Arc<Log>) {
    tokio::time::timeout(HANG, stage::execute(&Llm::default(), with)).await.expect("the call hangs")
}

/// As the output has it.
fn usage(input: u64, output: u64) -> Value {
    json!({
        "input_tokens": input, "cached_input_tokens": 0, "output_tokens": output, "total_tokens": input + output,
        "estimated": false,
    })
}

fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m-2026",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text, "refusal": null }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14 },
    })
}

#[tokio::test]
async fn a_question_goes_over_the_wire_in_the_usual_format() {
    let server = Server::always(reply_json(200, &completion("Hello"))).await;
    let with = json!({
        "model": "m", "base_url": format!("{}/v1/", server.url), "prompt": "Say hello", "system": "Be brief.",
        "temperature": 0.5, "max_tokens": 20, "api_key_env": "CARGO_PKG_NAME", "stream": false,
    });
    let (outcome, log) = ask(with).await;
    let asked = json!(["Be brief.", [{ "role": "user", "content": "Say hello" }]]).to_string();
    let expected = json!({
        "text": "Hello",
        "json": null,
        "tool_calls": [],
        "model": "m-2026",
        "usage": usage(11, 3),
        "cost_usd": null,
        "finish_reason": "stop",
        "prompt": { "file": null, "digest": Digest::of(asked.as_bytes()).to_string() },
        "questions": 1,
    });
    assert_eq!(output(outcome), expected);
    assert_eq!(log.lines(Stream::System), ["m-2026: 11 tokens in, 3 out"]);
    let received = &server.received()[0];
    assert_eq!((&*received.method, &*received.target), ("POST", "/v1/chat/completions"));
    assert_eq!(received.headers["content-type"], "application/json");
    // Cargo gives the test process this variable.
    assert_eq!(received.headers["authorization"], "Bearer orchestrator-plugins");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(received.headers["idempotency-key"], context(folder.path()).0.idempotency_key());
    let body = json!({
        "model": "m",
        "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Say hello" }],
        "temperature": 0.5,
        "max_tokens": 20,
    });
    assert_eq!(received.json(), body);
}

#[tokio::test]
async fn a_key_can_be_given_as_such_and_does_not_come_back() {
    let wrong = json!({ "error": { "message": "wrong key sk-secret" } });
    let server = Server::always(reply(401, "", &wrong.to_string())).await;
    let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "api_key": "sk-secret" });
    let (outcome, log) = ask(with).await;
    let (class, message) = failure(outcome);
    assert_eq!(class, ErrorClass::Denied);
    assert!(!message.contains("sk-secret") && !log.text().contains("sk-secret"), "{message}");
    assert_eq!(server.received()[0].headers["authorization"], "Bearer sk-secret");
    let both =
        json!({ "model": "m", "base_url": server.url, "prompt": "x", "api_key": "a", "api_key_env": "B" });
    assert!(failure(ask(both.clone()).await.0).1.contains("exclude each other"));
    assert_eq!(Llm::default().validate(&both)[0].path, ["api_key_env"]);
}

#[tokio::test]
async fn what_is_not_given_is_not_sent() {
    let server = Server::always(reply_json(200, &completion("Hello"))).await;
    let messages = json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }, { "role": "user", "content": "c" }]);
    let with = json!({ "model": "m", "base_url": server.url, "messages": messages, "stream": false });
    output(ask(with).await.0);
    let received = &server.received()[0];
    assert_eq!(received.json(), json!({ "model": "m", "messages": messages }));
    assert!(!received.headers.contains_key("authorization"));
}

#[tokio::test]
async fn servers_differ_in_what_they_leave_out() {
    let mut bare = json!({ "choices": [{ "message": { "content": [{ "type": "text", "text": "He" }, { "type": "text", "text": "llo\u{0}" }] } }] });
    let server = Server::always(reply_json(200, &bare)).await;
    let answer = output(ask(json!({ "model": "m", "base_url": server.url, "prompt": "12345" })).await.0);
    let mut counted = usage(2, 2);
    counted["estimated"] = true.into();
    assert_eq!((&answer["text"], &answer["model"]), (&json!("Hello\u{fffd}"), &json!("m")));
    assert_eq!((&answer["usage"], &answer["finish_reason"]), (&counted, &Value::Null));
    bare["usage"] = json!({ "prompt_tokens": 1, "completion_tokens": 2 });
    let server = Server::always(reply_json(200, &bare)).await;
    let answer = output(ask(json!({ "model": "m", "base_url": server.url, "prompt": "12345" })).await.0);
    assert_eq!(answer["usage"]["total_tokens"], 3);
}

#[tokio::test]
async fn errors_are_told_apart() {
    let wrong = json!({ "error": { "message": "the server's reason", "code": "x" } });
    for (status, class) in [
        (429, ErrorClass::RateLimited),
        (500, ErrorClass::Transient),
        (503, ErrorClass::Transient),
        (401, ErrorClass::Denied),
        (404, ErrorClass::Invalid),
        (302, ErrorClass::Failed),
    ] {
        let headers = "retry-after: 20\r\nlocation: http://127.0.0.1:1/\r\n";
        let server = Server::always(reply(status, headers, &wrong.to_string())).await;
        let outcome = ask(json!({ "model": "m", "base_url": server.url, "prompt": "x" })).await.0;
        let Outcome::Failed { error, retry_after } = outcome else { panic!("{outcome:?}") };
        assert_eq!((error.class, retry_after), (class, Some(Duration::from_secs(20))), "{status}");
        assert!(error.message.ends_with(": the server's reason"), "{}", error.message);
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_failure_with_a_reason() {
    let message = |message: Value| json!({ "choices": [{ "message": message }] }).to_string();
    for (body, class, expected) in [
        ("not json".to_owned(), ErrorClass::Failed, "the answer is not JSON"),
        ("{}".to_owned(), ErrorClass::Failed, "not a chat completion"),
        (r#"{"choices": []}"#.to_owned(), ErrorClass::Failed, "has no choices"),
        (r#"{"choices": "x"}"#.to_owned(), ErrorClass::Failed, "not a chat completion"),
        (message(json!({ "content": null })), ErrorClass::Failed, "has no text"),
        (message(json!({ "content": 5 })), ErrorClass::Failed, "not a chat completion"),
        (
            message(json!({ "content": null, "refusal": "I cannot" })),
            ErrorClass::Denied,
            "the model refuses: I cannot",
        ),
        ("[".repeat(100_000), ErrorClass::Failed, "the answer is not JSON"),
    ] {
        let server = Server::always(reply(200, "", &body)).await;
        let (found, message) =
            failure(ask(json!({ "model": "m", "base_url": server.url, "prompt": "x" })).await.0);
        assert_eq!(found, class, "{message}");
        assert!(message.contains(expected) && message.len() < 1_000, "{message}");
    }
}

#[tokio::test]
async fn servers_that_never_finish_are_left() {
    for (reply, class) in [
        (Reply::Hang(String::new()), ErrorClass::Timeout),
        (Reply::Hang("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_owned()), ErrorClass::Timeout),
        (Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_owned()), ErrorClass::Transient),
        (Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{".to_owned()), ErrorClass::Failed),
        (Reply::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(17 << 20))), ErrorClass::Failed),
    ] {
        let server = Server::always(reply).await;
        let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "timeout": "2s" });
        let (found, message) = failure(ask(with).await.0);
        assert_eq!(found, class, "{message}");
    }
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let with = json!({ "model": "m", "base_url": format!("http://{closed}"), "prompt": "x" });
    assert_eq!(failure(ask(with).await.0).0, ErrorClass::Transient);
}

#[tokio::test]
async fn a_stop_ends_the_waiting() {
    let effects = [EffectClass::Idempotent, EffectClass::AtMostOnce];
    let reasons = [StopReason::Shutdown, StopReason::TimedOut];
    for (effect, reason) in effects.into_iter().flat_map(|effect| reasons.map(|reason| (effect, reason))) {
        let server = Server::always(Reply::Hang(String::new())).await;
        let folder = tempfile::tempdir().unwrap();
        let (mut context, _) = context(folder.path());
        let (stopper, stop) = Stop::pair();
        context.stop = stop;
        context.effect = effect;
        let with = json!({ "model": "m", "base_url": server.url, "prompt": "x" });
        let outcome = tokio::spawn(async move { Llm::default().execute(context, request(with)).await });
        server.asked().await;
        stopper.stop(reason);
        let outcome = tokio::time::timeout(HANG, outcome).await.expect("it is still waiting").unwrap();
        match reason {
            // The server may have done the work, and counted it.
            _ if effect == EffectClass::AtMostOnce => {
                assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
            }
            StopReason::TimedOut => assert_eq!(failure(outcome).0, ErrorClass::Timeout),
            _ => assert_eq!(outcome, Outcome::Stopped),
        }
    }
}

#[tokio::test]
async fn where_a_question_must_not_be_asked_twice_no_answer_is_an_unknown_one() {
    for reply in
        [Reply::Hang(String::new()), Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_owned())]
    {
        let server = Server::always(reply).await;
        let folder = tempfile::tempdir().unwrap();
        let (mut context, _) = context(folder.path());
        context.effect = EffectClass::AtMostOnce;
        let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "timeout": "1s", "fallbacks": [{ "model": "n" }] });
        let outcome = Llm::default().execute(context, request(with)).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        assert_eq!(server.received().len(), 1, "no other is asked");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_found_is_named_and_nothing_is_sent() {
    let server = Server::always(reply_json(200, &completion("Hello"))).await;
    let with =
        json!({ "model": "m", "base_url": server.url, "prompt": "x", "api_key_env": "NO_SUCH_VARIABLE" });
    let (class, message) = failure(ask(with).await.0);
    assert!(class == ErrorClass::Invalid && message.contains("NO_SUCH_VARIABLE is not set"), "{message}");
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn configs_that_came_out_wrong_are_refused() {
    for (with, expected) in [
        (json!({ "prompt": "x", "model": "m" }), "`base_url`: the model `m` needs one"),
        (json!({ "prompt": "x", "model": "m", "base_url": "nowhere" }), "`base_url`: `nowhere` is not a URL"),
        (json!({ "prompt": "x", "messages": [] }), "exactly one of `prompt`, `prompt_file` and `messages`"),
        (json!({}), "exactly one of `prompt`, `prompt_file` and `messages`"),
        (json!({ "messages": [] }), "`messages` is empty"),
        (
            json!({ "messages": [{ "role": "god", "content": "x" }] }),
            "unknown variant `god`, expected one of `system`, `user`, `assistant`, `tool`",
        ),
        (json!({ "prompt": "x", "model": "m", "base_url": "http://h", "timeout": "0s" }), "`timeout`"),
        (json!({ "prompt": 5 }), "`with` does not fit"),
    ] {
        let (class, message) = failure(ask(with.clone()).await.0);
        assert!(class == ErrorClass::Invalid && message.contains(expected), "{with}: {message}");
    }
}

#[test]
fn configs_are_checked_as_written() {
    let problems = |with: Value| -> Vec<String> {
        let issues = Llm::default().validate(&with).into_iter();
        issues.map(|issue| format!("{}: {}", issue.path.join("."), issue.message)).collect()
    };
    assert_eq!(problems(json!({ "prompt": "x" })), [""; 0]);
    assert_eq!(problems(json!({ "prompt": "x", "model": "${{ inputs.model }}" })), [""; 0]);
    assert_eq!(problems(json!({ "prompt": "x", "model": "m", "base_url": "${{ inputs.url }}" })), [""; 0]);
    assert_eq!(
        problems(json!({ "prompt": "x", "model": "m" })),
        ["model: `m` needs a `base_url`: only `mock` is built in"]
    );
    assert_eq!(
        problems(json!({ "prompt": "x", "messages": [], "base_url": "ftp://x", "timeout": "5" })),
        [
            "base_url: `ftp` is not a scheme that can be called; use http or https",
            "messages: `prompt` and `messages` exclude each other",
            "messages: the list is empty",
            "timeout: `5` is not a duration such as 10s, 5m or 1h30m",
        ]
    );
    assert_eq!(problems(json!({})), [": neither `prompt`, `prompt_file` nor `messages` is given"]);
}

#[test]
fn what_a_question_reaches_is_said_beforehand() {
    let reaches = |with: Value| Llm::default().reaches(&with);
    assert_eq!(reaches(json!({ "prompt": "x" })), [""; 0]);
    assert_eq!(reaches(json!({ "prompt": "x", "model": "mock", "base_url": "http://h" })), [""; 0]);
    assert_eq!(
        reaches(json!({ "prompt": "x", "model": "m", "base_url": "https://h/v1?key=1", "api_key_env": "K" })),
        ["sends the prompt and the key in K to https://h/v1"]
    );
    assert_eq!(
        reaches(json!({ "model": "${{ inputs.model }}", "base_url": "http://h" })),
        ["sends the prompt to http://h, unless the model is `mock`"]
    );
    assert_eq!(Llm::default().effect_class(&json!({})), EffectClass::Idempotent);
}
