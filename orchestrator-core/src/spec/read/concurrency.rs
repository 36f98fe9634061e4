//! `concurrency`.

use serde_json::Value;

use crate::spec::concurrency::{Concurrency, MAX_KEY, MAX_PLACES, OnFull};
use crate::spec::expr::{Reference, Template};
use crate::spec::read::check::{All, Site};
use crate::spec::read::fields::Fields;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place};

impl<'t> Reader<'t, '_> {
    /// A key, or a mapping; `None` where what it says has been told as wrong.
    pub(super) fn concurrency(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Concurrency> {
        const FULL: [(&str, OnFull); 4] = [
            ("wait", OnFull::Wait),
            ("refuse", OnFull::Refuse),
            ("cancel_oldest", OnFull::CancelOldest),
            ("cancel_newest", OnFull::CancelNewest),
        ];
        match &node.content {
            Content::Map(_) => {}
            Content::Text(_) => {
                let key = self.concurrency_key(node, place)?;
                return Some(Concurrency { key, limit: 1, on_full: OnFull::default() });
            }
            _ => {
                self.wrong_type(node, place, "a key or a mapping");
                return None;
            }
        }
        let fields = self.fields(node, place, &keys::CONCURRENCY)?;
        if fields.get("key").is_none() && !fields.is_meant("key") {
            self.error(node.at, place, "missing_field", "missing `key`")
                .hint("write for example `concurrency: { key: deploy, limit: 1 }`");
        }
        let key = fields.get("key").and_then(|node| self.concurrency_key(node, &place.key("key")));
        let limit = match fields.get("limit") {
            Some(node) => self.whole(node, &place.key("limit"), 1, MAX_PLACES)?,
            None => 1,
        };
        let on_full = match fields.get("on_full") {
            Some(node) => self.choice(node, &place.key("on_full"), &FULL)?,
            None => OnFull::default(),
        };
        Some(Concurrency { key: key?, limit, on_full })
    }

    fn concurrency_key(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Template> {
        let text = self.text(node, place)?.to_owned();
        if text.trim().is_empty() || text.len() > MAX_KEY {
            self.error(node.at, place, "invalid_value", "a key has 1 to 255 bytes")
                .hint("name what must not be used by too many at once: `concurrency: deploy`");
            return None;
        }
        Some(self.template(Value::String(text), node, place))
    }

    /// What the key of the workflow refers to is known before the run has begun, and none of its steps names the same key.
    pub(super) fn key_of_runs(&mut self, all: &All<'_, '_, 't>, fields: Fields<'_, 't>) {
        let Some(limited) = &all.workflow.concurrency else { return };
        let site = Site { node: fields.get("concurrency"), key: "concurrency", each: None };
        for reference in limited.key.references() {
            if let Reference::Step(name, _) = reference {
                let message =
                    format!("step `{name}` has no output yet when the key of the workflow is rendered");
                let hint =
                    "use an input, or bound the steps that need it: `concurrency` of a step".to_owned();
                self.tell(reference, site, &Place::Top, "output_not_available", message, hint);
            } else if !matches!(reference, Reference::EachItem(..)) {
                // The items themselves have been referred to as well.
                _ = self.reference(all, reference, site, &Place::Top);
            }
        }
        let key = limited.key.as_written();
        for draft in all.drafts {
            let own = draft.spec.options().concurrency.as_ref();
            if own.is_some_and(|own| own.key.as_written() == key) {
                let at = draft.field("concurrency").map_or(draft.entry.key_at, |node| node.at);
                let message = "the step names the same key as its workflow: it would wait for its own run";
                let error =
                    draft.placed(|place| self.error(at, &place.key("concurrency"), "invalid_value", message));
                error.hint("give the two different keys, or leave one out: the run keeps its place until it has ended");
            }
        }
    }
}
