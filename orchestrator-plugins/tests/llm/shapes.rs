//! Answers that have to be JSON of a certain shape.

use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Llm;
use serde_json::{Value, json};

use crate::server::{Server, reply_json};
use crate::stage::{failure, output};
use crate::{ask, completion};

fn schema() -> Value {
    json!({
        "type": "object", "required": ["title", "score"], "additionalProperties": false,
        "properties": { "title": { "type": "string" }, "score": { "type": "integer", "minimum": 1 } },
    })
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong() {
    let server = Server::start(|received| {
        let said = received.json()["messages"].as_array().unwrap().len();
        let text = match said {
            2 => "Sure! Here it is.",
            4 => "{\"title\": \"T\", \"score\": 0}",
            _ => "```json\n{\"title\": \"T\", \"score\": 3}\n```",
        };
        reply_json(200, &completion(text))
    })
    .await;
    let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "schema": schema(), "price": { "input": 1, "output": 10 } });
    let (outcome, log) = ask(with).await;
    let output = output(outcome);
    assert_eq!((&output["json"], &output["questions"]), (&json!({ "title": "T", "score": 3 }), &json!(3)));
    assert_eq!(output["usage"]["total_tokens"], 3 * 14);
    assert_eq!(output["cost_usd"], json!(3.0 * (11.0 + 30.0) / 1e6));
    let received = server.received();
    let first = received[0].json();
    assert_eq!(first["response_format"]["json_schema"]["schema"], schema());
    assert!(first["messages"][0]["content"].as_str().unwrap().contains("\"minimum\":1"));
    let last = received[2].json();
    let complaint = last["messages"][5]["content"].as_str().unwrap();
    assert!(complaint.contains("/score: 0 is less than the minimum of 1"), "{complaint}");
    assert_eq!(last["messages"][4]["content"], "{\"title\": \"T\", \"score\": 0}");
    // Another question is another request, also for a server that answers a key once.
    let keys: Vec<&String> = received.iter().map(|received| &received.headers["idempotency-key"]).collect();
    let others: Vec<&str> =
        keys[1..].iter().map(|key| key.strip_prefix(&format!("{}-", keys[0])).unwrap()).collect();
    assert!(others[0] != others[1], "{keys:?}");
    assert_eq!(log.text().matches("does not fit").count(), 2);
}

#[tokio::test]
async fn a_model_that_cannot_do_it_fails_the_step() {
    for (repairs, questions) in [(json!(0), 1), (json!(null), 3)] {
        let server = Server::always(reply_json(200, &completion("{}"))).await;
        let with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "schema": schema(), "repairs": repairs });
        let (class, message) = failure(ask(with).await.0);
        assert_eq!(class, ErrorClass::Failed);
        let expected =
            format!("no answer of {questions} fits `schema`: the whole: \"title\" is a required property");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(server.received().len(), questions);
    }
}

#[tokio::test]
async fn the_shape_is_asked_for_in_every_format() {
    for (api, answer, native) in [
        (
            "responses",
            json!({ "status": "completed", "output": [{ "type": "message", "content": [{ "type": "output_text", "text": "5" }] }] }),
            "/text/format/schema",
        ),
        ("messages", json!({ "stop_reason": "end_turn", "content": [{ "type": "text", "text": "5" }] }), ""),
    ] {
        let server = Server::always(reply_json(200, &answer)).await;
        let with = json!({ "model": "m", "api": api, "base_url": server.url, "prompt": "x", "schema": { "type": "integer" } });
        assert_eq!(output(ask(with).await.0)["json"], 5);
        let sent = server.received()[0].json();
        let told = sent.get("instructions").or(sent.get("system")).unwrap().as_str().unwrap();
        assert!(told.contains("{\"type\":\"integer\"}"), "{told}");
        if !native.is_empty() {
            assert_eq!(sent.pointer(native).unwrap(), &json!({ "type": "integer" }));
        }
    }
}

#[tokio::test]
async fn a_model_may_call_a_tool_before_it_answers() {
    let reply = json!({ "tool_calls": [{ "id": "1", "name": "look_up", "arguments": {} }] });
    let with =
        json!({ "prompt": "x", "schema": schema(), "tools": [{ "name": "look_up" }], "replies": [reply] });
    let output = output(ask(with).await.0);
    assert_eq!((&output["json"], &output["tool_calls"][0]["name"]), (&Value::Null, &json!("look_up")));
}

#[test]
fn a_schema_is_looked_at_beforehand() {
    let problems = |with: Value| -> Vec<String> {
        let issues = Llm::default().validate(&with).into_iter();
        issues.map(|issue| format!("{}: {}", issue.path.join("."), issue.message)).collect()
    };
    assert_eq!(problems(json!({ "prompt": "x", "schema": schema() })), [""; 0]);
    let found = problems(json!({ "prompt": "x", "schema": { "type": "objekt" } }));
    assert!(found[0].starts_with("schema: it is no JSON Schema: /type: "), "{found:?}");
    assert_eq!(
        problems(json!({ "prompt": "x", "repairs": 1 })),
        ["repairs: there is no `schema` that an answer would have to fit"]
    );
    assert_eq!(
        problems(json!({ "prompt": "x", "tools": [{ "name": "a" }], "tool_choice": "b" })),
        ["tool_choice: `b` is neither auto, none, required nor the name of one of `tools`"]
    );
}
