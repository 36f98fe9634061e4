//! What an author may write.

use std::sync::LazyLock;

use async_trait::async_trait;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::EffectClass;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call;
use super::expect::Expected;
use crate::client::{self, LazyClient};
use crate::{config, duration};

/// How long a call may take where the author does not say: 30 s.
pub(super) const TIMEOUT: &str = "30s";

/// The largest body that is read where the author does not say: 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// The largest body that an author may ask for: 3 MiB. As text and as JSON it has to fit into one stored value.
const MAX_BYTES_MAX: u64 = 3 << 20;

/// Calls an HTTP service.
///
/// Requests that change something (all but GET and HEAD) carry the header `Idempotency-Key`, the same on every attempt
/// of the step, so that a receiver that knows it applies the request once; a key that the author sets wins. If the
/// connection breaks after such a request was sent, nobody can tell whether it was carried out: the outcome is
/// unknown, not failed.
///
/// An unexpected status fails the step: 429 as `rate_limited`, 408 and 5xx as `transient`, 401 and 403 as `denied`,
/// other 4xx as `invalid`, the rest as `failed`; `Retry-After` is kept. Up to five redirects are followed, never from
/// https to http; `Authorization` and `Cookie` stay behind when the host changes. No proxy is taken from the
/// environment. `Set-Cookie` does not appear in the output.
///
/// One instance keeps its connections; use it in one runtime.
#[derive(Debug, Default)]
pub struct Http {
    client: LazyClient,
}

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "properties": {
            "method": {
                "type": "string",
                "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
                "default": "GET",
                "description": "The method.",
            },
            "url": {
                "type": "string",
                "minLength": 1,
                "description": "The address, http or https.",
                "examples": ["https://api.example.com/items"],
            },
            "headers": {
                "type": "object",
                "additionalProperties": true,
                "description": "Headers of the request: texts, numbers or booleans.",
                "examples": [{ "Accept": "application/json" }],
            },
            "query": {
                "type": "object",
                "additionalProperties": true,
                "description": "Parameters added to the address; a list gives one for each of its items.",
                "examples": [{ "page": 2, "label": ["bug", "urgent"] }],
            },
            "json": {
                "description": "The body, sent as JSON. Excludes `body`.",
                "examples": [{ "title": "Hello" }],
            },
            "body": {
                "description": "The body as text. Excludes `json`.",
                "examples": ["a=1&b=2"],
            },
            "timeout": {
                "type": "string",
                "minLength": 1,
                "default": TIMEOUT,
                "description": "How long the whole call may take, the body included.",
                "examples": ["5s"],
            },
            "expect": {
                "default": "2xx",
                "description": "The statuses that are no failure: a number, a class, a range, or a list of them.",
                "examples": [201, "2xx", [200, 404]],
            },
            "max_bytes": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_BYTES_MAX,
                "default": MAX_BYTES,
                "description": "The largest body that is read; a larger one fails the step.",
                "examples": [65536],
            },
        },
        "examples": [
            { "url": "https://api.example.com/items", "query": { "page": 2 } },
            { "method": "POST", "url": "https://api.example.com/items", "json": { "title": "Hello" }, "expect": 201 },
        ],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["status", "headers", "body", "json"],
        "additionalProperties": false,
        "properties": {
            "status": { "type": "integer", "description": "The status.", "examples": [200] },
            "headers": {
                "type": "object",
                "additionalProperties": true,
                "description": "The headers by their names in lower case; repeated ones are joined with a comma.",
            },
            "body": { "type": "string", "description": "The body as text." },
            "json": { "description": "The body as JSON; null if it is none." },
        },
        "examples": [{ "status": 200, "headers": { "content-type": "application/json" }, "body": "{\"id\":1}", "json": { "id": 1 } }],
    })
});

/// A rendered `with`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) method: Option<String>,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) query: Option<Map<String, Value>>,
    /// `Some(Null)` is a body too, so that `null` can be sent.
    #[serde(default, deserialize_with = "present")]
    pub(super) json: Option<Value>,
    #[serde(default)]
    pub(super) body: Option<Value>,
    #[serde(default)]
    pub(super) timeout: Option<String>,
    #[serde(default)]
    pub(super) expect: Option<Value>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Config {
    /// The largest body that is read, in bytes.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes.unwrap_or(MAX_BYTES).min(MAX_BYTES_MAX)
    }
}

#[async_trait]
impl Plugin for Http {
    fn kind(&self) -> &str {
        "http"
    }

    fn summary(&self) -> &str {
        "calls an HTTP service"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, with: &Value) -> EffectClass {
        match with.get("method").map(Value::as_str) {
            None | Some(Some("GET" | "HEAD")) => EffectClass::Pure,
            Some(_) => EffectClass::Idempotent,
        }
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        let mut add = |key: &str, problem: Result<(), String>| {
            if let Err(message) = problem {
                issues.push(config::issue(&[key], message, None));
            }
        };
        if let Some(url) = config::settled(with, "url") {
            add("url", client::address(url).map(drop));
        }
        if let Some(timeout) = config::settled(with, "timeout") {
            add("timeout", duration::parse(timeout).and_then(call::bounded).map(drop));
        }
        if let Some(expect) = with.get("expect").filter(|value| !config::is_open(&value.to_string())) {
            add("expect", Expected::read(Some(expect)).map(drop));
        }
        // A null `json` is a body, a null `body` is none.
        let (json, body) = (with.get("json").is_some(), config::given(with, "body"));
        if json && body {
            let hint = Some("keep one of them");
            issues.push(config::issue(&["body"], "`json` and `body` exclude each other", hint));
        }
        if (json || body) && !config::given(with, "method") {
            let key = if json { "json" } else { "body" };
            let hint = Some("add `method: POST`, or `method: GET` if that is meant");
            issues.push(config::issue(&[key], "there is a body but no `method`, and that means GET", hint));
        }
        issues.extend(call::header_issues(with.get("headers")));
        issues
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let text = |key| with.get(key).and_then(Value::as_str);
        let url = client::text_shown(text("url").unwrap_or("?"));
        vec![format!("sends a {} request to {url}", text("method").unwrap_or("GET"))]
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match config::read::<Config>(request.with) {
            Ok(with) => call::call(&self.client, &context, &with).await.unwrap_or_else(config::refused),
            Err(error) => config::refused(error),
        }
    }
}
