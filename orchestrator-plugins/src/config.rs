//! Reading a rendered `with`, and what its values have in common.

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Outcome};
use orchestrator_core::spec::retry::ErrorClass;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a rendered config.
///
/// # Errors
/// Class `invalid`, naming what does not fit. Validation has checked the config as written; what is found here came
/// out of an expression.
pub(crate) fn read<T: DeserializeOwned>(with: Value) -> Result<T, StepError> {
    serde_json::from_value(with).map_err(|error| invalid(format!("`with` does not fit: {error}")))
}

/// The error of a request that is wrong and stays wrong.
pub(crate) fn invalid(message: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, message)
}

/// The outcome of an attempt that ended with `error`.
pub(crate) fn refused(error: StepError) -> Outcome {
    Outcome::Failed { error, retry_after: None }
}

/// Whether a text of a config as written holds an expression, so that nothing can be said about it yet.
pub(crate) fn is_open(text: &str) -> bool {
    text.contains("${{")
}

/// The text at `key` of a config as written, if there is one and it holds no expression.
pub(crate) fn settled<'a>(with: &'a Value, key: &str) -> Option<&'a str> {
    with.get(key).and_then(Value::as_str).filter(|text| !is_open(text))
}

/// Whether the config as written gives `key` a value.
pub(crate) fn given(with: &Value, key: &str) -> bool {
    with.get(key).is_some_and(|value| !value.is_null())
}

/// A problem at the key path `path` of `with`.
pub(crate) fn issue(path: &[&str], message: impl Into<String>, hint: Option<&str>) -> ConfigIssue {
    ConfigIssue {
        path: path.iter().map(|&key| key.to_owned()).collect(),
        message: message.into(),
        hint: hint.map(str::to_owned),
    }
}

/// The text of a scalar: text as it is, numbers and booleans as JSON writes them. A text that is exactly one
/// expression keeps the type of its value, so a place for text has to take them.
#[cfg(any(feature = "http", feature = "script"))]
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text of any value: scalars as [`scalar`], everything else as JSON.
#[cfg(any(feature = "http", feature = "script"))]
pub(crate) fn text(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| value.to_string())
}

/// Puts U+FFFD in place of NUL characters, which no store can keep.
#[cfg(any(feature = "http", feature = "llm"))]
pub(crate) fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                let renamed = std::mem::take(fields).into_iter();
                *fields = renamed.map(|(name, value)| (name.replace('\0', "\u{fffd}"), value)).collect();
            }
            fields.values_mut().for_each(replace_nul);
        }
        _ => {}
    }
}
