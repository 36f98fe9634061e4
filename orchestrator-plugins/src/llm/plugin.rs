//! What an author may write, and what comes of it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request, StopReason, Stream};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chat::{self, Body, Call};
use super::mock;
use crate::config::{self, invalid};
use crate::duration;
use crate::outbound::{self, Outbound};

/// The name of the built-in model.
pub(super) const MOCK: &str = "mock";

/// How long an answer may take where the author does not say.
const TIMEOUT: &str = "2m";

/// The longest `timeout`: one hour.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// Asks a language model.
///
/// Without a `model`, or with `model: mock`, the built-in model answers: always the same for the same prompt, made of
/// the prompt's first lines, and no text leaves the machine. Any other model needs a `base_url`, the address of a
/// server that speaks the wire format of OpenAI's chat completions (`base_url` + `/chat/completions`).
///
/// `api_key_env` names a variable of this process's environment; its value is read when the step is dispatched, sent
/// as a bearer token, and neither stored nor logged. `api_key` is the key itself.
///
/// `usage` counts as the server does. Where it does not, and for the mock, one token is estimated for every four
/// characters begun, and `usage.estimated` is true.
///
/// Failures: 429 is `rate_limited` with its `Retry-After`; a broken connection, 408 and 5xx are `transient`; no answer
/// in time is `timeout`; 401, 403 and a model that refuses are `denied`; other 4xx are `invalid`; an answer that
/// cannot be read is `failed`. Redirects are not followed. It reaches the public internet and what has been granted
/// ([`Outbound`]); anything else is `denied`, and nothing is sent.
#[derive(Debug, Default)]
pub struct Llm {
    outbound: Arc<Outbound>,
}

impl Llm {
    /// The plugin over a way out that the host program has described, and that other plugins may share.
    #[must_use]
    pub const fn over(outbound: Arc<Outbound>) -> Self {
        Self { outbound }
    }
}

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "model": {
                "type": "string",
                "minLength": 1,
                "default": MOCK,
                "description": "The model. `mock` is built in and reaches nothing; any other needs `base_url`.",
                "examples": ["mock", "gpt-4.1-mini", "llama3.2"],
            },
            "base_url": {
                "type": "string",
                "minLength": 1,
                "secret": true,
                "description": "The server, up to and without `/chat/completions`; one that is not on the public internet needs `permissions`.",
                "examples": ["https://api.openai.com/v1", "http://127.0.0.1:11434/v1"],
            },
            "api_key": {
                "type": "string",
                "minLength": 1,
                "secret": true,
                "description": "The API key, sent as a bearer token. Excludes `api_key_env`.",
            },
            "api_key_env": {
                "type": "string",
                "minLength": 1,
                "description": "The variable of this process's environment that holds the API key.",
                "examples": ["OPENAI_API_KEY"],
            },
            "prompt": {
                "type": "string",
                "minLength": 1,
                "description": "What the model is asked. Excludes `messages`.",
                "examples": ["Write release notes for:\n${{ steps.log.stdout }}"],
            },
            "messages": {
                "type": "array",
                "description": "A conversation that the model is to go on with. Excludes `prompt`.",
                "items": {
                    "type": "object",
                    "required": ["role", "content"],
                    "additionalProperties": false,
                    "properties": {
                        "role": { "type": "string", "enum": ROLES, "description": "Who speaks." },
                        "content": { "type": "string", "description": "What is said." },
                    },
                },
                "examples": [[{ "role": "user", "content": "Hello" }]],
            },
            "system": {
                "type": "string",
                "description": "What the model is told first.",
                "examples": ["Answer in one sentence."],
            },
            "temperature": {
                "type": "number",
                "minimum": 0,
                "maximum": 2,
                "description": "How freely the model chooses its words; the server's default if it is not given.",
                "examples": [0.2],
            },
            "max_tokens": {
                "type": "integer",
                "minimum": 1,
                "description": "The longest answer, in tokens.",
                "examples": [500],
            },
            "timeout": {
                "type": "string",
                "minLength": 1,
                "default": TIMEOUT,
                "description": "How long the answer may take.",
                "examples": ["30s"],
            },
        },
        "examples": [
            { "prompt": "Write release notes for:\n${{ steps.log.stdout }}" },
            { "model": "gpt-4.1-mini", "base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY", "prompt": "Hello" },
        ],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["text", "model", "usage", "finish_reason"],
        "additionalProperties": false,
        "properties": {
            "text": { "type": "string", "description": "The answer." },
            "model": { "type": "string", "description": "The model that answered, as the server names it." },
            "usage": {
                "type": "object",
                "additionalProperties": false,
                "required": ["input_tokens", "output_tokens", "total_tokens", "estimated"],
                "properties": {
                    "input_tokens": { "type": "integer", "description": "Tokens of the question." },
                    "output_tokens": { "type": "integer", "description": "Tokens of the answer." },
                    "total_tokens": { "type": "integer", "description": "Both together." },
                    "estimated": { "type": "boolean", "description": "Whether they were estimated here." },
                },
            },
            "finish_reason": { "description": "Why the answer ends: `stop`, `length` if it was cut, or what the server says; null if it does not." },
        },
        "examples": [{
            "text": "Hello",
            "model": "gpt-4.1-mini",
            "usage": { "input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "estimated": false },
            "finish_reason": "stop",
        }],
    })
});

