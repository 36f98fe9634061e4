//! The built-in model, and prompts in files.

use std::time::{Duration, Instant};

use orchestrator_core::port::plugin::{Outcome, Plugin, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::Digest;
use orchestrator_plugins::Llm;
use serde_json::{Value, json};

use crate::ask;
use crate::stage::{context, failure, output, request};

#[tokio::test]
async fn without_a_model_the_mock_answers_the_same_every_time() {
    let with = json!({ "prompt": "Write release notes for:\nadd plugins\n" });
    let (outcome, log) = ask(with.clone()).await;
    let first = output(outcome);
    assert_eq!(first["model"], "mock");
    assert!(first["text"].as_str().unwrap().contains("- add plugins"));
    let usage = json!({
        "input_tokens": 10, "cached_input_tokens": 0, "output_tokens": 34, "total_tokens": 44, "estimated": true,
    });
    assert_eq!((&first["usage"], &first["cost_usd"]), (&usage, &json!(0.0)));
    assert_eq!(log.lines(Stream::System), ["mock: about 10 tokens in, about 34 out"]);
    assert_eq!(output(ask(with).await.0), first);
    let named = json!({ "model": "mock", "base_url": "http://127.0.0.1:1", "prompt": "Write release notes for:\nadd plugins\n" });
    assert_eq!(output(ask(named).await.0), first);
}

/// What the `attempt`th attempt of a step makes of this.
async fn attempt(attempt: u32, with: &Value) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = context(folder.path());
    context.attempt = attempt;
    Llm::default().execute(context, request(with.clone())).await
}

#[tokio::test]
async fn the_mock_replies_as_it_is_told() {
    let with = json!({
        "prompt": "x",
        "tools": [{ "name": "look_up" }],
        "replies": [
            { "error": { "class": "rate_limited", "message": "slow down", "retry_after": "2s" } },
            { "text": "two", "usage": { "input_tokens": 1000, "output_tokens": 20 }, "finish_reason": "length", "model": "m-9", "delay": "20ms" },
            { "tool_calls": [{ "id": "1", "name": "look_up", "arguments": { "a": 1 } }] },
            "the last",
        ],
    });
    assert!(Llm::default().validate(&with).is_empty());
    let Outcome::Failed { error, retry_after } = attempt(1, &with).await else { panic!("it has not failed") };
    assert_eq!(
        (error.class, &*error.message, retry_after),
        (ErrorClass::RateLimited, "slow down", Some(Duration::from_secs(2)))
    );
    let began = Instant::now();
    let second = output(attempt(2, &with).await);
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(
        (&second["text"], &second["model"], &second["finish_reason"]),
        (&json!("two"), &json!("m-9"), &json!("length"))
    );
    assert_eq!(
        (&second["usage"]["total_tokens"], &second["usage"]["estimated"]),
        (&json!(1020), &json!(false))
    );
    let third = output(attempt(3, &with).await);
    assert_eq!(
        (&third["tool_calls"][0]["name"], &third["finish_reason"]),
        (&json!("look_up"), &json!("tool_calls"))
    );
    for last in [4, 5, 400] {
        assert_eq!(output(attempt(last, &with).await)["text"], "the last");
    }
}

#[tokio::test]
async fn a_repair_is_a_question_more() {
    let schema = json!({ "type": "object", "required": ["n"] });
    let with = json!({ "prompt": "x", "schema": schema, "replies": ["no", { "json": { "n": 1 } }] });
    let output = output(attempt(1, &with).await);
    assert_eq!((&output["json"], &output["questions"]), (&json!({ "n": 1 }), &json!(2)));
}

#[tokio::test]
async fn what_the_mock_is_told_wrongly_is_said() {
    for (reply, expected) in [
        (json!(5), "`replies[0]`: it is neither a text nor a mapping"),
        (json!({ "txt": "x" }), "unknown field `txt`"),
        (json!({ "error": { "class": "bad" } }), "unknown variant `bad`"),
        (json!({ "text": "x", "delay": "soon" }), "`replies[0].delay`: `soon` is not a duration"),
    ] {
        let (class, message) = failure(attempt(1, &json!({ "prompt": "x", "replies": [reply] })).await);
        assert!(class == ErrorClass::Invalid && message.contains(expected), "{message}");
    }
    let issues = Llm::default().validate(&json!({ "prompt": "x", "replies": ["a", { "txt": "b" }] }));
    assert!(issues[0].message.starts_with("`replies[1]`: unknown field `txt`"), "{issues:?}");
    let issues =
        Llm::default().validate(&json!({ "prompt": "x", "model": "m", "api": "chat", "replies": [] }));
    assert_eq!(issues[0].path, ["replies"]);
}

#[tokio::test]
async fn a_prompt_can_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("prompts")).unwrap();
    let text = "Describe ${{ inputs.what }}:\n${{ inputs.facts|join(', ') }}\n";
    std::fs::write(folder.path().join("prompts/a.md"), text).unwrap();
    std::fs::write(folder.path().join("odd.md"), "${{ steps.a.b }}").unwrap();
    std::fs::write(folder.path().join("torn.md"), "${{ inputs").unwrap();
    std::fs::write(folder.path().join("latin.md"), b"\xe9").unwrap();
    std::fs::write(folder.path().join("long.md"), vec![b'x'; (1 << 20) + 1]).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.md")).unwrap();
    let execute = async |with: Value| Llm::default().execute(context(folder.path()).0, request(with)).await;
    let inputs = json!({ "what": "an ox", "facts": ["large", "calm"] });
    let output = output(execute(json!({ "prompt_file": "prompts/a.md", "inputs": inputs })).await);
    assert!(output["text"].as_str().unwrap().starts_with("# Describe an ox\n\n- large, calm\n"), "{output}");
    let digest = Digest::of(text.as_bytes()).to_string();
    assert_eq!(output["prompt"], json!({ "file": "prompts/a.md", "digest": digest }));
    for (file, expected) in [
        ("prompts/a.md", "inputs.what"),
        ("none.md", "none.md: No such file"),
        ("odd.md", "it sees only `inputs`"),
        ("torn.md", "torn.md: "),
        ("latin.md", "it is not UTF-8"),
        ("long.md", "it is longer than 1048576 bytes"),
        ("link.md", "leads out of the folder of the run"),
        ("../x.md", "not a path below the folder of the run"),
        ("prompts", "prompts is not a file"),
    ] {
        let (class, message) = failure(execute(json!({ "prompt_file": file })).await);
        assert!(class == ErrorClass::Invalid, "{message}");
        assert!(message.contains("`prompt_file`") && message.contains(expected), "{file}: {message}");
    }
}
