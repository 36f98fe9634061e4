//! The result file: what a script leaves for later steps.

use std::io::Read;
use std::path::Path;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::secret::Mask;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::ValueRef;
use serde_json::{Map, Value};

use super::plain::open_file;

/// The longest result file, in bytes (8 MiB). JSON makes a text at most six times as long, which leaves room for the
/// fields beside it in a value of [`orchestrator_core::value::VALUE_LIMIT`].
const LIMIT: u64 = 8 << 20;

/// Names that a result cannot set: the script's own output fields, and what `steps.X` says of every step.
const RESERVED: [&str; 11] = [
    "artifacts",
    "attempts",
    "error",
    "exit_code",
    "items",
    "status",
    "stderr",
    "stderr_bytes",
    "stdout",
    "stdout_bytes",
    "truncated",
];

/// Reads the result file at `path`.
///
/// # Errors
/// Class `failed`, naming the line.
pub(super) fn read(path: &Path, mask: &Mask) -> Result<Map<String, Value>, StepError> {
    load(path).and_then(|text| parse(&text, mask)).map_err(|problem| {
        StepError::new(
            ErrorClass::Failed,
            format!("the result file ($ORCHESTRATOR_OUTPUT) cannot be used: {problem}"),
        )
    })
}

fn load(path: &Path) -> Result<String, String> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err("the script has put something in its place that is not a file".to_owned()),
        // The script has removed it: no result.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error.to_string()),
    }
    let mut bytes = Vec::new();
    let file = open_file(path).map_err(|error| error.to_string())?;
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LIMIT {
        return Err(format!("it is longer than {LIMIT} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// Reads the text of a result: one JSON object, or lines.
fn parse(text: &str, mask: &Mask) -> Result<Map<String, Value>, String> {
    let fields = if text.trim_start().starts_with('{') { object(text)? } else { lines(text, mask)? };
    let value = Value::Object(fields);
    // Checked here, where the message can still say where the value came from.
    ValueRef::encode(&value).map_err(|error| error.to_string())?;
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    let fields: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("it begins with `{{` but is not one JSON object: {error}"))?;
    match fields.keys().find(|name| RESERVED.contains(&name.as_str()) || name.is_empty()) {
        Some(name) => Err(reserved(name)),
        None => Ok(fields),
    }
}

fn lines(text: &str, mask: &Mask) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = match (line.find('='), line.find("<<")) {
            (equals, Some(heredoc)) if equals.is_none_or(|equals| heredoc < equals) => {
                let end = &line[heredoc + 2..];
                (
                    &line[..heredoc],
                    block(&mut lines, end).map_err(|problem| format!("line {number}: {problem}"))?,
                )
            }
            (Some(equals), _) => (&line[..equals], line[equals + 1..].to_owned()),
            (None, _) => {
                let found: String = mask.text(line).chars().take(40).collect();
                return Err(format!(
                    "line {number}: expected `name=value`, `name<<END` or one JSON object, found `{found}`"
                ));
            }
        };
        if !is_name(name) {
            let found: String = mask.text(name).chars().take(40).collect();
            let hint = "letters, digits and underscores, not beginning with a digit";
            return Err(format!("line {number}: `{found}` is not a name: {hint}"));
        }
        if RESERVED.contains(&name) {
            return Err(format!("line {number}: {}", reserved(name)));
        }
        fields.insert(name.to_owned(), Value::String(value));
    }
    Ok(fields)
}

/// The lines up to one that is `end`.
fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, end: &str) -> Result<String, String> {
    if end.trim().is_empty() {
        return Err("there is no end mark after `<<`".to_owned());
    }
    let mut block = Vec::new();
    for (_, line) in lines {
        if line == end {
            return Ok(block.join("\n"));
        }
        block.push(line);
    }
    Err(format!("there is no line `{end}` after it"))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn reserved(name: &str) -> String {
    if name.is_empty() {
        return "a name is empty".to_owned();
    }
    format!("`{name}` is reserved; use another name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_is_an_object_or_lines() {
        let cases = [
            ("", json!({})),
            (" \n\n", json!({})),
            (" {\"a\": 1, \"b\": [true]}\n", json!({ "a": 1, "b": [true] })),
            ("a=1\nb=two words \n\nc=", json!({ "a": "1", "b": "two words ", "c": "" })),
            ("a=b=c<<d\n", json!({ "a": "b=c<<d" })),
            ("a<<END\none\n=two\n\nEND\nb=3\n", json!({ "a": "one\n=two\n", "b": "3" })),
            ("a<<x=y\nline\nx=y\n", json!({ "a": "line" })),
            ("a<<END\nEND", json!({ "a": "" })),
            ("a=1\r\nb=2\r\n", json!({ "a": "1", "b": "2" })),
            ("a=1\na=2\n", json!({ "a": "2" })),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, &Mask::default()).map(Value::Object), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_neither_names_its_line() {
        let cases = [
            ("a=1\nhello\n", "line 2: expected `name=value`"),
            ("a=1\n\nmy-name=1\n", "line 3: `my-name` is not a name"),
            ("1a=1", "line 1: `1a` is not a name"),
            ("=1", "line 1: `` is not a name"),
            ("a=1\nb<<END\nx\n", "line 2: there is no line `END` after it"),
            ("b<<\nx\n", "line 1: there is no end mark"),
            ("status=1", "line 1: `status` is reserved"),
            ("{\"stdout\": 1}", "`stdout` is reserved"),
            ("{\"\": 1}", "a name is empty"),
            ("{\"a\": 1,\n \"b\": }", "at line 2 column 7"),
            ("{\"a\": 1} trailing", "not one JSON object"),
            ("{\"a\": \"\\u0000\"}", "NUL"),
            ("a=\0", "NUL"),
        ];
        for (text, expected) in cases {
            let problem = parse(text, &Mask::default()).expect_err(text);
            assert!(problem.contains(expected), "{text:?}: {problem}");
        }
    }
}
