//! Plugins as the parser sees them.

use std::collections::BTreeMap;

use orchestrator_core::spec::{Catalog, ConfigIssue, Facts};
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Plugins(BTreeMap<&'static str, (Value, Value)>);

/// Plugins with the schemas that plugins of their name usually have.
pub(crate) fn plugins() -> Plugins {
    let text = || json!({"type": "string"});
    let script = json!({
        "type": "object",
        "required": ["run"],
        "env": {"secret": true},
        "properties": {"run": text(), "interpreter": text(), "stdin": {"type": "string", "secret": true}},
    });
    let script_output = json!({
        "type": "object",
        "properties": {"stdout": text(), "stderr": text(), "exit_code": {"type": "integer"}},
        "additionalProperties": true,
    });
    let llm = json!({
        "type": "object",
        "required": ["prompt"],
        "properties": {
            "model": text(),
            "prompt": {"type": "string", "minLength": 1},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "max_tokens": {"type": "integer", "minimum": 1},
        },
    });
    let llm_output = json!({
        "type": "object",
        "properties": {"text": text(), "tokens": {"type": "integer"}},
    });
    let http = json!({
        "type": "object",
        "required": ["url"],
        "properties": {
            "method": {"enum": ["GET", "POST", "PUT", "DELETE"]},
            "url": text(),
            "headers": {"type": "object", "additionalProperties": {"type": "string", "secret": true}},
            "json": {},
            "expect": {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
        },
    });
    let http_output = json!({
        "type": "object",
        "properties": {"code": {"type": "integer"}, "json": {}, "text": text()},
    });
    let approval = json!({
        "type": "object",
        "required": ["message"],
        "properties": {"message": text(), "show": {}},
    });
    let approval_output = json!({
        "type": "object",
        "properties": {"approved": {"type": "boolean"}, "by": text(), "reason": text()},
    });
    Plugins(BTreeMap::from([
        ("script", (script, script_output)),
        ("llm", (llm, llm_output)),
        ("http", (http, http_output)),
        ("approval", (approval, approval_output)),
        (
            "sleep",
            (
                json!({"type": "object", "properties": {"for": text()}}),
                json!({"type": "object", "properties": {}}),
            ),
        ),
        ("signal", (json!({"type": "object", "properties": {"name": text()}}), json!({}))),
        ("greet", (text(), text())),
        ("noop", (json!({}), json!({}))),
    ]))
}

impl Catalog for Plugins {
    fn kinds(&self) -> Vec<&str> {
        self.0.keys().copied().collect()
    }

    fn facts(&self, kind: &str) -> Option<Facts<'_>> {
        self.0.get(kind).map(|(config_schema, output_schema)| Facts { config_schema, output_schema })
    }

    fn check(&self, kind: &str, with: &Value) -> Vec<ConfigIssue> {
        let wrong = kind == "sleep" && with["for"] == "ever";
        let issue = ConfigIssue {
            path: vec!["for".into()],
            message: "nobody sleeps for ever".into(),
            hint: Some("name a time".into()),
        };
        wrong.then_some(issue).into_iter().collect()
    }
}

/// Knows every kind, and takes any config.
#[derive(Debug)]
pub(crate) struct Anything(Value);

impl Anything {
    pub(crate) fn new() -> Self {
        Self(json!({}))
    }
}

impl Catalog for Anything {
    fn kinds(&self) -> Vec<&str> {
        vec!["script", "sleep", "approval"]
    }

    fn facts(&self, _: &str) -> Option<Facts<'_>> {
        Some(Facts { config_schema: &self.0, output_schema: &self.0 })
    }

    fn check(&self, _: &str, _: &Value) -> Vec<ConfigIssue> {
        Vec::new()
    }
}
