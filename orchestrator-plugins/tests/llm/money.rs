//! What a model costs, and the most that it may.

use orchestrator_core::port::plugin::{Outcome, Plugin, Spending};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::{Llm, Prices};
use serde_json::{Value, json};

use crate::completion;
use crate::server::{Server, reply_json};
use crate::stage::{self, failure, output};

fn priced() -> Llm {
    Llm::default()
        .with_prices(Prices::parse("m: { input: 2, output: 10 }\nfree-*: { input: 0, output: 0 }\n").unwrap())
}

async fn ask(with: Value) -> (Outcome, String) {
    let (outcome, log) = stage::execute(&priced(), with).await;
    (outcome, log.text())
}

#[tokio::test]
async fn the_cost_follows_from_the_table_or_from_the_step() {
    let server = Server::always(reply_json(200, &completion("Hello"))).await;
    for (model, price, expected) in [
        ("m", Value::Null, json!((22.0 + 30.0) / 1e6)),
        ("free-1", Value::Null, json!(0.0)),
        ("other", Value::Null, Value::Null),
        ("m", json!({ "input": 1_000_000, "output": 0 }), json!(11.0)),
    ] {
        let mut with = json!({ "model": model, "base_url": server.url, "prompt": "x" });
        if !price.is_null() {
            with["price"] = price;
        }
        let (outcome, log) = ask(with).await;
        assert_eq!(output(outcome)["cost_usd"], expected, "{model}");
        assert_eq!(log.contains('$'), !expected.is_null(), "{log}");
    }
}

#[tokio::test]
async fn an_attempt_that_may_cost_too_much_asks_nobody() {
    let server = Server::always(reply_json(200, &completion("Hello"))).await;
    let with = |more: Value| {
        let mut with = json!({ "model": "m", "base_url": server.url, "prompt": "x", "max_usd": 0.01, "max_tokens": 100 });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    };
    for (more, expected) in [
        (json!({ "prompt": "x".repeat(10_000) }), "an attempt may cost up to $0.0"),
        (json!({ "max_tokens": 10_000 }), "more than $0.01; nobody was asked"),
        (json!({ "max_tokens": null }), "give each model `max_tokens`"),
        (json!({ "model": "other" }), "give each model a `price`"),
        (json!({ "fallbacks": [{ "model": "other" }] }), "give each model a `price`"),
        (json!({ "schema": {}, "repairs": 3 }), "more than $0.01"),
        (json!({ "options": { "n": 20 } }), "no `options` that may make it dearer"),
    ] {
        let (class, message) = failure(ask(with(more)).await.0);
        assert_eq!(class, ErrorClass::Denied);
        assert!(message.starts_with("`max_usd`: ") && message.contains(expected), "{message}");
    }
    assert_eq!(server.received(), []);
    output(ask(with(json!({ "options": { "seed": 1 } }))).await.0);
}

#[test]
fn the_most_that_an_attempt_spends_is_known_beforehand() {
    let spends = |with: Value| priced().spends(&with);
    let base = "http://127.0.0.1:1";
    let bounded = spends(
        json!({ "model": "m", "base_url": base, "prompt": "x", "max_tokens": 10, "api_key_env": "NOT_SET" }),
    );
    let (tokens, cost) = (bounded.tokens.unwrap(), bounded.micro_usd.unwrap());
    assert!(tokens > 10 && tokens < 4_000 && cost > 100 && cost < 10_000, "{bounded:?}");
    let reaches =
        priced().reaches(&json!({ "model": "m", "base_url": base, "prompt": "x", "max_tokens": 10 }));
    assert!(
        reaches[1].starts_with("costs at most $0.00") && reaches[1].ends_with(" an attempt"),
        "{reaches:?}"
    );
    for open in [
        json!({ "model": "m", "base_url": base, "prompt": "x" }),
        json!({ "model": "m", "base_url": base, "prompt": "${{ inputs.x }}", "max_tokens": 10 }),
        json!({ "model": "m", "base_url": base, "prompt_file": "x", "max_tokens": 10 }),
        json!({ "model": "m", "prompt": "x", "max_tokens": 10 }),
    ] {
        assert_eq!(spends(open.clone()), Spending::UNBOUNDED, "{open}");
    }
    // The format has a limit of its own.
    assert!(spends(json!({ "model": "m", "api": "messages", "prompt": "x" })).micro_usd.is_some());
    assert_eq!(spends(json!({ "prompt": "x" })).micro_usd, Some(0));
    assert_eq!(
        spends(json!({ "model": "other", "base_url": base, "prompt": "x", "max_tokens": 10 })).micro_usd,
        None
    );
    // A fallback adds to it: who fails may have done the work.
    let twice = spends(
        json!({ "model": "m", "base_url": base, "prompt": "x", "max_tokens": 10, "fallbacks": [{ "model": "m" }] }),
    );
    assert_eq!(twice, bounded.and(bounded));
}
