//! `retry` and `timeout`.

use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::retry::{Backoff, ErrorClass, MAX_ATTEMPTS, RetryPolicy};
use crate::spec::tree::{Content, Node, Place};
use crate::spec::{OnExpiry, Timeout};

const CLASSES: [(&str, ErrorClass); 12] = [
    ("failed", ErrorClass::Failed),
    ("transient", ErrorClass::Transient),
    ("timeout", ErrorClass::Timeout),
    ("rate_limited", ErrorClass::RateLimited),
    ("invalid", ErrorClass::Invalid),
    ("denied", ErrorClass::Denied),
    ("template", ErrorClass::Template),
    ("plugin_panicked", ErrorClass::PluginPanicked),
    ("lost", ErrorClass::Lost),
    ("evidence", ErrorClass::Evidence),
    ("qa", ErrorClass::Qa),
    ("cancelled", ErrorClass::Cancelled),
];

impl<'t> Reader<'t, '_> {
    pub(super) fn retry(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<RetryPolicy> {
        const BACKOFFS: [(&str, Backoff); 2] =
            [("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
        if let Content::Number(number) = &node.content {
            let hint = format!("write `{{ max_attempts: {number} }}`");
            self.wrong_type(node, place, "a mapping").hint = Some(hint);
            return None;
        }
        let fields = self.fields(node, place, &keys::RETRY)?;
        let mut policy = RetryPolicy::default();
        if let Some(node) = fields.get("max_attempts") {
            let given = self.whole(node, &place.key("max_attempts"), 1, MAX_ATTEMPTS);
            policy.max_attempts = given.unwrap_or(policy.max_attempts);
        }
        if let Some(node) = fields.get("backoff") {
            policy.backoff = self.choice(node, &place.key("backoff"), &BACKOFFS).unwrap_or(policy.backoff);
        }
        let initial = fields.get("initial");
        if let Some(node) = initial {
            policy.initial = self.duration(node, &place.key("initial"), true).unwrap_or(policy.initial);
        }
        match fields.get("max") {
            Some(node) => {
                policy.max =
                    self.duration(node, &place.key("max"), true).unwrap_or(policy.max.max(policy.initial));
                if policy.max < policy.initial {
                    let message = "the longest wait is shorter than the first";
                    self.error(node.at, &place.key("max"), "out_of_range", message);
                }
            }
            None => policy.max = policy.max.max(policy.initial),
        }
        if let Some(node) = fields.get("on") {
            policy.on = self.classes(node, &place.key("on"));
        }
        Some(policy)
    }

    /// One class of errors, or a list of them.
    fn classes(&mut self, node: &Node<'t>, place: &Place<'_>) -> Vec<ErrorClass> {
        let Content::List(items) = &node.content else {
            return self.choice(node, place, &CLASSES).into_iter().collect();
        };
        let mut classes: Vec<ErrorClass> = Vec::new();
        for (ix, item) in items.iter().enumerate() {
            classes.extend(self.choice(item, &place.item(ix), &CLASSES));
        }
        if items.is_empty() {
            self.error(node.at, place, "invalid_value", "the list is empty")
                .hint("leave `on` out to retry what may pass by itself");
        }
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    pub(super) fn timeout(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Timeout> {
        const THEN: [(&str, OnExpiry); 3] =
            [("fail", OnExpiry::Fail), ("reject", OnExpiry::Reject), ("approve", OnExpiry::Approve)];
        let Content::Map(_) = &node.content else {
            let after = self.duration(node, place, false)?;
            return Some(Timeout { after, then: OnExpiry::default() });
        };
        let fields = self.fields(node, place, &keys::TIMEOUT)?;
        let then = match fields.get("then") {
            Some(node) => self.choice(node, &place.key("then"), &THEN).unwrap_or_default(),
            None => OnExpiry::default(),
        };
        match fields.get("after") {
            Some(node) => {
                let after = self.duration(node, &place.key("after"), false)?;
                Some(Timeout { after, then })
            }
            None => {
                if !fields.is_meant("after") {
                    self.error(node.at, place, "missing_field", "missing `after`")
                        .hint("write `{ after: 24h, then: reject }`");
                }
                None
            }
        }
    }
}