/// A rendered `with`. Without `Debug`, for the key is secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    base_url: Option<String>,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    api_key_env: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    timeout: Option<String>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    /// `system`, `user` or `assistant`.
    pub(super) role: String,
    pub(super) content: String,
}

/// What a model has answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) model: String,
    pub(super) usage: Usage,
    pub(super) finish_reason: Option<String>,
}

/// How many tokens that took.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) total_tokens: u64,
    pub(super) estimated: bool,
}

#[async_trait]
impl Plugin for Llm {
    fn kind(&self) -> &str {
        "llm"
    }

    fn summary(&self) -> &str {
        "asks a language model; the built-in mock if none is named"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Idempotent
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        if let Some(model) = config::settled(with, "model")
            && model != MOCK
            && !config::given(with, "base_url")
        {
            issues.push(config::issue(
                &["model"],
                format!("`{}` needs a `base_url`: only `mock` is built in", outbound::shortened(model, 60)),
                Some("add the server's address, for example `base_url: https://api.openai.com/v1`"),
            ));
        }
        if let Some(Err(message)) = config::settled(with, "base_url").map(chat::endpoint) {
            issues.push(config::issue(&["base_url"], message, None));
        }
        if let Some(Err(message)) = config::settled(with, "timeout").map(time) {
            issues.push(config::issue(&["timeout"], message, None));
        }
        if config::given(with, "api_key") && config::given(with, "api_key_env") {
            let message = "`api_key` and `api_key_env` exclude each other";
            issues.push(config::issue(&["api_key_env"], message, Some("keep one of them")));
        }
        match (config::given(with, "prompt"), config::given(with, "messages")) {
            (true, true) => issues.push(config::issue(
                &["messages"],
                "`prompt` and `messages` exclude each other",
                Some("keep one of them"),
            )),
            (false, false) => issues.push(config::issue(
                &[],
                "neither `prompt` nor `messages` is given",
                Some("write what the model is asked as `prompt:`"),
            )),
            _ => {}
        }
        if with.get("messages").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            issues.push(config::issue(&["messages"], "the list is empty", None));
        }
        issues
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let text = |key| with.get(key).and_then(Value::as_str);
        match (text("model").unwrap_or(MOCK), text("base_url")) {
            (MOCK, _) => Vec::new(),
            (model, None) if config::is_open(model) => {
                vec!["sends the prompt to a model, unless it is `mock`".to_owned()]
            }
            (_, None) => Vec::new(),
            (model, Some(url)) => {
                let unless = if config::is_open(model) { ", unless the model is `mock`" } else { "" };
                let key = match (text("api_key_env"), text("api_key")) {
                    (Some(name), _) => format!(" and the key in {name}"),
                    (None, Some(_)) => " and a key".to_owned(),
                    (None, None) => String::new(),
                };
                vec![format!("sends the prompt{key} to {}{unless}", outbound::text_shown(url))]
            }
        }
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match config::read::<Config>(request.with) {
            Ok(with) => self.answer(&context, with).await.unwrap_or_else(config::refused),
            Err(error) => config::refused(error),
        }
    }
}

