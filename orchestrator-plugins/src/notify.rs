//! `notify`: tells people something.

use std::sync::LazyLock;

use async_trait::async_trait;
use orchestrator_core::port::notice::{Level, Notice};
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use orchestrator_core::spec::EffectClass;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config;

/// Tells whoever watches the run something: at the terminal of `run`, as a live notice to a host program, and for later
/// among the lines of the step. To be told twice does no harm.
#[derive(Debug, Clone, Copy, Default)]
pub struct Notify;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["message"],
        "additionalProperties": false,
        "properties": {
            "message": {
                "type": "string",
                "minLength": 1,
                "description": "What is told; may have several lines.",
                "examples": ["Version ${{ inputs.version }} is out"],
            },
            "level": {
                "enum": ["info", "warning", "error"],
                "default": "info",
                "description": "How urgent it is.",
                "examples": ["warning"],
            },
            "title": {
                "type": "string",
                "minLength": 1,
                "description": "A few words before it.",
                "examples": ["Release"],
            },
        },
        "examples": [{ "message": "The backup is a day old", "level": "warning" }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["message"],
        "additionalProperties": false,
        "properties": { "message": { "type": "string", "description": "What was told." } },
    })
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    message: String,
    #[serde(default)]
    level: Level,
    #[serde(default)]
    title: Option<String>,
}

#[async_trait]
impl Plugin for Notify {
    fn kind(&self) -> &str {
        "notify"
    }

    fn summary(&self) -> &str {
        "tells people something at the terminal, and keeps it in the log"
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
        match config::settled(with, "message") {
            Some(message) if message.trim().is_empty() => {
                vec![config::issue(&["message"], "the message is blank", Some("write what is to be told"))]
            }
            _ => Vec::new(),
        }
    }

    fn is_immediate(&self) -> bool {
        true
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let Config { message, level, title } = match config::read(request.with) {
            Ok(config) => config,
            Err(error) => return config::refused(error),
        };
        if message.trim().is_empty() {
            return config::refused(config::invalid("`message` is blank: nobody would be told anything"));
        }
        let output = json!({ "message": message });
        context.notify(&Notice { level, title, message });
        Outcome::Succeeded { output }
    }
}
