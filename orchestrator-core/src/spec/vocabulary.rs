//! The words of a schema: what an author writes as one is held to them, because a word that nobody knows checks nothing.

use serde_json::Value;

use crate::spec::schema::ConfigIssue;
use crate::spec::suggest;

const WORDS: [&str; 14] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "default",
    "description",
    "examples",
    "oneOf",
    "title",
];

const TYPES: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];

/// What is wrong with a schema that an author has written; the paths begin at the schema. Bounded like the text it is from.
#[must_use]
pub fn check_schema(schema: &Value) -> Vec<ConfigIssue> {
    let mut found = Vec::new();
    look(schema, &mut Vec::new(), &mut found);
    found
}

fn look(schema: &Value, path: &mut Vec<String>, found: &mut Vec<ConfigIssue>) {
    let Value::Object(words) = schema else {
        return tell(
            path,
            found,
            "a schema is a mapping",
            Some("write for example `{ type: string }`".into()),
        );
    };
    for (word, value) in words {
        path.push(word.clone());
        let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        match word.as_str() {
            "type" => match value.as_str() {
                Some(name) if TYPES.contains(&name) => {}
                name => {
                    let hint = suggest::hint(name.unwrap_or_default(), TYPES)
                        .or_else(|| Some(format!("there are {}", TYPES.join(", "))));
                    tell(path, found, "this is not the name of a type", hint);
                }
            },
            "properties" => match value.as_object() {
                Some(fields) => fields.iter().for_each(|(name, field)| {
                    path.push(name.clone());
                    look(field, path, found);
                    path.pop();
                }),
                None => tell(path, found, "expected a mapping of fields to schemas", None),
            },
            "items" => look(value, path, found),
            "oneOf" => match value.as_array() {
                Some(ways) => ways.iter().for_each(|way| look(way, path, found)),
                None => tell(path, found, "expected a list of schemas", None),
            },
            "required" if !texts(value) => {
                let hint = value.as_str().map(|name| format!("write `required: [{name}]`"));
                tell(path, found, "expected a list of names of fields", hint);
            }
            "additionalProperties" if !value.is_boolean() => {
                tell(path, found, "expected true or false", None);
            }
            "enum" | "examples" if !value.is_array() => tell(path, found, "expected a list", None),
            "minimum" | "maximum" if !value.is_number() => tell(path, found, "expected a number", None),
            "minLength" if !value.is_u64() => tell(path, found, "expected a whole number", None),
            word if !WORDS.contains(&word) => {
                let hint =
                    suggest::hint(word, WORDS).or_else(|| Some(format!("there are {}", WORDS.join(", "))));
                tell(path, found, "a schema has no such word", hint);
            }
            _ => {}
        }
        path.pop();
    }
}

fn tell(path: &[String], found: &mut Vec<ConfigIssue>, message: &str, hint: Option<String>) {
    found.push(ConfigIssue { path: path.to_vec(), message: message.to_owned(), hint });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_held_to_its_words() {
        let good = json!({
            "type": "object", "required": ["a"], "additionalProperties": false, "title": "t",
            "properties": { "a": { "type": "integer", "minimum": 1, "enum": [1, 2] }, "type": { "oneOf": [{}] } },
            "items": { "minLength": 3, "description": "d", "examples": [] },
        });
        assert_eq!(check_schema(&good), []);
        let bad = json!({
            "type": "text", "required": "a", "requird": [], "additionalProperties": {},
            "properties": { "a": { "minimum": "1" }, "b": 3 }, "items": { "minLength": -1, "pattern": "x" },
        });
        let places: Vec<String> = check_schema(&bad).into_iter().map(|issue| issue.path.join(".")).collect();
        assert_eq!(
            places,
            [
                "additionalProperties",
                "items.minLength",
                "items.pattern",
                "properties.a.minimum",
                "properties.b",
                "requird",
                "required",
                "type",
            ]
        );
    }
}
