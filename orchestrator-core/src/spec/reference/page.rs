//! The table as tables of the page `docs/yaml.md`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::spec::reference::editor::Kind;
use crate::spec::reference::form::Section;

/// The keys of a section, as a table.
#[must_use]
pub fn keys_table(section: &Section) -> String {
    let mut table = String::from("| key | value | | example |\n|---|---|---|---|\n");
    for key in section.keys.iter().filter(|key| !key.later) {
        let mut about = key.about.to_owned();
        if key.required {
            about.push_str(" Required.");
        }
        if !key.default.is_empty() {
            let _ = write!(about, " Without it: {}.", key.default);
        }
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | `{}` |",
            key.name,
            cell(&key.form.words()),
            cell(&about),
            cell(key.example)
        );
    }
    let later: Vec<String> =
        section.keys.iter().filter(|key| key.later).map(|key| format!("`{}`", key.name)).collect();
    if !later.is_empty() {
        let _ = writeln!(table, "\nPart of the language, and not supported yet: {}.", later.join(", "));
    }
    table
}

/// What a kind of plugin takes and gives, as two tables.
#[must_use]
pub fn kind_tables(kind: &Kind<'_>) -> String {
    let mut page = format!("It {}.\n\n", kind.summary);
    page.push_str("| `with` | value | | example |\n|---|---|---|---|\n");
    let required = required(kind.config);
    for (name, schema) in properties(kind.config) {
        let mut about = text(schema, "description").to_owned();
        if required.contains(&name) {
            about.push_str(" Required.");
        }
        if let Some(default) = schema.get("default") {
            let _ = write!(about, " Without it: `{}`.", shown(default));
        }
        let example = schema["examples"].get(0).map(|example| format!("`{name}: {}`", inline(example)));
        let example = example.unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {} |",
            cell(&type_of(schema)),
            cell(&about),
            cell(&example)
        );
    }
    page.push_str("\n| output | value | |\n|---|---|---|\n");
    for (name, schema) in properties(kind.output) {
        let about = text(schema, "description");
        let _ = writeln!(page, "| `{name}` | {} | {} |", cell(&type_of(schema)), cell(about));
    }
    page
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

fn required(schema: &Value) -> Vec<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text<'v>(schema: &'v Value, word: &str) -> &'v str {
    schema.get(word).and_then(Value::as_str).unwrap_or_default()
}

fn type_of(schema: &Value) -> String {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().map(|word| format!("`{}`", shown(word))).collect::<Vec<_>>().join(", ");
    }
    let words = match schema.get("type").and_then(Value::as_str) {
        Some("string") => "text",
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("boolean") => "`true` or `false`",
        Some("array") => "list",
        Some("object") => "mapping",
        _ => "any value",
    };
    let bound = |word: &str| schema.get(word).map(Value::to_string);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("{words}, {least} to {most}"),
        (Some(least), None) => format!("{words}, at least {least}"),
        _ => words.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value in one line of YAML: JSON, with plain texts where they are plain in YAML too.
fn inline(value: &Value) -> String {
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || " ._/-".contains(c))
            && text.parse::<f64>().is_err()
            && !matches!(text, "true" | "false" | "null")
    };
    match value {
        Value::String(text) if plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text inside a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
