//! `queue` and `labels`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::spec::placement::{
    DEFAULT_QUEUE, MAX_LABEL, MAX_LABELS, MAX_QUEUE_NAME, Placement, is_queue_name,
};
use crate::spec::read::fields::Fields;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place, quoted};

impl<'t> Reader<'t, '_> {
    /// Who may execute the step, if it says so.
    pub(super) fn placement(&mut self, fields: Fields<'_, 't>, place: &Place<'_>) -> Option<Arc<Placement>> {
        let queue = fields.get("queue").map(|node| self.queue(node, &place.key("queue")));
        let labels = fields.get("labels").map(|node| self.labels(node, &place.key("labels")));
        if queue.is_none() && labels.is_none() {
            return None;
        }
        let queue = queue.flatten().unwrap_or_else(|| Arc::from(DEFAULT_QUEUE));
        Some(Arc::new(Placement { queue, labels: labels.unwrap_or_default() }))
    }

    fn queue(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Arc<str>> {
        let text = self.text(node, place)?;
        if is_queue_name(text) {
            return Some(Arc::from(text));
        }
        let message = format!("{} is not the name of a queue", quoted(text));
        self.error(node.at, place, "invalid_value", message)
            .hint(format!("write 1 to {MAX_QUEUE_NAME} letters, digits, `_`, `-` and `.`"));
        None
    }

    fn labels(&mut self, node: &Node<'t>, place: &Place<'_>) -> BTreeMap<String, String> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping of labels to their values");
            return BTreeMap::new();
        };
        if entries.len() > MAX_LABELS {
            let message = format!("{} labels; the limit is {MAX_LABELS}", entries.len());
            self.error(node.at, place, "out_of_range", message);
            return BTreeMap::new();
        }
        let mut labels = BTreeMap::new();
        for entry in entries {
            let place = place.key(&entry.key);
            let Some(value) = self.plain_text(&entry.value, &place) else { continue };
            if entry.key.is_empty() || entry.key.len() > MAX_LABEL || value.len() > MAX_LABEL {
                let message =
                    format!("a label and its value have at most {MAX_LABEL} bytes each, and a label has one");
                self.error(entry.value.at, &place, "out_of_range", message);
            } else if value.contains("${{") {
                let message =
                    "who may execute a step is known before anything runs: a label holds no expressions";
                self.error(entry.value.at, &place, "invalid_value", message);
            } else {
                labels.insert(entry.key.to_string(), value);
            }
        }
        labels
    }
}
