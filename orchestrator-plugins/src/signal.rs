//! `signal`: waits for word from outside.

use std::sync::LazyLock;

use async_trait::async_trait;
use orchestrator_core::machine::{Arrival, SIGNAL_NAME_LIMIT, Signal as Given};
use orchestrator_core::port::plugin::{
    Awaited, ConfigIssue, Context, ExpectedSignal, Outcome, Plugin, Request,
};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::schema::check_value;
use orchestrator_core::spec::{EffectClass, check_schema};
use orchestrator_core::value::ValueRef;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config;

/// Waits, without a slot and across restarts, for a signal of a name, and gives what came with it to later steps.
///
/// A signal is taken by one step. One that comes before any step waits for it is kept for the next that does. Data that
/// does not fit `schema` is refused when the signal is given, where name and schema are written without expressions; else
/// the step fails with class `invalid`, and a `retry` that names that class waits for the next signal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signal;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "description": "What the signal is called: up to 200 bytes. An expression may make it one of an item, or of a customer.",
                "examples": ["paid", "paid-${{ item }}"],
            },
            "schema": {
                "type": "object",
                "additionalProperties": true,
                "description": "What the data must be, as a JSON Schema; without it, anything will do.",
                "examples": [{ "type": "object", "required": ["amount"], "properties": { "amount": { "type": "number" } } }],
            },
        },
        "examples": [{ "name": "paid" }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["name", "data", "by", "at"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "description": "What the signal is called." },
            "data": { "description": "What came with it; null if nothing." },
            "by": { "type": "string", "description": "Who gave it." },
            "at": {
                "type": "string",
                "description": "When it was given, in RFC 3339.",
                "examples": ["2027-01-31T12:00:00.004Z"],
            },
        },
    })
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    #[serde(default)]
    schema: Option<Value>,
}

#[async_trait]
impl Plugin for Signal {
    fn kind(&self) -> &str {
        "signal"
    }

    fn summary(&self) -> &str {
        "waits for a signal from outside without holding a slot"
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
        let wrong = config::settled(with, "name").and_then(wrong_name);
        let named = wrong.map(|message| config::issue(&["name"], message, None));
        let schema = with.get("schema").filter(|schema| !config::is_open(&schema.to_string()));
        let inside = |mut issue: ConfigIssue| {
            issue.path.insert(0, "schema".to_owned());
            issue
        };
        let schema = schema.map(check_schema).unwrap_or_default().into_iter().map(inside);
        named.into_iter().chain(schema).collect()
    }

    fn signal(&self, with: &Value) -> Option<ExpectedSignal> {
        let schema = with.get("schema").filter(|schema| !config::is_open(&schema.to_string()));
        Some(ExpectedSignal {
            name: config::settled(with, "name").map(str::to_owned),
            schema: schema.cloned(),
        })
    }

    fn is_immediate(&self) -> bool {
        true
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let Config { name, schema } = match config::read(request.with) {
            Ok(config) => config,
            Err(error) => return config::refused(error),
        };
        match context.arrival {
            None => match wrong_name(&name) {
                Some(wrong) => config::refused(config::invalid(format!("`name`: {wrong}"))),
                None => Outcome::Wait { on: Awaited::Signal { name } },
            },
            Some(Arrival::Signal(signal)) => take(&signal, schema.as_ref()),
            Some(other) => {
                Outcome::failed(ErrorClass::Invalid, format!("a signal cannot go on with {other:?}"))
            }
        }
    }
}

fn wrong_name(name: &str) -> Option<String> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Some("a signal has a name without control characters".to_owned());
    }
    (name.len() > SIGNAL_NAME_LIMIT)
        .then(|| format!("{} bytes long; the limit is {SIGNAL_NAME_LIMIT}", name.len()))
}

fn take(signal: &Given, schema: Option<&Value>) -> Outcome {
    let ValueRef::Inline(data) = &signal.data else {
        return Outcome::failed(ErrorClass::Transient, "the data of the signal is not at hand");
    };
    let data: Value = match serde_json::from_str(data) {
        Ok(data) => data,
        Err(error) => {
            return config::refused(config::invalid(format!(
                "the data of the signal does not read: {error}"
            )));
        }
    };
    if let Some(issue) = schema.and_then(|schema| check_value(schema, &data).into_iter().next()) {
        let place = std::iter::once("data").chain(issue.path.iter().map(String::as_str));
        let place = place.collect::<Vec<_>>().join(".");
        return config::refused(config::invalid(format!(
            "the signal of {} does not fit `schema`: {place}: {}",
            signal.by, issue.message
        )));
    }
    Outcome::Succeeded {
        output: json!({ "name": signal.name, "data": data, "by": signal.by, "at": signal.at }),
    }
}
