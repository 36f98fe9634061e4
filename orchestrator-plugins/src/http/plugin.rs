//! What the plugin tells of itself.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::EffectClass;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::expect::Expected;
use super::request::{bounded, header_issues, is_safe};
use super::schema::{CONFIG, OUTPUT};
use super::{body, call, check};
use crate::outbound::{self, Outbound};
use crate::{below, config, duration};

/// How long a call may take where the author does not say: 30 s.
pub(super) const TIMEOUT: &str = "30s";

/// The largest body that is read where the author does not say: 1 MiB.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// The largest body that an author may ask for: 3 MiB. As text and as JSON it has to fit into one stored value.
pub(super) const MAX_BYTES_MAX: u64 = 3 << 20;

/// Calls an HTTP service.
///
/// Requests that change something (all but GET and HEAD) carry the header `Idempotency-Key`, the same on every attempt
/// of the step, so that a receiver that knows it applies the request once; a key that the author sets wins. If the
/// connection breaks after such a request was sent, nobody can tell whether it was carried out: the outcome is
/// unknown, not failed.
///
/// An unexpected status fails the step: 429 as `rate_limited`, 408 and 5xx as `transient`, 401 and 403 as `denied`,
/// other 4xx as `invalid`, the rest as `failed`; `Retry-After` is kept. An answer that `check` does not hold of is `failed`.
///
/// It reaches the public internet and what has been granted ([`Outbound`]); anything else is `denied`, and nothing is sent.
/// Up to five redirects are followed, unless their status is expected; each is a destination that is checked as the first
/// was. None leads from https to http, and to another origin go along only headers that say what is wanted and what is sent.
///
/// No compression is asked for: `max_bytes` bounds what is received as well as what comes of it. `Set-Cookie` does not
/// appear in the output.
#[derive(Debug, Default)]
pub struct Http {
    outbound: Arc<Outbound>,
}

impl Http {
    /// The plugin over a way out that the host program has described, and that other plugins may share.
    #[must_use]
    pub const fn over(outbound: Arc<Outbound>) -> Self {
        Self { outbound }
    }
}

/// A rendered `with`. Without `Debug`, for much of it may be secret.
#[derive(Deserialize)]
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
    pub(super) form: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) multipart: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) body: Option<Value>,
    #[serde(default)]
    pub(super) body_file: Option<String>,
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    #[serde(default)]
    pub(super) timeout: Option<String>,
    #[serde(default)]
    pub(super) expect: Option<Value>,
    #[serde(default)]
    pub(super) check: Option<String>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

/// What the header `Authorization` is made of: one of the two. Without `Debug`, for both are secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    #[serde(default)]
    pub(super) basic: Option<Basic>,
    #[serde(default)]
    pub(super) bearer: Option<String>,
}

/// A user and a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    pub(super) username: String,
    pub(super) password: String,
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
            None => EffectClass::Pure,
            Some(Some(method)) if is_safe(method) => EffectClass::Pure,
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
            add("url", outbound::address(url).map(drop));
        }
        if let Some(timeout) = config::settled(with, "timeout") {
            add("timeout", duration::parse(timeout).and_then(bounded).map(drop));
        }
        if let Some(expect) = with.get("expect").filter(|value| !config::is_open(&value.to_string())) {
            add("expect", Expected::read(Some(expect)).map(drop));
        }
        if let Some(check) = with.get("check").and_then(Value::as_str) {
            add("check", check::compile(check).map(drop));
        }
        if let Some(path) =
            config::settled(with, "body_file").filter(|path| !below::is_below(Path::new(path)))
        {
            add(
                "body_file",
                Err(format!("`{}` is not a path below the folder of the run", outbound::shortened(path, 60))),
            );
        }
        issues.extend(body_issues(with));
        if let Some(auth) = with.get("auth").and_then(Value::as_object)
            && auth.contains_key("basic") == auth.contains_key("bearer")
        {
            let message = "exactly one of `basic` and `bearer` is needed";
            issues.push(config::issue(&["auth"], message, Some("write for example `{ bearer: TOKEN }`")));
        }
        issues.extend(header_issues(with.get("headers")));
        issues
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let text = |key| with.get(key).and_then(Value::as_str);
        let url = outbound::text_shown(text("url").unwrap_or("?"));
        vec![format!("sends a {} request to {url}", text("method").unwrap_or("GET"))]
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match config::read::<Config>(request.with) {
            Ok(with) => call::call(&self.outbound, &context, &with).await.unwrap_or_else(config::refused),
            Err(error) => config::refused(error),
        }
    }
}

/// What is wrong with the body as written.
fn body_issues(with: &Value) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    // A null `json` is a body, any other null is none.
    let is_given =
        |key: &&&str| if **key == "json" { with.get("json").is_some() } else { config::given(with, key) };
    let given: Vec<&str> = body::KEYS.iter().filter(is_given).copied().collect();
    if let [one, other, ..] = given[..] {
        let message = format!("`{one}` and `{other}` exclude each other");
        issues.push(config::issue(&[other], message, Some("keep one of them")));
    }
    if let Some(key) = given.first()
        && !config::given(with, "method")
    {
        let hint = Some("add `method: POST`, or `method: GET` if that is meant");
        issues.push(config::issue(&[key], "there is a body but no `method`, and that means GET", hint));
    }
    issues
}
