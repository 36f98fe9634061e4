//! Evaluates a compiled expression: builds what it may look at, runs it within its bounds, makes JSON of the result.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::value::{Serde, ValueKind};
use minijinja::{Error, ErrorKind, Value as Jinja};
use serde_json::{Map, Number, Value};

use crate::spec::expr::compile::Program;
use crate::spec::expr::filters::{EXHAUSTED, MAX_WORK, charge, refill};
use crate::spec::expr::path::{self, Root};
use crate::spec::expr::scope::{ExprError, Scope, Standing};
use crate::value::DEPTH_LIMIT;

/// The longest part of an expression or of a foreign message that an error repeats, in characters.
const SHOWN: usize = 160;

pub(super) fn run(program: &Program, scope: &Scope) -> Result<Value, ExprError> {
    refill();
    for factor in &program.factors {
        let value = factor.evaluate(scope)?;
        if value.is_string() || value.is_array() || value.is_object() {
            let message = format!("`*` multiplies numbers, and `{factor}` is {}", kind_name(&value));
            return Err(ExprError::new("type_mismatch", message));
        }
    }
    let context = context(program, scope)?;
    let result = program.eval(context).map_err(|error| explain(program, scope, &error))?;
    if result.is_undefined() {
        let message = format!("`{}` is not defined", shown(&program.source));
        return Err(ExprError::new("undefined_variable", message));
    }
    to_json(&result).map_err(|error| {
        ExprError::new(error.code, format!("`{}`: {}", shown(&program.source), error.message))
    })
}

/// What the expression may look at: only what it refers to is converted.
fn context(program: &Program, scope: &Scope) -> Result<Jinja, ExprError> {
    let mut context: BTreeMap<&str, Jinja> = BTreeMap::new();
    let mut named: BTreeMap<&str, BTreeMap<&str, Jinja>> = BTreeMap::new();
    let mut fields: BTreeMap<&str, BTreeMap<&str, Jinja>> = BTreeMap::new();
    for path in &program.paths {
        let names = &path.names[..path.entry_len()];
        // What is not there stays undefined, so that `is defined` and `default` can ask for it.
        let Some(value) = path::resolve(path.root, names, scope) else { continue };
        charge(size(&value)).map_err(|error| explain(program, scope, &error))?;
        let value = || Jinja::from(Serde(&*value));
        match (path.root, names) {
            (root, []) => _ = context.entry(root.name()).or_insert_with(value),
            (Root::Steps, [step, field]) => {
                fields.entry(step).or_default().entry(field).or_insert_with(value);
            }
            (root, [name, ..]) => {
                named.entry(root.name()).or_default().entry(name).or_insert_with(value);
            }
        }
    }
    for (step, fields) in fields {
        // A step that is looked at as a whole holds its fields already.
        named.entry("steps").or_default().entry(step).or_insert_with(|| Jinja::from_pairs(fields));
    }
    for (root, names) in named {
        // So does a root.
        context.entry(root).or_insert_with(|| Jinja::from_pairs(names));
    }
    for path in &program.paths {
        context.entry(path.root.name()).or_insert_with(|| Jinja::from_pairs(BTreeMap::<&str, Jinja>::new()));
    }
    if program.status_function {
        add_status_functions(&mut context, scope.standing);
    }
    Ok(Jinja::from_pairs(context))
}

fn add_status_functions(context: &mut BTreeMap<&str, Jinja>, standing: Standing) {
    context.insert("success", Jinja::from_function(move || standing.success));
    context.insert("failure", Jinja::from_function(move || standing.failure));
    context.insert("cancelled", Jinja::from_function(move || standing.cancelled));
    context.insert("always", Jinja::from_function(|| true));
}

/// Bytes of texts plus 16 for each value; counting ends where an evaluation would be refused.
fn size(value: &Value) -> usize {
    let mut open = vec![value];
    let mut size = 0usize;
    while let Some(value) = open.pop() {
        size += 16;
        match value {
            Value::String(text) => size += text.len(),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if size > MAX_WORK {
            break;
        }
    }
    size
}

/// As JSON. Numbers keep their 64 bits; what JSON cannot hold is an error.
pub(super) fn to_json(value: &Jinja) -> Result<Value, ExprError> {
    convert(value, 0)
}

fn convert(value: &Jinja, depth: usize) -> Result<Value, ExprError> {
    let work = value.as_str().map_or(16, |text| text.len() + 16);
    charge(work).map_err(|_| ExprError::new("template.fuel", EXHAUSTED))?;
    if depth > DEPTH_LIMIT {
        let message = format!("the value is nested deeper than {DEPTH_LIMIT} levels");
        return Err(ExprError::new("template.output_limit", message));
    }
    let mismatch = |message: String| ExprError::new("type_mismatch", message);
    Ok(match value.kind() {
        ValueKind::Undefined => {
            let message = "a part of the value is not defined";
            return Err(ExprError::new("undefined_variable", message));
        }
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => Value::Number(
            number(value).ok_or_else(|| mismatch(format!("{value} is no number that JSON can hold")))?,
        ),
        ValueKind::String => Value::from(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| mismatch(error.to_string()))?;
            Value::Array(items.map(|item| convert(&item, depth + 1)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let mut fields = Map::new();
            for key in value.try_iter().map_err(|error| mismatch(error.to_string()))? {
                let field = value.get_item(&key).map_err(|error| mismatch(error.to_string()))?;
                fields.insert(key.to_string(), convert(&field, depth + 1)?);
            }
            Value::Object(fields)
        }
        kind => return Err(mismatch(format!("a value of type {kind} cannot leave an expression"))),
    })
}

fn number(value: &Jinja) -> Option<Number> {
    if value.is_integer() {
        return i64::try_from(value.clone())
            .map(Number::from)
            .or_else(|_| u64::try_from(value.clone()).map(Number::from))
            .ok();
    }
    Number::from_f64(f64::try_from(value.clone()).ok()?)
}

/// The type of a value, in the words of messages.
pub(in crate::spec) fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "none",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn explain(program: &Program, scope: &Scope, error: &Error) -> ExprError {
    let code = match error.kind() {
        ErrorKind::UndefinedError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownMethod => "undefined_variable",
        ErrorKind::OutOfFuel => "template.fuel",
        _ => "type_mismatch",
    };
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, _) => match undefined_path(program, scope) {
            Some(message) => message,
            None => "a part of it is not defined".into(),
        },
        (_, Some(detail)) => shown(detail).into_owned(),
        (kind, None) => kind.to_string(),
    };
    ExprError::new(code, format!("`{}`: {what}", shown(&program.source)))
}

/// The first path of the expression that leads nowhere.
fn undefined_path(program: &Program, scope: &Scope) -> Option<String> {
    program.paths.iter().find_map(|path| path.evaluate(scope).err()).map(|error| error.message)
}

/// A text of bounded length on one line.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.len() <= SHOWN && !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(SHOWN).map(|c| if c == '\n' { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Cow::Owned(short)
}
