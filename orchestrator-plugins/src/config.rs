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

/// Whether any text in a value as written holds an expression.
#[cfg(feature = "llm")]
pub(crate) fn any_open(value: &Value) -> bool {
    match value {
        Value::String(text) => is_open(text),
        Value::Array(items) => items.iter().any(any_open),
        Value::Object(fields) => fields.values().any(any_open),
        _ => false,
    }
}

/// The text at `key` of a config as written, if there is one and it holds no expression.
pub(crate) fn settled<'a>(with: &'a Value, key: &str) -> Option<&'a str> {
    with.get(key).and_then(Value::as_str).filter(|text| !is_open(text))
}

/// How far a config has come: what can be said of its texts depends on it.
#[cfg(any(feature = "git", feature = "forge"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// As the author has written it: a text with an expression in it is not known yet.
    Written,
    /// With values in place of expressions. A value may look like an expression, and is none.
    Rendered,
}

#[cfg(any(feature = "git", feature = "forge"))]
impl Stage {
    /// Whether `text` is what it will be.
    pub(crate) fn knows(self, text: &str) -> bool {
        self == Self::Rendered || !is_open(text)
    }

    /// The text at `key`, if there is one and it is known.
    pub(crate) fn text<'a>(self, with: &'a Value, key: &str) -> Option<&'a str> {
        with.get(key).and_then(Value::as_str).filter(|text| self.knows(text))
    }
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

/// What is wrong with the keys of a config whose `do` is `action`: it needs those in `needs` and takes those in `takes` besides.
#[cfg(any(feature = "git", feature = "forge"))]
pub(crate) fn key_issues(action: &str, with: &Value, needs: &[&str], takes: &[&str]) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    for key in needs.iter().filter(|key| !given(with, key)) {
        issues.push(issue(&[], format!("`do: {action}` needs `{key}`"), None));
    }
    let fields = with.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (key, _) in fields {
        if key != "do" && !needs.contains(&key.as_str()) && !takes.contains(&key.as_str()) {
            let known: Vec<String> = needs.iter().chain(takes).map(|key| format!("`{key}`")).collect();
            let message = format!("`{key}` means nothing to `do: {action}`");
            issues.push(issue(&[key], message, Some(&format!("it takes {}", known.join(", ")))));
        }
    }
    issues
}

/// Lets a rendered config pass if nothing is wrong with it.
///
/// # Errors
/// Class `invalid`, with the first of the issues.
#[cfg(any(feature = "git", feature = "forge"))]
pub(crate) fn free_of(issues: Vec<ConfigIssue>) -> Result<(), StepError> {
    let Some(issue) = issues.into_iter().next() else { return Ok(()) };
    let hint = issue.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    let place = issue.path.iter().map(|key| format!("`{key}`: ")).collect::<String>();
    Err(invalid(format!("{place}{}{hint}", issue.message)))
}

/// A key that an action needs. `validate` has seen to it, but for what an expression gave.
///
/// # Errors
/// Class `invalid`, where it is not given.
#[cfg(any(feature = "git", feature = "forge"))]
pub(crate) fn needed<T>(key: &str, value: Option<T>) -> Result<T, StepError> {
    value.ok_or_else(|| invalid(format!("`{key}` is missing")))
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
#[cfg(any(feature = "http", feature = "llm", feature = "forge"))]
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
