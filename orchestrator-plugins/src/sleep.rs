//! `sleep`: lets time pass.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::machine::{Arrival, StepError};
use orchestrator_core::port::plugin::{Awaited, ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::{Timestamp, wall_clock};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{config, duration};

/// The longest sleep: 3,650 days.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// Lets time pass, without a slot and across restarts: `for` a duration, or `until` a moment. A moment that has passed
/// is no error; the step goes on at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sleep;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "for": {
                "type": "string",
                "minLength": 1,
                "description": "How long: whole numbers with ms, s, m, h or d, at most 3650d. Excludes `until`.",
                "examples": ["10s", "1h30m"],
            },
            "until": {
                "type": "string",
                "minLength": 1,
                "description": "The moment to go on at, in RFC 3339 with an offset. Excludes `for`.",
                "examples": ["2027-01-31T12:00:00Z"],
            },
        },
        "examples": [{ "for": "10s" }, { "until": "2027-01-31T12:00:00Z" }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["woke_at"],
        "additionalProperties": false,
        "properties": {
            "woke_at": {
                "type": "string",
                "description": "When the step went on, in RFC 3339.",
                "examples": ["2027-01-31T12:00:00.004Z"],
            },
        },
    })
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default, rename = "for")]
    span: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

#[async_trait]
impl Plugin for Sleep {
    fn kind(&self) -> &str {
        "sleep"
    }

    fn summary(&self) -> &str {
        "lets time pass without holding a slot"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Pure
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        match (config::given(with, "for"), config::given(with, "until")) {
            (true, true) => issues.push(config::issue(
                &["until"],
                "`for` and `until` exclude each other",
                Some("keep one of them"),
            )),
            (false, false) => issues.push(config::issue(
                &[],
                "neither `for` nor `until` is given",
                Some("write `for: 10s`, or `until:` with a moment such as 2027-01-31T12:00:00Z"),
            )),
            _ => {}
        }
        if let Some(Err(message)) = config::settled(with, "for").map(span) {
            issues.push(config::issue(&["for"], message, None));
        }
        if let Some(Err(message)) = config::settled(with, "until").map(moment) {
            issues.push(config::issue(&["until"], message, None));
        }
        issues
    }

    fn is_immediate(&self) -> bool {
        true
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match context.arrival {
            None => pause(request.with).unwrap_or_else(config::refused),
            Some(Arrival::Due) => awake(),
            Some(Arrival::Expired { .. }) => {
                Outcome::failed(ErrorClass::Timeout, "the step's `timeout` ended before the sleep did")
            }
            Some(other) => {
                Outcome::failed(ErrorClass::Invalid, format!("a sleep cannot go on with {other:?}"))
            }
        }
    }
}

fn pause(with: Value) -> Result<Outcome, StepError> {
    let config: Config = config::read(with)?;
    let pause = match (config.span.as_deref(), config.until.as_deref()) {
        (Some(text), None) => span(text).map_err(|message| config::invalid(format!("`for`: {message}")))?,
        (None, Some(text)) => moment(text)
            .map_err(|message| config::invalid(format!("`until`: {message}")))?
            .since(wall_clock()),
        _ => return Err(config::invalid("exactly one of `for` and `until` is needed")),
    };
    if pause.is_zero() {
        return Ok(awake());
    }
    Ok(Outcome::Wait { on: Awaited::Pause(pause) })
}

fn awake() -> Outcome {
    Outcome::Succeeded { output: json!({ "woke_at": wall_clock() }) }
}

fn span(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        span if span > LONGEST => Err("longer than 3650d, the longest sleep".to_owned()),
        span => Ok(span),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let moment: Timestamp =
        text.parse().map_err(|error: orchestrator_core::time::InvalidTimestamp| error.to_string())?;
    match moment.since(wall_clock()) {
        span if span > LONGEST => Err("more than 3650 days away, the longest sleep".to_owned()),
        _ => Ok(moment),
    }
}
