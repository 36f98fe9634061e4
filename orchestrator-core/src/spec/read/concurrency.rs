//! `concurrency`.

use serde_json::Value;

use crate::spec::concurrency::{Concurrency, MAX_KEY, MAX_PLACES, OnFull};
use crate::spec::expr::Template;
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
}
