//! Checks configs against the part of JSON Schema that plugins use, and knows which plugins there are.
//!
//! The vocabulary: `type`, `properties`, `required`, `additionalProperties`, `items`, `enum`, `minimum`, `maximum`,
//! `minLength`, `oneOf`; `default`, `description` and `examples` are for readers; `secret` says that a value, or what is
//! inside of it, may hold secrets. It differs from JSON Schema in two
//! places: an object whose `properties` are listed has no others unless `additionalProperties` says so, and `oneOf` is
//! content with more than one match. Other words are ignored.

use serde_json::{Map, Value};

use crate::spec::expr::{has_expression, is_one_expression};
use crate::spec::tree::quoted;
use crate::spec::{MAX_DIAGNOSTICS, suggest};

/// Which kinds of plugins there are. Implemented by the engine's registry.
pub trait Catalog {
    /// Every kind that `uses:` can give.
    fn kinds(&self) -> Vec<&str>;

    /// What is known of a kind; `None` if there is no such plugin.
    fn facts(&self, kind: &str) -> Option<Facts<'_>>;

    /// The plugin's own checks of a config beyond its schema. `with` is as written: texts may hold expressions.
    fn check(&self, kind: &str, with: &Value) -> Vec<ConfigIssue>;
}

/// What is known of a kind of plugin.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Schema of `with:`.
    pub config_schema: &'a Value,
    /// Schema of the output.
    pub output_schema: &'a Value,
}

/// What is wrong with a config, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigIssue {
    /// The place inside `with`, as keys from the outside in; empty for `with` itself.
    pub path: Vec<String>,
    /// What is wrong: a lowercase fragment without a period.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// An issue as the parser reports it.
#[derive(Debug)]
pub(super) struct Issue {
    pub(super) path: Vec<String>,
    /// The last key of the path is what is wrong, not its value.
    pub(super) of_key: bool,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Checks a rendered config. Texts are taken as they are.
#[must_use]
pub fn check_value(schema: &Value, value: &Value) -> Vec<ConfigIssue> {
    check(schema, value, false)
        .into_iter()
        .map(|Issue { path, message, hint, .. }| ConfigIssue { path, message, hint })
        .collect()
}

/// Checks a config as written: a text that is exactly one expression may become anything.
pub(super) fn check_written(schema: &Value, value: &Value) -> Vec<Issue> {
    check(schema, value, true)
}

fn check(schema: &Value, value: &Value, templates: bool) -> Vec<Issue> {
    let mut check = Check { templates, path: Vec::new(), issues: Vec::new() };
    check.value(schema, value);
    check.issues
}

/// The fields that an output can have, as far as its schema tells.
#[derive(Debug)]
pub(super) enum Fields<'a> {
    /// Any.
    Open,
    /// These.
    Only(Vec<&'a str>),
}

/// Which fields an output with this schema can have. An output that is not a mapping has the field `value`.
pub(super) fn output_fields(schema: &Value) -> Fields<'_> {
    let Some(words) = schema.as_object() else { return Fields::Open };
    if let Some(forms) = words.get("oneOf").and_then(Value::as_array) {
        let mut all = Vec::new();
        for form in forms {
            match output_fields(form) {
                Fields::Open => return Fields::Open,
                Fields::Only(fields) => all.extend(fields),
            }
        }
        return Fields::Only(all);
    }
    match (words.get("type").and_then(Value::as_str), words.get("properties").and_then(Value::as_object)) {
        (Some("object") | None, properties) => {
            let closed =
                words.get("additionalProperties").map_or(properties.is_some(), |more| *more == false);
            match (closed, properties) {
                (true, Some(properties)) => Fields::Only(properties.keys().map(String::as_str).collect()),
                (true, None) => Fields::Only(Vec::new()),
                (false, _) => Fields::Open,
            }
        }
        (Some(_), _) => Fields::Only(vec!["value"]),
    }
}

/// Whether what stands at these keys of a config may hold a secret: its schema, or one around it, says `secret: true`.
pub(super) fn may_hold_secret(schema: &Value, keys: &[String]) -> bool {
    if schema.get("secret") == Some(&Value::Bool(true)) {
        return true;
    }
    let forms = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    if forms.into_iter().any(|form| may_hold_secret(form, keys)) {
        return true;
    }
    let Some((key, further)) = keys.split_first() else { return false };
    let property = schema.get("properties").and_then(|properties| properties.get(key));
    let inner = property.or_else(|| schema.get("items")).or_else(|| schema.get("additionalProperties"));
    inner.is_some_and(|inner| may_hold_secret(inner, further))
}

