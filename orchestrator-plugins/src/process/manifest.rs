//! What an executable says of itself.

use std::sync::LazyLock;

use orchestrator_core::port::plugin::ConfigIssue;
use orchestrator_core::spec::schema::check_value;
use orchestrator_core::spec::{EffectClass, check_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::PROTOCOL;

/// The longest name of a kind, in bytes.
const NAME_LIMIT: usize = 64;

/// What a manifest must be.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let schema = json!({ "type": "object", "additionalProperties": true });
    json!({
        "type": "object",
        "required": ["protocol", "kinds"],
        "properties": {
            "protocol": { "type": "integer" },
            "concurrent": { "type": "integer", "minimum": 1, "maximum": 1024 },
            "kinds": { "type": "array", "items": {
                "type": "object",
                "required": ["kind", "summary", "config_schema", "output_schema"],
                "properties": {
                    "kind": { "type": "string" },
                    "summary": { "type": "string", "minLength": 1 },
                    "config_schema": schema,
                    "output_schema": schema,
                    "effect": { "enum": ["pure", "idempotent", "at_most_once"] },
                    "reaches": { "type": "array", "items": { "type": "string" } },
                    "signal": { "oneOf": [
                        { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
                        { "type": "object", "required": ["with"], "properties": { "with": { "type": "string" } } },
                    ] },
                    "reconcile": { "type": "boolean" },
                },
            } },
        },
    })
});

/// What an executable says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Manifest {
    /// How many attempts it takes at once.
    #[serde(default = "one")]
    pub(super) concurrent: usize,
    pub(super) kinds: Vec<Kind>,
}

/// A kind of step that it brings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Kind {
    pub(super) kind: String,
    pub(super) summary: String,
    pub(super) config_schema: Value,
    pub(super) output_schema: Value,
    #[serde(default = "at_most_once")]
    pub(super) effect: EffectClass,
    /// What leaves this machine, in its own words.
    #[serde(default)]
    pub(super) reaches: Vec<String>,
    #[serde(default)]
    pub(super) signal: Option<Signal>,
    /// Whether it can look if an attempt of unknown outcome has had its effect.
    #[serde(default)]
    pub(super) reconcile: bool,
}

/// Which signal its steps may wait for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signal {
    /// This one.
    Name(String),
    /// The one that this key of `with` names.
    With(String),
}

const fn one() -> usize {
    1
}

const fn at_most_once() -> EffectClass {
    EffectClass::AtMostOnce
}

impl Kind {
    /// Where an output does not fit its schema, if it does not.
    pub(super) fn misfit(&self, output: &Value) -> Option<String> {
        check_value(&self.output_schema, output).into_iter().next().map(|issue| told(&[], issue))
    }
}

impl Manifest {
    /// Reads the answer to `describe`.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub(super) fn read(mut body: Value) -> Result<Self, Vec<String>> {
        if let Some(fields) = body.as_object_mut() {
            fields.remove("id");
        }
        if let Some(protocol) = body.get("protocol").filter(|protocol| **protocol != PROTOCOL) {
            return Err(vec![format!(
                "protocol: it speaks version {protocol} of the protocol, and this program version {PROTOCOL}"
            )]);
        }
        let mut wrong: Vec<String> =
            check_value(&SCHEMA, &body).into_iter().map(|issue| told(&[], issue)).collect();
        for (at, kind) in body["kinds"].as_array().into_iter().flatten().enumerate() {
            let place = format!("kinds[{at}]");
            wrong.extend(
                kind.get("kind")
                    .and_then(Value::as_str)
                    .and_then(wrong_name)
                    .map(|why| format!("{place}.kind: {why}")),
            );
            for key in ["config_schema", "output_schema"] {
                if let Some(schema) = kind.get(key).filter(|schema| schema.is_object()) {
                    wrong.extend(schema_issues(schema).into_iter().map(|issue| told(&[&place, key], issue)));
                }
            }
            if kind["config_schema"].is_object() && kind["config_schema"]["type"] != "object" {
                wrong.push(format!(
                    "{place}.config_schema.type: `with` is a mapping; write `\"type\": \"object\"`"
                ));
            }
            let earlier = body["kinds"].as_array().into_iter().flatten().take(at);
            if earlier.clone().any(|earlier| earlier["kind"] == kind["kind"]) {
                wrong.push(format!("{place}.kind: there is another one of this name"));
            }
        }
        if wrong.is_empty() && body["kinds"].as_array().is_some_and(Vec::is_empty) {
            wrong.push("kinds: it brings none".to_owned());
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        serde_json::from_value(body).map_err(|error| vec![error.to_string()])
    }
}

/// An issue with its place: `kinds[0].config_schema.properties.x: …`.
fn told(before: &[&str], issue: ConfigIssue) -> String {
    let mut place = before.join(".");
    for key in &issue.path {
        match key.parse::<usize>() {
            Ok(index) => place.push_str(&format!("[{index}]")),
            Err(_) if place.is_empty() => place.push_str(key),
            Err(_) => place.push_str(&format!(".{key}")),
        }
    }
    let hint = issue.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    let colon = if place.is_empty() { "" } else { ": " };
    format!("{place}{colon}{}{hint}", issue.message)
}

fn wrong_name(name: &str) -> Option<String> {
    let fits = name.len() <= NAME_LIMIT
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte));
    let shown: String = name.chars().take(NAME_LIMIT).collect();
    (!fits).then(|| {
        format!("`{shown}` cannot be a kind: 1 to {NAME_LIMIT} of a to z, 0 to 9, `_`, `-` and `.`, a letter first")
    })
}

