//! JSON Schemas that come from outside.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Compiles a JSON Schema, of draft 2020-12 unless its `$schema` says otherwise. Nothing is fetched for it, and no pattern of it
/// takes longer than its text: neither it nor what is held against it is trusted.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema)
}