impl Llm {
    async fn answer(&self, context: &Context, with: Config) -> Result<Outcome, StepError> {
        let messages = conversation(with.system, with.prompt, with.messages)?;
        let model = with.model.as_deref().unwrap_or(MOCK);
        if model == MOCK {
            return Ok(succeeded(context, &mock::answer(&messages, with.max_tokens)));
        }
        let no_server =
            || invalid(format!("`base_url`: the model `{model}` needs one; only `{MOCK}` is built in"));
        let timeout = with.timeout.as_deref().unwrap_or(TIMEOUT);
        let key = match (with.api_key, with.api_key_env.as_deref()) {
            (Some(_), Some(_)) => return Err(invalid("`api_key` and `api_key_env` exclude each other")),
            (Some(given), None) => Some(given.trim().to_owned()),
            (None, name) => name.map(key).transpose()?,
        };
        let call = Call {
            base_url: with.base_url.as_deref().ok_or_else(no_server)?,
            api_key: key.as_deref(),
            timeout: time(timeout).map_err(|message| invalid(format!("`timeout`: {message}")))?,
            idempotency_key: &context.idempotency_key(),
            body: Body {
                model,
                messages: &messages,
                temperature: with.temperature,
                max_tokens: with.max_tokens,
            },
        };
        let stop = context.stop.clone();
        Ok(tokio::select! {
            biased;
            answer = chat::ask(&self.outbound, context, &call) => match answer {
                Ok(answer) => succeeded(context, &answer),
                Err(outcome) => outcome,
            },
            reason = stop.requested() => match reason {
                StopReason::TimedOut => {
                    Outcome::failed(ErrorClass::Timeout, "no answer within the step's `timeout`")
                }
                _ => Outcome::Stopped,
            },
        })
    }
}

fn conversation(
    system: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
) -> Result<Vec<Message>, StepError> {
    let said = match (prompt, messages) {
        (Some(content), None) => vec![Message { role: "user".to_owned(), content }],
        (None, Some(messages)) if !messages.is_empty() => messages,
        (None, Some(_)) => return Err(invalid("`messages` is empty")),
        _ => return Err(invalid("exactly one of `prompt` and `messages` is needed")),
    };
    if let Some(message) = said.iter().find(|message| !ROLES.contains(&message.role.as_str())) {
        let role = outbound::shortened(&message.role, 60);
        return Err(invalid(format!("`messages`: `{role}` is not one of {}", ROLES.join(", "))));
    }
    let system = system.map(|content| Message { role: "system".to_owned(), content });
    Ok(system.into_iter().chain(said).collect())
}

fn key(name: &str) -> Result<String, StepError> {
    match std::env::var(name) {
        Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
        Ok(_) => Err(invalid(format!("`api_key_env`: the variable {name} is empty"))),
        Err(_) => Err(invalid(format!(
            "`api_key_env`: the variable {name} is not set in this process's environment"
        ))),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("no answer takes no time; use at least 1ms".to_owned()),
        timeout if timeout > TIMEOUT_MAX => {
            Err("longer than 1h, the longest timeout of an answer".to_owned())
        }
        timeout => Ok(timeout),
    }
}

fn succeeded(context: &Context, answer: &Answer) -> Outcome {
    let Usage { input_tokens, output_tokens, estimated, .. } = &answer.usage;
    let about = if *estimated { "about " } else { "" };
    let line = format!("{}: {about}{input_tokens} tokens in, {about}{output_tokens} out", answer.model);
    context.log(Stream::System, &line);
    Outcome::Succeeded { output: json!(answer) }
}
