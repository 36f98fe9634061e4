//! A tool, and whether arguments and results fit it.

use rmcp::model::Tool;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json_schema;
use crate::outbound::shortened;

/// How many misfits are told, and how much of each, in characters.
const TOLD: usize = 5;
const QUOTED: usize = 200;

/// A tool of a server, as the server tells of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct McpTool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// What it takes, as a JSON Schema.
    pub input_schema: Value,
    /// What its structured result is, as a JSON Schema, if it says so.
    pub output_schema: Option<Value>,
    /// What it says of its effects. Nobody holds it to that.
    pub annotations: Option<Value>,
}

impl From<Tool> for McpTool {
    fn from(tool: Tool) -> Self {
        let schema = |schema: &Map<String, Value>| Value::Object(schema.clone());
        Self {
            name: tool.name.into_owned(),
            description: tool.description.map(std::borrow::Cow::into_owned),
            input_schema: schema(&tool.input_schema),
            output_schema: tool.output_schema.as_deref().map(schema),
            annotations: tool.annotations.and_then(|hints| serde_json::to_value(hints).ok()),
        }
    }
}

/// Where `value` does not fit `schema`, each with its place as a JSON pointer below `name`.
///
/// # Errors
/// Why the schema says nothing.
pub(super) fn misfits(name: &str, schema: &Value, value: &Value) -> Result<Vec<String>, String> {
    let validator = json_schema::compile(schema);
    let validator = validator.map_err(|error| shortened(&error.to_string(), QUOTED))?;
    let told = validator.iter_errors(value).take(TOLD).map(|misfit| {
        format!("{name}{}: {}", misfit.instance_path(), shortened(&misfit.to_string(), QUOTED))
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misfits_have_their_places() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": { "a": { "type": "object", "properties": { "b": { "type": "integer" } } } },
        });
        assert_eq!(misfits("arguments", &schema, &json!({ "a": { "b": 1 } })), Ok(Vec::new()));
        let found = misfits("arguments", &schema, &json!({ "a": { "b": "x" } })).unwrap();
        assert_eq!(found, ["arguments/a/b: \"x\" is not of type \"integer\""]);
        assert_eq!(
            misfits("arguments", &schema, &json!({})).unwrap(),
            ["arguments: \"a\" is a required property"]
        );
        assert!(misfits("arguments", &json!({ "type": "nonsense" }), &json!({})).is_err());
        assert!(misfits("arguments", &json!({ "$ref": "http://127.0.0.1:1/schema" }), &json!({})).is_err());
        assert!(misfits("arguments", &json!({ "$ref": "file:///etc/passwd" }), &json!({})).is_err());
    }

    #[test]
    fn a_pattern_takes_no_time() {
        let schema = json!({ "type": "string", "pattern": "^(a+)+$" });
        let long = "a".repeat(40) + "!";
        assert_eq!(misfits("arguments", &schema, &json!(long)).unwrap().len(), 1);
    }
}
