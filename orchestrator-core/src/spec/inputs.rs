//! The values that a run is given, checked against what the workflow declares.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::spec::schema::describe;
use crate::spec::tree::quoted;
use crate::spec::{
    Diagnostic, Diagnostics, InputKind, InputSpec, MAX_DIAGNOSTICS, Severity, Workflow, suggest,
};
use crate::value::DEPTH_LIMIT;

/// The names of the types, as authors write them.
pub(super) const KINDS: [(&str, InputKind); 7] = [
    ("string", InputKind::String),
    ("integer", InputKind::Integer),
    ("number", InputKind::Number),
    ("boolean", InputKind::Boolean),
    ("array", InputKind::Array),
    ("object", InputKind::Object),
    ("any", InputKind::Any),
];

impl InputKind {
    /// The name, as authors write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Any => "any",
        }
    }
}

/// A value for an input, as it was given.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A value of a host program: its type must be the declared one.
    Value(Value),
    /// A text of a command line: read as the declared type. Lists and mappings are JSON; for `any`, what is not JSON
    /// is a text.
    Text(String),
}

impl From<Value> for Given {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// Checks what was given, and fills in the defaults.
///
/// # Errors
/// Everything that is wrong: `unknown_input`, `missing_input`, `type_mismatch`, in the order of the names.
pub fn resolve(workflow: &Workflow, given: &BTreeMap<String, Given>) -> Result<Value, Diagnostics> {
    let mut resolved = Map::new();
    let mut wrong = Vec::new();
    for (name, spec) in &workflow.inputs {
        match given.get(&**name).map(|given| read(spec, given)) {
            Some(Ok(value)) => _ = resolved.insert(name.to_string(), value),
            Some(Err((message, hint))) => wrong.push(diagnostic(name, "type_mismatch", message, hint)),
            None => match &spec.default {
                Some(default) => _ = resolved.insert(name.to_string(), default.clone()),
                None => {
                    let hint = spec.description.as_ref().map(|description| description.to_string());
                    let message = format!("the input is required; its type is {}", spec.kind.name());
                    wrong.push(diagnostic(name, "missing_input", message, hint));
                }
            },
        }
    }
    for name in given.keys().filter(|name| !workflow.inputs.contains_key(name.as_str())) {
        let declared = workflow.inputs.keys().map(|name| &**name);
        let hint = suggest::hint(name, declared.clone()).unwrap_or_else(|| {
            let list = declared.collect::<Vec<_>>().join(", ");
            if list.is_empty() { "the workflow has no inputs".into() } else { format!("there are {list}") }
        });
        let message = format!("there is no input {}", quoted(name));
        wrong.push(diagnostic(name, "unknown_input", message, Some(hint)));
    }
    if wrong.is_empty() {
        return Ok(Value::Object(resolved));
    }
    wrong.sort_by(|a, b| a.path.cmp(&b.path));
    wrong.truncate(MAX_DIAGNOSTICS);
    Err(Diagnostics(wrong))
}

fn diagnostic(name: &str, code: &'static str, message: String, hint: Option<String>) -> Diagnostic {
    let path = format!("inputs.{}", name.chars().take(80).collect::<String>());
    Diagnostic { severity: Severity::Error, span: None, path, code, message, hint }
}

type Wrong = (String, Option<String>);

fn read(spec: &InputSpec, given: &Given) -> Result<Value, Wrong> {
    let value = match given {
        Given::Value(value) => value.clone(),
        Given::Text(text) => from_text(spec.kind, text).map_err(|why| (why, example(spec.kind)))?,
    };
    if !fits(spec.kind, &value) {
        return Err((format!("expected type {}, found {}", spec.kind.name(), describe(&value)), None));
    }
    check_storable(&value).map(|()| value).map_err(|why| (why, None))
}

fn example(kind: InputKind) -> Option<String> {
    let example = match kind {
        InputKind::Integer => "50",
        InputKind::Number => "0.5",
        InputKind::Boolean => "true",
        InputKind::Array => r#"["a", "b"]"#,
        InputKind::Object => r#"{"a": 1}"#,
        InputKind::String | InputKind::Any => return None,
    };
    Some(format!("write for example {example}"))
}

fn from_text(kind: InputKind, text: &str) -> Result<Value, String> {
    let not = || format!("{} is not of type {}", quoted(text), kind.name());
    match kind {
        InputKind::String => Ok(text.into()),
        InputKind::Integer => {
            let text = text.trim();
            let small = text.parse::<i64>().map(Value::from);
            small.or_else(|_| text.parse::<u64>().map(Value::from)).map_err(|_| not())
        }
        InputKind::Number => match from_text(InputKind::Integer, text) {
            Ok(whole) => Ok(whole),
            Err(_) => {
                let number = text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                number.map(Value::Number).ok_or_else(not)
            }
        },
        InputKind::Boolean => text.trim().parse::<bool>().map(Value::from).map_err(|_| not()),
        InputKind::Array | InputKind::Object => {
            serde_json::from_str(text).map_err(|error| format!("{}: {error}", not()))
        }
        InputKind::Any => Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
    }
}

/// Whether a value is of a type.
pub(super) fn fits(kind: InputKind, value: &Value) -> bool {
    match kind {
        InputKind::String => value.is_string(),
        InputKind::Integer => value.is_i64() || value.is_u64(),
        InputKind::Number => value.is_number(),
        InputKind::Boolean => value.is_boolean(),
        InputKind::Array => value.is_array(),
        InputKind::Object => value.is_object(),
        InputKind::Any => true,
    }
}

/// What no store can keep is told before anything is created.
fn check_storable(value: &Value) -> Result<(), String> {
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > DEPTH_LIMIT {
            return Err(format!("nested deeper than {DEPTH_LIMIT} levels"));
        }
        match value {
            Value::String(text) if text.contains('\0') => return Err("a text holds a NUL character".into()),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                if fields.keys().any(|key| key.contains('\0')) {
                    return Err("a key holds a NUL character".into());
                }
                open.extend(fields.values().map(|field| (field, depth + 1)));
            }
            _ => {}
        }
    }
    Ok(())
}
