//! The declared inputs.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::spec::inputs::{KINDS, fits};
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place};
use crate::spec::{InputKind, InputSpec};

impl<'t> Reader<'t, '_> {
    pub(super) fn inputs(&mut self, node: &Node<'t>, place: &Place<'_>) -> IndexMap<Arc<str>, InputSpec> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping of names to declarations");
            return IndexMap::new();
        };
        let mut inputs = IndexMap::with_capacity(entries.len());
        for entry in entries {
            let place = place.key(&entry.key);
            self.check_name(&entry.key, entry.key_at, &place);
            let spec = self.input(&entry.value, &place);
            inputs.insert(
                Arc::from(&*entry.key),
                // A broken declaration still declares the name.
                spec.unwrap_or(InputSpec { kind: InputKind::Any, default: None, description: None }),
            );
        }
        inputs
    }

    fn input(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<InputSpec> {
        let Content::Map(_) = &node.content else {
            self.wrong_type(node, place, "a mapping").hint("write `{ type: string }`");
            return None;
        };
        let fields = self.fields(node, place, &keys::INPUT)?;
        let kind = match fields.get("type") {
            Some(node) => self.choice(node, &place.key("type"), &KINDS),
            None => {
                if !fields.is_meant("type") {
                    let names = KINDS.map(|(name, _)| name).join(", ");
                    let error = self.error(node.at, place, "missing_field", "missing `type`");
                    error.hint(format!("the types are {names}"));
                }
                None
            }
        };
        let description =
            fields.get("description").and_then(|node| self.text(node, &place.key("description")));
        let default = fields.get("default").map(|node| (node, node.to_value()));
        if let (Some((node, value)), Some(kind)) = (&default, kind)
            && !fits(kind, value)
        {
            let expected = format!("a default of type {}", kind.name());
            self.wrong_type(node, &place.key("default"), &expected);
        }
        if let Some((node, value)) = &default {
            self.warn_of_secrets(value, node, &place.key("default"));
        }
        if let Some(node) = fields.get("required") {
            self.required(node, default.is_some(), &place.key("required"));
        }
        Some(InputSpec {
            kind: kind.unwrap_or(InputKind::Any),
            default: default.map(|(_, value)| value),
            description: description.map(Arc::from),
        })
    }

    /// `required` only says again what the default says; it must not say the contrary.
    fn required(&mut self, node: &Node<'t>, has_default: bool, place: &Place<'_>) {
        match (&node.content, has_default) {
            (Content::Bool(true), true) => {
                let message = "an input with a default is never required";
                self.error(node.at, place, "conflicting_fields", message)
                    .hint("remove `required` or `default`");
            }
            (Content::Bool(false), false) => {
                let message = "an input that is not required needs a default";
                self.error(node.at, place, "missing_field", message).hint("add `default`");
            }
            (Content::Bool(_), _) => {}
            _ => _ = self.wrong_type(node, place, "true or false"),
        }
    }
}
