//! The table as a JSON Schema, for editors.
//!
//! It accepts whatever the parser accepts; what it refuses, the parser refuses too. The contrary does not hold: needs,
//! circles and what expressions refer to are beyond a schema. Draft 7, because editors know that one best: what its
//! strict readers skip beside a `$ref` (descriptions) is only for people.

use serde_json::{Map, Value, json};

use crate::spec::inputs::KINDS;
use crate::spec::names;
use crate::spec::reference::form::{Form, Key, Section};
use crate::spec::reference::workflow::{INPUT, WORKFLOW, sections};

/// A kind of plugin, as editors and pages are told of it.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    /// What `uses:` names.
    pub name: &'a str,
    /// One line on what it does.
    pub summary: &'a str,
    /// Schema of `with:`, in the vocabulary of [`crate::spec::schema`].
    pub config: &'a Value,
    /// Schema of the output.
    pub output: &'a Value,
}

/// The kind that `run:` stands for.
const SCRIPT: &str = "script";

/// A text with an expression in it.
const TEMPLATE: &str = r"\$\{\{";

/// A text that is exactly one expression, which may become anything.
const EXPRESSION: &str = r"^\s*\$\{\{[\s\S]*\}\}\s*$";

/// The JSON Schema of a workflow that may use `kinds`.
#[must_use]
pub fn json_schema(kinds: &[Kind<'_>]) -> Value {
    let mut definitions = Map::new();
    for section in sections() {
        if section.name != WORKFLOW.name {
            definitions.insert(section.name.to_owned(), of_section(section, kinds));
        }
    }
    definitions.insert("expression".to_owned(), json!({ "type": "string", "pattern": EXPRESSION }));
    let mut schema = of_section(&WORKFLOW, kinds);
    let head = [
        ("$schema", "http://json-schema.org/draft-07/schema#"),
        ("title", "orchestrator workflow"),
        ("description", "A durable workflow: a graph of steps."),
    ];
    for (word, text) in head {
        schema[word] = text.into();
    }
    schema["definitions"] = Value::Object(definitions);
    schema
}

fn of_section(section: &Section, kinds: &[Kind<'_>]) -> Value {
    let mut properties = Map::new();
    for key in section.keys {
        properties.insert(key.name.to_owned(), of_key(key, kinds));
    }
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.required && !key.later).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if section.name == INPUT.name {
        schema["allOf"] = defaults();
    }
    if section.key("run").is_some_and(|key| !key.later) && section.key("uses").is_some() {
        schema["oneOf"] = json!([{ "required": ["run"] }, { "required": ["uses"] }]);
        schema["allOf"] = configs(kinds);
    }
    schema
}

fn of_key(key: &Key, kinds: &[Kind<'_>]) -> Value {
    if key.later {
        return json!({
            "description": format!("{} Not supported yet.", key.about),
            "not": {},
            "doNotSuggest": true,
            "errorMessage": format!("`{}` is part of the language but not supported yet", key.name),
        });
    }
    let mut schema = of_form(&key.form, kinds);
    let mut about = key.about.to_owned();
    if !key.default.is_empty() {
        about.push_str(&format!(" Without it: {}.", key.default));
    }
    schema["description"] = format!("{about}\n\nExample: {}", key.example).replace('`', "").into();
    schema["markdownDescription"] = format!("{about}\n\n```yaml\n{}\n```", key.example).into();
    schema
}

fn of_form(form: &Form, kinds: &[Kind<'_>]) -> Value {
    match form {
        Form::Text => json!({ "type": "string" }),
        Form::Title => json!({
            "type": "string",
            "pattern": r"^[\p{Alphabetic}\p{N}_ -][\p{Alphabetic}\p{N}_. -]*$",
            "maxLength": 100,
        }),
        Form::Script => json!({ "type": "string", "minLength": 1, "not": { "pattern": TEMPLATE } }),
        Form::Kind => json!({ "enum": kinds.iter().map(|kind| kind.name).collect::<Vec<_>>() }),
        Form::With | Form::Value | Form::Constant => json!({}),
        Form::Boolean => json!({ "type": "boolean" }),
        Form::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Form::Word(words) => json!({ "enum": words }),
        Form::Duration => json!({ "type": "string", "pattern": r"^\s*([0-9]+(ms|d|h|m|s))+\s*$" }),
        Form::Size => json!({ "type": "string", "pattern": r"^\s*[0-9]+\s*(B|KiB|MiB|GiB|TiB)\s*$" }),
        Form::Condition => json!({ "type": ["string", "boolean"] }),
        Form::Expression => json!({ "$ref": "#/definitions/expression" }),
        Form::Destination => json!({
            "type": "string",
            "pattern": r"^(\[[0-9A-Fa-f:.]+(/[0-9]+)?\]|[A-Za-z0-9._-]+(/[0-9]+)?):(\*|[0-9]+)$",
        }),
        Form::StepName => json!({ "type": "string", "pattern": format!("^{}$", names::PATTERN) }),
        Form::List(form, least) => {
            json!({ "type": "array", "items": of_form(form, kinds), "minItems": least })
        }
        Form::Named(form) => {
            let mut schema = json!({
                "type": "object",
                "propertyNames": { "pattern": format!("^{}$", names::PATTERN) },
                "additionalProperties": of_form(form, kinds),
            });
            // A workflow, and every mapping of steps in it, does something.
            if matches!(form, Form::Section(section) if section.key("needs").is_some()) {
                schema["minProperties"] = 1.into();
            }
            schema
        }
        Form::Environment => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,255}$" },
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Form::Labels => json!({
            "type": "object",
            "propertyNames": { "minLength": 1 },
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Form::Section(section) => json!({ "$ref": format!("#/definitions/{}", section.name) }),
        Form::Either(forms) => {
            json!({ "anyOf": forms.iter().map(|form| of_form(form, kinds)).collect::<Vec<_>>() })
        }
    }
}

/// A default has the type of its input.
fn defaults() -> Value {
    let named = KINDS.iter().map(|(name, _)| *name).filter(|name| *name != "any");
    named
        .map(|name| {
            json!({
                "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
                "then": { "properties": { "default": { "type": name } } },
            })
        })
        .collect()
}

/// What `with` holds, by what executes the step.
fn configs(kinds: &[Kind<'_>]) -> Value {
    let mut all = Vec::new();
    for kind in kinds {
        all.push(json!({
            "if": { "properties": { "uses": { "const": kind.name } }, "required": ["uses"] },
            "then": when(kind.config),
        }));
        if kind.name == SCRIPT {
            all.push(json!({ "if": { "required": ["run"] }, "then": when(&without_run(kind.config)) }));
        }
    }
    all.into()
}

fn when(config: &Value) -> Value {
    let required = config["required"].as_array().is_some_and(|required| !required.is_empty());
    let mut with = written(config);
    if !required && config["type"] == "object" {
        // `with:` with nothing behind it.
        with = json!({ "anyOf": [with, { "type": "null" }] });
    }
    let mut then = json!({ "properties": { "with": with } });
    if required {
        then["required"] = json!(["with"]);
    }
    then
}

/// What `with` adds to the script of a `run:` step.
fn without_run(config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(properties) = config.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove("run");
    }
    if let Some(required) = config.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != "run");
    }
    if let Some(words) = config.as_object_mut() {
        words.remove("examples");
    }
    config
}

/// A plugin's schema, in the vocabulary of [`crate::spec::schema`], as one of what an author writes: any value may be
/// an expression instead. The depth is that of schemas that plugins declare.
fn written(schema: &Value) -> Value {
    let Some(words) = schema.as_object() else { return schema.clone() };
    let mut value = Map::new();
    let mut about = Map::new();
    for (word, given) in words {
        match word.as_str() {
            "description" | "default" | "examples" => _ = about.insert(word.clone(), given.clone()),
            // For the reader of workflows, not for their writer.
            "secret" => {}
            "properties" => {
                let properties = given.as_object().into_iter().flatten();
                let properties: Map<_, _> =
                    properties.map(|(name, inner)| (name.clone(), written(inner))).collect();
                value.insert(word.clone(), properties.into());
            }
            "items" | "additionalProperties" => _ = value.insert(word.clone(), written(given)),
            "oneOf" => {
                let forms: Vec<Value> = given.as_array().into_iter().flatten().map(written).collect();
                value.insert("anyOf".into(), forms.into());
            }
            _ => _ = value.insert(word.clone(), given.clone()),
        }
    }
    if words.contains_key("properties") && !words.contains_key("additionalProperties") {
        value.insert("additionalProperties".into(), false.into());
    }
    let mut schema = if value.is_empty() || (value.len() <= 2 && is_plain_text(words)) {
        Value::Object(value)
    } else if words.contains_key("enum") {
        json!({ "anyOf": [value, { "type": "string", "pattern": TEMPLATE }] })
    } else {
        json!({ "anyOf": [value, { "$ref": "#/definitions/expression" }] })
    };
    for (word, given) in about {
        schema[word] = given;
    }
    schema
}

/// A text of any content: an expression is one, too.
fn is_plain_text(words: &Map<String, Value>) -> bool {
    words.get("type").is_some_and(|kind| kind == "string")
        && !words.contains_key("enum")
        && words.get("minLength").is_none_or(|least| *least == 1)
}