/// The keys of a config below which secrets may stand somewhere.
pub(super) fn secret_keys(schema: &Value) -> Vec<&str> {
    fn anywhere(schema: &Value) -> bool {
        match schema {
            Value::Object(words) => {
                words.iter().any(|(word, value)| (word == "secret" && *value == true) || anywhere(value))
            }
            Value::Array(forms) => forms.iter().any(anywhere),
            _ => false,
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.filter(|(_, schema)| anywhere(schema)).map(|(key, _)| key.as_str()).collect()
}

/// Whether the variables that a step sets for its plugin may hold secrets.
pub(super) fn env_may_hold_secrets(schema: &Value) -> bool {
    schema.get("env").and_then(|env| env.get("secret")) == Some(&Value::Bool(true))
}

struct Check {
    templates: bool,
    path: Vec<String>,
    issues: Vec<Issue>,
}

impl Check {
    fn issue(&mut self, code: &'static str, message: impl Into<String>) -> &mut Issue {
        // More are not told.
        self.issues.truncate(MAX_DIAGNOSTICS);
        let path = self.path.clone();
        self.issues.push(Issue { path, of_key: false, code, message: message.into(), hint: None });
        let last = self.issues.len() - 1;
        &mut self.issues[last]
    }

    /// The depth of values is bounded where they are read.
    fn value(&mut self, schema: &Value, value: &Value) {
        let words = match schema {
            Value::Object(words) => words,
            Value::Bool(false) => {
                self.issue("invalid_type", "nothing is allowed here");
                return;
            }
            _ => return,
        };
        let written = value.as_str().filter(|text| self.templates && has_expression(text));
        if written.is_some_and(is_one_expression) {
            return;
        }
        if let Some(forms) = words.get("oneOf").and_then(Value::as_array) {
            self.one_of(forms, value);
        }
        if let Some(allowed) = words.get("type")
            && !has_type(allowed, value)
        {
            let message = format!("expected {}, found {}", type_names(allowed), describe(value));
            let text_wanted = has_type(allowed, &Value::String(String::new()));
            let issue = self.issue("invalid_type", message);
            if text_wanted && (value.is_number() || value.is_boolean()) {
                issue.hint = Some("quote it if it is meant as text".into());
            }
            return;
        }
        if written.is_none() {
            self.scalar(words, value);
        }
        match value {
            Value::Object(fields) => self.object(words, fields),
            Value::Array(items) => {
                if let Some(schema) = words.get("items") {
                    for (ix, item) in items.iter().enumerate() {
                        self.inside(ix.to_string(), schema, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn inside(&mut self, key: String, schema: &Value, value: &Value) {
        self.path.push(key);
        self.value(schema, value);
        self.path.pop();
    }

    fn scalar(&mut self, words: &Map<String, Value>, value: &Value) {
        if let Some(allowed) = words.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            let list = allowed.iter().map(plain).collect::<Vec<_>>().join(", ");
            let hint = value.as_str().and_then(|text| suggest::hint(text, names));
            let issue =
                self.issue("invalid_value", format!("expected one of {list}; found {}", describe(value)));
            issue.hint = hint;
        }
        if let Some(number) = value.as_f64() {
            let bound = |word: &str| words.get(word).and_then(Value::as_f64);
            if let Some(least) = bound("minimum").filter(|least| number < *least) {
                self.issue("out_of_range", format!("{value} is less than {least}"));
            }
            if let Some(most) = bound("maximum").filter(|most| number > *most) {
                self.issue("out_of_range", format!("{value} is more than {most}"));
            }
        }
        if let (Some(text), Some(least)) = (value.as_str(), words.get("minLength").and_then(Value::as_u64))
            && (text.chars().take(least.min(1 << 20) as usize).count() as u64) < least
        {
            let message = if least == 1 {
                "must not be empty".into()
            } else {
                format!("has less than {least} characters")
            };
            self.issue("out_of_range", message);
        }
    }

    fn object(&mut self, words: &Map<String, Value>, fields: &Map<String, Value>) {
        let properties = words.get("properties").and_then(Value::as_object);
        let more = words.get("additionalProperties");
        let closed = more.map_or(properties.is_some(), |more| *more == false);
        let mut meant = Vec::new();
        for (key, field) in fields {
            match (properties.and_then(|properties| properties.get(key)), more) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                    self.inside(key.clone(), schema, field);
                }
                (None, _) if closed => {
                    let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
                    let near =
                        suggest::nearest(key, names.clone().filter(|name| !fields.contains_key(*name)));
                    meant.extend(near);
                    let hint = near.map_or_else(
                        || format!("there are {}", names.collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean \"{near}\"?"),
                    );
                    self.path.push(key.clone());
                    let issue = self.issue("unknown_field", format!("unknown key {}", quoted(key)));
                    (issue.of_key, issue.hint) = (true, Some(hint));
                    self.path.pop();
                }
                (None, _) => {}
            }
        }
        let required = words.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            // A misspelt key has been told already.
            if !fields.contains_key(name) && !meant.contains(&name) {
                self.issue("missing_field", format!("missing `{name}`"));
            }
        }
    }

    /// Reports against the form that the value comes nearest to.
    fn one_of(&mut self, forms: &[Value], value: &Value) {
        let mut nearest: Option<(bool, Vec<Issue>)> = None;
        for form in forms {
            let mut attempt =
                Check { templates: self.templates, path: self.path.clone(), issues: Vec::new() };
            attempt.value(form, value);
            if attempt.issues.is_empty() {
                return;
            }
            let other_type =
                attempt.issues.iter().any(|issue| issue.code == "invalid_type" && issue.path == self.path);
            let rank = |found: &(bool, Vec<Issue>)| (found.0, found.1.len());
            let found = (other_type, attempt.issues);
            if nearest.as_ref().is_none_or(|best| rank(&found) < rank(best)) {
                nearest = Some(found);
            }
        }
        match nearest {
            Some((false, issues)) => self.issues.extend(issues),
            Some((true, _)) => {
                let types: Vec<String> =
                    forms.iter().filter_map(|form| form.get("type")).map(type_names).collect();
                let message = format!("expected {}, found {}", types.join(" or "), describe(value));
                self.issue("invalid_type", message);
            }
            None => {}
        }
    }
}

fn has_type(allowed: &Value, value: &Value) -> bool {
    match allowed {
        Value::String(name) => match name.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        },
        Value::Array(names) => names.iter().any(|name| has_type(name, value)),
        _ => true,
    }
}

fn type_names(allowed: &Value) -> String {
    match allowed {
        Value::String(name) => match name.as_str() {
            "null" => "nothing".into(),
            "boolean" => "true or false".into(),
            "integer" => "a whole number".into(),
            "number" => "a number".into(),
            "string" => "a text".into(),
            "array" => "a list".into(),
            "object" => "a mapping".into(),
            other => other.into(),
        },
        Value::Array(names) => names.iter().map(type_names).collect::<Vec<_>>().join(" or "),
        other => other.to_string(),
    }
}

/// A value as messages show it.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) if number.is_f64() => format!("the number {number}"),
        Value::Number(number) => format!("the whole number {number}"),
        Value::String(text) => format!("the text {}", quoted(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a mapping".into(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(schema: &Value, value: &Value) -> Vec<String> {
        check_written(schema, value)
            .into_iter()
            .map(|issue| {
                let hint = issue.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{} {}: {}{hint}", issue.code, issue.path.join("."), issue.message)
            })
            .collect()
    }

    #[test]
    fn every_word_of_the_vocabulary_is_checked() {
        let schema = json!({
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "minLength": 1},
                "method": {"enum": ["GET", "POST"]},
                "retries": {"type": "integer", "minimum": 0, "maximum": 9},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                "expect": {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
            },
        });
        assert_eq!(
            told(&schema, &json!({"url": "x", "method": "GET", "expect": [200], "headers": {"a": "b"}})),
            [""; 0]
        );
        insta::assert_snapshot!(
            told(&schema, &json!({
                "ulr": "x", "method": "GTE", "retries": 10, "expect": ["200"], "headers": {"a": 5}
            })).join("\n"),
            @r#"
        invalid_type expect.0: expected a whole number, found the text "200"
        invalid_type headers.a: expected a text, found the whole number 5 (quote it if it is meant as text)
        invalid_value method: expected one of GET, POST; found the text "GTE" (did you mean "GET"?)
        out_of_range retries: 10 is more than 9
        unknown_field ulr: unknown key "ulr" (did you mean "url"?)
        "#
        );
        insta::assert_snapshot!(
            told(&schema, &json!({"expect": "x", "url": ""})).join("\n"),
            @r#"
        invalid_type expect: expected a whole number or a list, found the text "x"
        out_of_range url: must not be empty
        "#
        );
        assert_eq!(told(&schema, &json!(5)), ["invalid_type : expected a mapping, found the whole number 5"]);
    }

    #[test]
    fn a_whole_expression_may_become_anything_and_a_text_around_one_is_a_text() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}});
        assert_eq!(told(&schema, &json!({"n": "${{ inputs.n }}"})), [""; 0]);
        assert_eq!(told(&schema, &json!({"n": "${{ inputs.n }}0"})).len(), 1);
        assert_eq!(check_value(&schema, &json!({"n": "${{ inputs.n }}"})).len(), 1);
    }

    #[test]
    fn outputs_have_the_fields_that_their_schema_lists() {
        let only = |schema: Value| match output_fields(&schema) {
            Fields::Open => None,
            Fields::Only(fields) => Some(fields.join(",")),
        };
        assert_eq!(only(json!({"type": "object", "properties": {"a": {}}})).as_deref(), Some("a"));
        assert_eq!(only(json!({"properties": {"a": {}}, "additionalProperties": true})), None);
        assert_eq!(only(json!({"type": "string"})).as_deref(), Some("value"));
        assert_eq!(
            only(json!({"oneOf": [{"type": "null"}, {"properties": {"a": {}}}]})).as_deref(),
            Some("value,a")
        );
        assert_eq!(only(json!({})), None);
        assert_eq!(only(json!(true)), None);
    }
}
