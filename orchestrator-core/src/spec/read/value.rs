//! Values of a fixed kind: texts, choices, durations, whole numbers.

use std::time::Duration;

use serde_json::Value;

use crate::spec::duration;
use crate::spec::names;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Mark, Node, Place, quoted};
use crate::spec::{MAX_DIAGNOSTICS, suggest};

impl<'t> Reader<'t, '_> {
    /// A text.
    pub(super) fn text<'n>(&mut self, node: &'n Node<'t>, place: &Place<'_>) -> Option<&'n str> {
        match &node.content {
            Content::Text(text) => Some(text),
            _ => {
                self.wrong_type(node, place, "a text");
                None
            }
        }
    }

    /// A text, a number or a boolean, as it is written: `1.10` must not become `1.1`.
    pub(super) fn plain_text(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<String> {
        match &node.content {
            Content::Text(text) => Some(text.to_string()),
            Content::Bool(_) | Content::Number(_) => Some(self.written(node).unwrap_or_default().to_owned()),
            _ => {
                self.wrong_type(node, place, "a text");
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<bool> {
        match &node.content {
            Content::Bool(value) => Some(*value),
            _ => {
                self.wrong_type(node, place, "true or false");
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node<'t>,
        place: &Place<'_>,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(node, place)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*choice);
        }
        let list = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let message = format!("expected one of {}; found {}", list.join(", "), quoted(text));
        let hint = suggest::hint(text, list);
        self.error(node.at, place, "invalid_value", message).hint = hint;
        None
    }

    /// A duration; more than nothing unless `zero` is allowed.
    pub(super) fn duration(&mut self, node: &Node<'t>, place: &Place<'_>, zero: bool) -> Option<Duration> {
        let (shown, read) = match &node.content {
            Content::Text(text) => (quoted(text), duration::read(text)),
            Content::Number(number) => (number.to_string(), Err("it has no unit")),
            _ => {
                self.wrong_type(node, place, "a duration such as 30s");
                return None;
            }
        };
        let why = match read {
            Ok(duration) if zero || !duration.is_zero() => return Some(duration),
            Ok(_) => "it must be longer than nothing",
            Err(why) => why,
        };
        let error =
            self.error(node.at, place, "invalid_duration", format!("{shown} is not a duration: {why}"));
        error.hint("write for example 500ms, 30s, 2m, 24h or 1h30m");
        None
    }

    /// A whole number between two bounds.
    pub(super) fn whole(&mut self, node: &Node<'t>, place: &Place<'_>, least: u32, most: u32) -> Option<u32> {
        let Content::Number(number) = &node.content else {
            self.wrong_type(node, place, "a whole number");
            return None;
        };
        let value = number.as_u64().and_then(|number| u32::try_from(number).ok());
        if let Some(value) = value.filter(|value| (least..=most).contains(value)) {
            return Some(value);
        }
        let message = format!("{number} is not a whole number from {least} to {most}");
        self.error(node.at, place, "out_of_range", message);
        None
    }

    /// Tells a name that does not fit the pattern.
    pub(super) fn check_name(&mut self, name: &str, at: Mark, place: &Place<'_>) -> bool {
        let good = names::is_name(name);
        if !good {
            let error = self.error(at, place, "invalid_id", format!("{} cannot be a name", quoted(name)));
            let dashed = name.replace(['-', ' ', '.', '/'], "_");
            if names::is_name(&dashed) {
                error.hint(format!("write \"{dashed}\"; names match {}", names::PATTERN));
            } else {
                error.hint(format!("names match {}", names::PATTERN));
            }
        }
        good
    }

    /// Warns of texts that look like credentials. Their value is not repeated.
    pub(super) fn warn_of_secrets(&mut self, value: &Value, node: &Node<'t>, place: &Place<'_>) {
        let mut keys = Vec::new();
        find_secrets(value, &mut Vec::new(), &mut keys);
        for keys in keys {
            let (_, at) = node.follow(&keys, false);
            let message = "this text looks like a credential";
            let warning = self.problems.warning(at.span, place, "possible_secret", message);
            warning
                .hint(
                "whoever can read the workflow can read it; declare `secrets: [NAME]` and write `${{ secrets.NAME }}`",
            );
        }
    }
}

fn find_secrets(value: &Value, place: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if found.len() >= MAX_DIAGNOSTICS {
        return;
    }
    match value {
        Value::String(text) if names::looks_like_secret(text) => found.push(place.clone()),
        Value::Array(items) => {
            for (ix, item) in items.iter().enumerate() {
                place.push(ix.to_string());
                find_secrets(item, place, found);
                place.pop();
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                place.push(key.clone());
                find_secrets(field, place, found);
                place.pop();
            }
        }
        _ => {}
    }
}
