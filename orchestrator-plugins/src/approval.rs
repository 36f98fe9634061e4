//! `approval`: asks a person.

use std::sync::LazyLock;

use async_trait::async_trait;
use orchestrator_core::machine::Arrival;
use orchestrator_core::port::plugin::{Awaited, ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, OnExpiry};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config;

/// Asks a person, and gives the answer to later steps.
///
/// A rejection is an answer, not a failure: the step succeeds with `approved: false`, and what follows decides with
/// `if: steps.NAME.approved`. The step's `timeout: { after, then }` says what silence means; a decision made by it has
/// `expired: true`, `via: timeout` and no `by`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Approval;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["message"],
        "additionalProperties": false,
        "properties": {
            "message": {
                "type": "string",
                "minLength": 1,
                "description": "The question that the decider reads.",
                "examples": ["Publish these notes?"],
            },
            "show": {
                "description": "What the decision is about; shown to the decider in full. The decision holds for exactly this.",
                "examples": ["${{ steps.notes.text }}"],
            },
        },
        "examples": [{ "message": "Publish these notes?", "show": "${{ steps.notes.text }}" }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["approved", "by", "via", "comment", "expired"],
        "additionalProperties": false,
        "properties": {
            "approved": { "type": "boolean", "description": "The answer." },
            "by": { "description": "Who decided; null if nobody did in time." },
            "via": { "type": "string", "description": "How the decision came in: cli, api, host or timeout." },
            "comment": { "description": "The decider's words; null if there were none." },
            "expired": { "type": "boolean", "description": "Whether the time ran out and `timeout.then` decided." },
        },
    })
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    message: String,
    #[serde(default)]
    show: Option<Value>,
}

#[async_trait]
impl Plugin for Approval {
    fn kind(&self) -> &str {
        "approval"
    }

    fn summary(&self) -> &str {
        "asks a person, and waits for the answer without holding a slot"
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
        match config::settled(with, "message") {
            Some(message) if message.trim().is_empty() => {
                vec![config::issue(
                    &["message"],
                    "the question is blank",
                    Some("write what the decider is asked"),
                )]
            }
            _ => Vec::new(),
        }
    }

    fn is_immediate(&self) -> bool {
        true
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        match context.arrival {
            None => ask(request.with),
            Some(Arrival::Decision { approved, by, via, comment }) => {
                answer(approved, Some(&by), &via, comment.as_deref())
            }
            Some(Arrival::Expired { then: OnExpiry::Approve }) => answer(true, None, "timeout", None),
            Some(Arrival::Expired { then: OnExpiry::Reject }) => answer(false, None, "timeout", None),
            Some(Arrival::Expired { .. }) => Outcome::failed(ErrorClass::Timeout, "nobody decided in time"),
            Some(other) => {
                Outcome::failed(ErrorClass::Invalid, format!("an approval cannot go on with {other:?}"))
            }
        }
    }
}

fn ask(with: Value) -> Outcome {
    match config::read::<Config>(with) {
        Ok(Config { message, .. }) if message.trim().is_empty() => {
            config::refused(config::invalid("`message` is blank: the decider would not know what is asked"))
        }
        Ok(Config { message, show }) => Outcome::Wait { on: Awaited::Approval { message, show } },
        Err(error) => config::refused(error),
    }
}

fn answer(approved: bool, by: Option<&str>, via: &str, comment: Option<&str>) -> Outcome {
    let expired = by.is_none();
    Outcome::Succeeded {
        output: json!({ "approved": approved, "by": by, "via": via, "comment": comment, "expired": expired }),
    }
}
