//! Answers that have to be JSON of a certain shape.

use std::fmt::Write as _;

use jsonschema::Validator;
use orchestrator_core::mask::Mask;
use serde_json::Value;

use super::price::COMPLAINT_MAX;
use crate::config::replace_nul;
use crate::json_schema;
use crate::outbound::shortened;

/// How many problems of an answer are told.
const TOLD: usize = 10;

/// The shape of an answer.
#[derive(Debug)]
pub(super) struct Shape(Validator);

impl Shape {
    /// Compiles a JSON Schema.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment for a message.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        json_schema::compile(schema).map(Self).map_err(|error| {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { String::new() } else { format!("{at}: ") };
            format!("it is no JSON Schema: {at}{}", shortened(&error.to_string(), 300))
        })
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// What is wrong with it, a line for each problem.
    pub(super) fn read(&self, text: &str, mask: &Mask) -> Result<Value, String> {
        let text = without_fence(text.trim());
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let mut problems = String::new();
        for error in self.0.iter_errors(&value).take(TOLD) {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { "the whole".to_owned() } else { at };
            let said = error.to_string();
            let _ = writeln!(problems, "{at}: {}", shortened(&mask.text(&said), 300));
        }
        if problems.is_empty() {
            replace_nul(&mut value);
            return Ok(value);
        }
        Err(problems.trim_end().to_owned())
    }
}

/// What the model is told of an answer that does not fit.
pub(super) fn complaint(problems: &str) -> String {
    let text = format!(
        "Your answer does not fit. Answer again, with one JSON value and nothing else.\n\nWhat is wrong:\n{problems}"
    );
    let cut = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= COMPLAINT_MAX).last();
    match cut.filter(|_| text.len() > COMPLAINT_MAX) {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// What stands inside of a code fence, if the text is one: models like to write them.
fn without_fence(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.and_then(|text| text.split_once('\n')).map_or(text, |(_, inner)| inner.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_held_to_its_schema() {
        let schema = json!({
            "type": "object",
            "required": ["n"],
            "properties": { "n": { "type": "integer", "maximum": 5 }, "w": { "pattern": "^(a+)+$" } },
        });
        let shape = Shape::compile(&schema).unwrap();
        for text in ["{\"n\": 1}", " ```json\n{\"n\": 1}\n``` ", "```\n{\"n\": 1}```"] {
            assert_eq!(shape.read(text, &Mask::default()), Ok(json!({ "n": 1 })), "{text}");
        }
        for (text, expected) in [
            ("", "it is not JSON"),
            ("Here: {\"n\": 1}", "it is not JSON"),
            ("{}", "the whole: \"n\" is a required property"),
            ("{\"n\": 9}", "/n: 9 is greater than the maximum of 5"),
            ("```json", "it is not JSON"),
        ] {
            let problems = shape.read(text, &Mask::default()).unwrap_err();
            assert!(problems.starts_with(expected), "{text}: {problems}");
        }
        let secret = format!("{{\"n\": \"{}tell-nobody\"}}", "x".repeat(290));
        let problems = shape.read(&secret, &Mask::of(["tell-nobody"])).unwrap_err();
        assert!(!problems.contains("tell"), "{problems}");
        let long = format!("{{\"n\": 1, \"w\": \"{}b\"}}", "a".repeat(100_000));
        assert!(shape.read(&long, &Mask::default()).unwrap_err().starts_with("/w: "));
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for schema in [
            json!({ "type": "objekt" }),
            json!({ "$ref": "http://127.0.0.1:1/x.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "pattern": "(" }),
            json!(5),
        ] {
            assert!(Shape::compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn complaints_are_short() {
        assert!(complaint("x").ends_with("\nx"));
        assert!(complaint(&"é".repeat(10_000)).len() <= COMPLAINT_MAX);
    }
}
