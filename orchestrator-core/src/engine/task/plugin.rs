//! The kind of step that is a task.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::engine::task::said::{DEFAULT_TTL, MAX_TTL, MIN_TTL, TaskType, ttl_of};
use crate::id::RunId;
use crate::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use crate::spec::retry::ErrorClass;
use crate::spec::{EffectClass, TASK_KIND, duration};

/// Work that somebody claims from outside. Every engine has it, and offers it: the plugin only says what it takes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TaskKind;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let types: Vec<&str> = TaskType::ALL.iter().map(|kind| kind.as_str()).collect();
    let [default, least, most] = [DEFAULT_TTL, MIN_TTL, MAX_TTL].map(duration::print);
    json!({
        "type": "object",
        "required": ["title"],
        "additionalProperties": false,
        "properties": {
            "title": {
                "type": "string",
                "minLength": 1,
                "description": "What is to be done, in a line of at most 500 bytes.",
                "examples": ["Make the login page work with a screen reader"],
            },
            "prompt": {
                "type": "string",
                "description": "All that whoever claims it has to know.",
                "examples": ["See docs/accessibility.md. Add a test for each page that you change."],
            },
            "type": {
                "type": "string",
                "enum": types,
                "default": TaskType::default().as_str(),
                "description": "What kind of work it is; whoever looks for tasks can ask for some kinds only.",
            },
            "labels": {
                "type": "object",
                "additionalProperties": true,
                "description": "Words to find it by: texts under names. What whoever claims it must have is said by the `labels` of the step.",
                "examples": [{ "area": "login" }],
            },
            "depends_on": {
                "type": "array",
                "items": { "type": "string" },
                "description": "Runs that have to complete before anybody can claim it: other tasks, or any runs.",
            },
            "claim_ttl": {
                "type": "string",
                "default": default,
                "description": format!("How long a claim lasts that nobody renews: {least} to {most}. After that others can claim the task."),
                "examples": ["30m"],
            },
            "data": {
                "additionalProperties": true,
                "description": "Anything else that whoever claims it is given.",
            },
        },
        "examples": [{ "title": "Translate the release notes", "prompt": "${{ steps.notes.text }}", "type": "docs" }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "additionalProperties": true,
        "description": "What whoever has done it gives.",
    })
});

#[async_trait]
impl Plugin for TaskKind {
    fn kind(&self) -> &str {
        TASK_KIND
    }

    fn summary(&self) -> &str {
        "waits for somebody from outside who claims it and does it"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        // Whoever claims it after another finds what that one has left: they are told which attempt it is.
        EffectClass::Idempotent
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let issue = |path: &[&str], message: String, hint: &str| ConfigIssue {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            message,
            hint: Some(hint.to_owned()),
        };
        let text = |key: &str| with.get(key).and_then(Value::as_str).filter(|text| !text.contains("${{"));
        let ttl = text("claim_ttl").and_then(|ttl| ttl_of(ttl).err());
        let mut issues: Vec<ConfigIssue> =
            ttl.into_iter().map(|why| issue(&["claim_ttl"], why, "write a span such as `30m`")).collect();
        let named = with.get("depends_on").and_then(Value::as_array).into_iter().flatten();
        let named = named.filter_map(Value::as_str).filter(|run| !run.contains("${{"));
        issues.extend(named.filter(|run| run.parse::<RunId>().is_err()).map(|run| {
            issue(&["depends_on"], format!("`{run}` is not the id of a run"), "ids begin with `run_`")
        }));
        let labels = with.get("labels").and_then(Value::as_object).into_iter().flatten();
        issues.extend(labels.filter(|(_, value)| !value.is_string()).map(|(name, value)| {
            issue(&["labels", name], format!("`{value}` is no text"), "put a number or a yes or no in quotes")
        }));
        issues
    }

    async fn execute(&self, _: Context, _: Request) -> Outcome {
        Outcome::failed(ErrorClass::Invalid, "a task is done by whoever claims it, not by a plugin")
    }
}
