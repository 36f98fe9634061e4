//! The plugin.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{
    ConfigIssue, Context, Outcome, Plugin, Request, Spending, StopReason, Stream,
};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::answer::Answer;
use super::dialogue::{Dialogue, Told, dollars};
use super::mock;
use super::price::Prices;
use super::question::Question;
use super::schema::{CONFIG, OUTPUT};
use super::server::Server;
use super::shape::Shape;
use super::wire::Api;
use super::with::{self, Config, MOCK};
use crate::config::{self, invalid};
use crate::outbound::{self, Outbound};

/// The options that do not change what an answer costs at most.
const HARMLESS: [&str; 12] = [
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "stop",
    "stop_sequences",
    "top_k",
    "top_p",
    "user",
];

/// Asks a language model.
///
/// Without a `model`, or with `model: mock`, the built-in model answers: always the same for the same prompt, made of
/// the prompt's first lines or as `replies` tells it, and no text leaves the machine. Any other model needs a `base_url`, the
/// address of a server that speaks OpenAI's chat completions or responses or Anthropic's messages (`api`), or `api` alone.
///
/// `api_key_env` names a variable of this process's environment; its value is read when the step is dispatched, sent
/// as the format has it, and neither stored nor logged. `api_key` is the key itself.
///
/// `usage` counts as the server does. Where it does not, and for the mock, one token is estimated for every four
/// characters begun, and `usage.estimated` is true. What that costs follows from [`Prices`].
///
/// An answer that does not fit `schema` is asked for again, `repairs` times, with what is wrong. Where a model fails, other than by
/// refusing or because the question is wrong, those of `fallbacks` are asked in turn.
///
/// Failures: 429 is `rate_limited` with its `Retry-After`; a broken connection, 408 and 5xx are `transient`; no answer
/// in time is `timeout`; 401, 403, a model that refuses and an attempt that may cost more than `max_usd` are `denied`; other 4xx
/// are `invalid`; an answer that cannot be read or does not fit is `failed`. Redirects are not followed. It reaches the public
/// internet and what has been granted ([`Outbound`]); anything else is `denied`, and nothing is sent.
#[derive(Debug, Default)]
pub struct Llm {
    outbound: Arc<Outbound>,
    prices: Arc<Prices>,
}

impl Llm {
    /// The plugin over a way out that the host program has described, and that other plugins may share.
    #[must_use]
    pub fn over(outbound: Arc<Outbound>) -> Self {
        Self { outbound, ..Self::default() }
    }

    /// With what models cost. Without it no price is known but those that steps give.
    #[must_use]
    pub fn with_prices(mut self, prices: Prices) -> Self {
        self.prices = prices.into();
        self
    }
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
        let mut issues = with::issues(with);
        let replies =
            with.get("replies").filter(|replies| !config::any_open(replies)).and_then(Value::as_array);
        if let Some((_, problem)) = replies.and_then(|replies| mock::problem(replies)) {
            issues.push(config::issue(&["replies"], problem, None));
        }
        issues
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        let fallbacks = with.get("fallbacks").and_then(Value::as_array);
        let others = fallbacks.into_iter().flatten();
        let elsewhere =
            others.filter(|other| config::given(other, "base_url") || config::given(other, "api"));
        let elsewhere = elsewhere.flat_map(|other| reached(other, "if it fails, "));
        let cost = self.spends(with).micro_usd.filter(|most| *most > 0);
        let cost = cost.map(|most| format!("costs at most {} an attempt", dollars(most)));
        reached(with, "").into_iter().chain(elsewhere).chain(cost).collect()
    }

    fn spends(&self, with: &Value) -> Spending {
        // What an expression or a file will be is not known yet.
        if config::any_open(with) {
            return Spending::UNBOUNDED;
        }
        self.bound(with).unwrap_or(Spending::UNBOUNDED)
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match config::read::<Config>(request.with) {
            Ok(with) => self.answer(&context, with).await.unwrap_or_else(config::refused),
            Err(error) => config::refused(error),
        }
    }
}

impl Llm {
    /// The most that this config spends, where all of it is known.
    fn bound(&self, with: &Value) -> Result<Spending, StepError> {
        let with = config::read::<Config>(with.clone())?;
        let servers = Server::all(&with, &self.prices)?;
        Ok(spent(&servers, &with.inline()?, with.questions()))
    }