/// What is wrong with a schema of a plugin. It has words that no author's schema has: `secret`, `env` beside the outermost
/// `type`, and a schema for `additionalProperties`.
fn schema_issues(schema: &Value) -> Vec<ConfigIssue> {
    let mut parts = Vec::new();
    let outermost = plain(schema, &mut Vec::new(), &mut parts);
    parts.push((Vec::new(), outermost));
    let issues = parts.iter().flat_map(|(place, part)| {
        check_schema(part).into_iter().map(|mut issue| {
            issue.path.splice(0..0, place.iter().cloned());
            issue
        })
    });
    issues.collect()
}

/// A schema without these words. Schemas for `additionalProperties` are put beside it, with their places. Where a word is not
/// what it should be, it stays.
fn plain(schema: &Value, place: &mut Vec<String>, parts: &mut Vec<(Vec<String>, Value)>) -> Value {
    let Value::Object(words) = schema else { return schema.clone() };
    let outermost = place.is_empty();
    let mut kept = Map::new();
    for (word, value) in words {
        let mut inside = |keys: &[&str], schema: &Value| {
            place.extend(keys.iter().map(|key| (*key).to_owned()));
            let inner = plain(schema, place, parts);
            if keys == ["additionalProperties"] {
                parts.push((place.clone(), inner.clone()));
            }
            place.truncate(place.len() - keys.len());
            inner
        };
        let inner = match (word.as_str(), value) {
            ("secret", Value::Bool(_)) => continue,
            ("env", Value::Object(env)) if outermost && env.keys().all(|key| key == "secret") => continue,
            ("additionalProperties", Value::Object(_)) => {
                inside(&[word], value);
                continue;
            }
            ("properties", Value::Object(fields)) => {
                fields.iter().map(|(name, field)| (name.clone(), inside(&[word, name], field))).collect()
            }
            ("items", value) => inside(&[word], value),
            ("oneOf", Value::Array(forms)) => forms.iter().map(|form| inside(&[word], form)).collect(),
            _ => value.clone(),
        };
        kept.insert(word.clone(), inner);
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(kind: &Value) -> Value {
        let mut whole = json!({
            "kind": "shout", "summary": "s", "config_schema": { "type": "object" }, "output_schema": {},
        });
        whole.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        json!({ "id": 1, "protocol": 1, "kinds": [whole] })
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let read = Manifest::read(manifest(&json!({}))).unwrap();
        assert_eq!((read.concurrent, read.kinds[0].effect), (1, EffectClass::AtMostOnce));
        let schema = json!({
            "type": "object", "env": { "secret": true },
            "properties": {
                "token": { "type": "string", "secret": true },
                "secret": { "type": "object", "additionalProperties": { "type": "string", "secret": true } },
            },
        });
        let signal = json!({ "with": "name" });
        let read =
            Manifest::read(manifest(&json!({ "config_schema": schema, "effect": "pure", "signal": signal })));
        assert_eq!(read.unwrap().kinds[0].signal, Some(Signal::With("name".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let config =
            |field: &Value| json!({ "config_schema": { "type": "object", "properties": { "a": field } } });
        for (body, told) in [
            (json!({}), "missing `protocol`"),
            (json!({ "protocol": 1 }), "missing `kinds`"),
            (json!({ "protocol": 2, "kinds": 5 }), "protocol: it speaks version 2 of the protocol"),
            (json!({ "protocol": 1, "kinds": [] }), "kinds: it brings none"),
            (json!({ "protocol": 1, "kinds": [], "concurent": 4 }), "did you mean \"concurrent\"?"),
            (manifest(&json!({ "kind": "Shout" })), "kinds[0].kind: `Shout` cannot be a kind"),
            (
                manifest(&json!({ "summary": 5 })),
                "kinds[0].summary: expected a text, found the whole number 5",
            ),
            (manifest(&json!({ "effect": "often" })), "kinds[0].effect: expected one of pure, idempotent"),
            (manifest(&json!({ "config_schema": [] })), "kinds[0].config_schema: expected a mapping"),
            (manifest(&json!({ "config_schema": {} })), "kinds[0].config_schema.type: `with` is a mapping"),
            (manifest(&json!({ "signal": {} })), "kinds[0].signal"),
            (
                manifest(&config(&json!({ "pattern": "x" }))),
                "kinds[0].config_schema.properties.a.pattern: a schema has no such word",
            ),
            (
                manifest(&config(&json!({ "type": "text" }))),
                "kinds[0].config_schema.properties.a.type: this is not the name of a type",
            ),
            (manifest(&config(&json!({ "secret": "yes" }))), "kinds[0].config_schema.properties.a.secret"),
            (
                manifest(&config(&json!({ "additionalProperties": { "typ": "string" } }))),
                "kinds[0].config_schema.properties.a.additionalProperties.typ: a schema has no such word",
            ),
            (manifest(&json!({ "output_schema": { "$ref": "x" } })), "kinds[0].output_schema.$ref"),
        ] {
            let wrong = Manifest::read(body.clone()).unwrap_err();
            assert!(wrong.iter().any(|wrong| wrong.contains(told)), "{body}: {wrong:?}");
        }
        let one = manifest(&json!({}))["kinds"][0].clone();
        let twice = json!({ "protocol": 1, "kinds": [one, one] });
        assert_eq!(Manifest::read(twice).unwrap_err(), ["kinds[1].kind: there is another one of this name"]);
    }
}
