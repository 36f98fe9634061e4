//! `rate`.

use serde_json::Value;

use crate::spec::concurrency::MAX_PLACES;
use crate::spec::duration;
use crate::spec::expr::{Template, has_expression};
use crate::spec::rate::{MAX_PER, MAX_RATE_KEY, MAX_RATES, MIN_PER, Rate};
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place};

const EXAMPLE: &str = "write for example `rate: { key: some-api, limit: 10, per: 1m }`";

impl<'t> Reader<'t, '_> {
    /// One rate, or a list of them; those of which something is wrong have been told and are left out.
    pub(super) fn rates(&mut self, node: &Node<'t>, place: &Place<'_>) -> Vec<Rate> {
        let Content::List(items) = &node.content else {
            return self.rate(node, place).into_iter().collect();
        };
        if items.is_empty() || items.len() > MAX_RATES {
            let message = format!("{} rates: a step has 1 to {MAX_RATES}", items.len());
            self.error(node.at, place, "out_of_range", message).hint(EXAMPLE);
        }
        items.iter().enumerate().filter_map(|(ix, item)| self.rate(item, &place.item(ix))).collect()
    }

    fn rate(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Rate> {
        let fields = self.fields(node, place, &keys::RATE)?;
        for key in ["key", "limit", "per"] {
            if fields.get(key).is_none() && !fields.is_meant(key) {
                self.error(node.at, place, "missing_field", format!("missing `{key}`")).hint(EXAMPLE);
            }
        }
        let key = fields.get("key").and_then(|node| self.rate_key(node, &place.key("key")));
        let limit = fields.get("limit").and_then(|node| self.whole(node, &place.key("limit"), 1, MAX_PLACES));
        let per = fields.get("per").and_then(|node| {
            let place = place.key("per");
            let per = self.duration(node, &place, false)?;
            if !(MIN_PER..=MAX_PER).contains(&per) {
                let (least, most) = (duration::print(MIN_PER), duration::print(MAX_PER));
                let message = format!("a rate is about {least} to {most}");
                self.error(node.at, &place, "out_of_range", message).hint(EXAMPLE);
                return None;
            }
            Some(per)
        });
        Some(Rate { key: key?, limit: limit?, per: per? })
    }

    fn rate_key(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Template> {
        let text = self.text(node, place)?.to_owned();
        if text.trim().is_empty() || (!has_expression(&text) && text.len() > MAX_RATE_KEY) {
            let message = format!("the key of a rate has 1 to {MAX_RATE_KEY} bytes");
            self.error(node.at, place, "invalid_value", message)
                .hint("name what must not be asked too often: `key: some-api`");
            return None;
        }
        Some(self.template(Value::String(text), node, place))
    }
}