    async fn answer(&self, context: &Context, with: Config) -> Result<Outcome, StepError> {
        let question = with.question(context).await?;
        let shape = with.schema.as_ref().map(Shape::compile).transpose();
        let shape = shape.map_err(|message| invalid(format!("`schema`: {message}")))?;
        let mut servers = Server::all(&with, &self.prices)?;
        if let Some(limit) = with.max_usd {
            keep_within(limit, spent(&servers, &question, with.questions()))?;
        }
        servers.iter_mut().try_for_each(Server::unlock)?;
        let mut dialogue = Dialogue {
            outbound: &self.outbound,
            context,
            question: &question,
            shape: shape.as_ref(),
            servers: &servers,
            questions: with.questions(),
            stream: with.stream.unwrap_or(true),
            timeout: with.timeout()?,
            replies: with.replies.as_deref().unwrap_or_default(),
            asked: 0,
            sent: 0,
        };
        let prompt = question.prompt();
        let stop = context.stop.clone();
        Ok(tokio::select! {
            biased;
            told = dialogue.hold() => match told {
                Ok(told) => succeeded(&told, &prompt, dialogue.asked),
                Err(outcome) => {
                    // A success says it in its output.
                    let digest = prompt.get("digest").and_then(Value::as_str).unwrap_or_default();
                    context.log(Stream::System, &format!("the prompt was {digest}"));
                    outcome
                }
            },
            reason = stop.requested() => match reason {
                // Whoever was asked may have done the work.
                _ if context.effect == EffectClass::AtMostOnce && dialogue.sent > 0 => {
                    let error = StepError::new(ErrorClass::Transient, "stopped before the answer came");
                    Outcome::Unknown { error }
                }
                StopReason::TimedOut => {
                    Outcome::failed(ErrorClass::Timeout, "no answer within the step's `timeout`")
                }
                _ => Outcome::Stopped,
            },
        })
    }
}

/// The most that asking these servers can spend: one that fails may have done the work, and counts it.
fn spent(servers: &[Server], question: &Question, questions: u32) -> Spending {
    if question.options.keys().any(|name| !HARMLESS.contains(&name.as_str())) {
        // More than one answer, tools of the server's own, a dearer service: nobody knows.
        return Spending::UNBOUNDED;
    }
    let bytes = question.bytes();
    let each = servers.iter().map(|server| server.spends(bytes, questions));
    each.fold(Spending::NOTHING, Spending::and)
}

/// Refuses an attempt that may cost more than its author wants.
fn keep_within(limit: f64, spending: Spending) -> Result<(), StepError> {
    let denied = |why: String| Err(StepError::new(ErrorClass::Denied, format!("`max_usd`: {why}")));
    let shown = dollars((limit * 1e6) as u64);
    match spending {
        Spending { micro_usd: Some(most), .. } if most as f64 <= limit * 1e6 => Ok(()),
        Spending { micro_usd: Some(most), .. } => denied(format!(
            "an attempt may cost up to {}, more than {shown}; nobody was asked",
            dollars(most)
        )),
        Spending { tokens: None, .. } => {
            let why = "what an attempt may cost has no bound; give each model `max_tokens`, and no `options` that may make it dearer";
            denied(why.to_owned())
        }
        Spending { .. } => {
            denied("what an attempt may cost is not known; give each model a `price`".to_owned())
        }
    }
}

/// Where a prompt goes, as far as the config tells.
fn reached(with: &Value, when: &str) -> Option<String> {
    let text = |key| with.get(key).and_then(Value::as_str);
    let model = text("model").unwrap_or(MOCK);
    if model == MOCK {
        return None;
    }
    let home = || text("api").and_then(Api::named).map(Api::home);
    let Some(url) = text("base_url").or_else(home) else {
        return config::is_open(model)
            .then(|| format!("{when}sends the prompt to a model, unless it is `mock`"));
    };
    let unless = if config::is_open(model) { ", unless the model is `mock`" } else { "" };
    let key = match (text("api_key_env"), text("api_key")) {
        (Some(name), _) => format!(" and the key in {name}"),
        (None, Some(_)) => " and a key".to_owned(),
        (None, None) => String::new(),
    };
    Some(format!("{when}sends the prompt{key} to {}{unless}", outbound::text_shown(url)))
}

fn succeeded(told: &Told, prompt: &Value, questions: u32) -> Outcome {
    let Answer { text, tool_calls, model, finish_reason, .. } = &told.answer;
    let output = json!({
        "text": text,
        "json": told.json,
        "tool_calls": tool_calls,
        "model": model,
        "usage": told.usage,
        "cost_usd": told.micro_usd.map(|cost| cost as f64 / 1e6),
        "finish_reason": finish_reason,
        "prompt": prompt,
        "questions": questions,
    });
    Outcome::Succeeded { output }
}
