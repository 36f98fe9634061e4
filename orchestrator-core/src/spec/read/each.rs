//! What a step runs once for each of: `for_each`, `strategy`; and how it is run again: `repeat`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use crate::spec::expr::Template;
use crate::spec::read::fields::Fields;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place};
use crate::spec::{Each, Matrix, Over, Repeat};

/// Keys of a matrix that are no axes.
const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";

/// The most times that a step can be run again.
const MAX_TIMES: u32 = 1_000_000;

/// The largest bound that makes sense: the most items of a run.
const MAX_PARALLEL: u32 = 1_000_000;

impl<'t> Reader<'t, '_> {
    /// `None` if the step runs once, or what it says has been told as wrong.
    pub(super) fn each(&mut self, fields: Fields<'_, 't>, place: &Place<'_>) -> Option<Each> {
        let strategy = fields.get("strategy").and_then(|node| {
            let place = place.key("strategy");
            self.fields(node, &place, &keys::STRATEGY).map(|fields| (node, fields))
        });
        let bound = strategy.and_then(|(_, fields)| fields.get("max-parallel"));
        let max_parallel = bound.and_then(|node| {
            let place = place.key("strategy");
            let bound = self.whole(node, &place.key("max-parallel"), 1, MAX_PARALLEL);
            NonZeroU32::new(bound?)
        });
        let matrix = strategy.and_then(|(_, fields)| fields.entry("matrix"));
        let over = match (fields.entry("for_each"), matrix) {
            (Some(_), Some(matrix)) => {
                let message = "a step has either `for_each` or `strategy.matrix`, not both";
                let place = place.key("strategy");
                self.error(matrix.key_at, &place.key("matrix"), "conflicting_fields", message)
                    .hint("make one list of them, or two steps");
                return None;
            }
            (Some(list), None) => Over::List(self.list(&list.value, &place.key("for_each"))?),
            (None, Some(matrix)) => {
                let place = place.key("strategy");
                Over::Matrix(self.matrix(&matrix.value, &place.key("matrix"))?)
            }
            (None, None) => {
                if let Some((node, fields)) = strategy
                    && !fields.is_meant("matrix")
                {
                    let message = "`strategy` needs a `matrix`, or a `for_each` beside it";
                    self.error(node.at, &place.key("strategy"), "missing_field", message)
                        .hint("write for example `for_each: ${{ inputs.names }}`");
                }
                return None;
            }
        };
        Some(Each { over, max_parallel })
    }

    /// `None` where what it says has been told as wrong.
    pub(super) fn repeat(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Repeat> {
        let fields = self.fields(node, place, &keys::REPEAT)?;
        let mut given = |key: &'static str, hint: &str| {
            if fields.get(key).is_none() && !fields.is_meant(key) {
                self.error(node.at, place, "missing_field", format!("missing `{key}`")).hint(hint);
            }
            fields.get(key)
        };
        let until = given("until", "write for example `until: self.exit_code == 0`");
        let max = given("max", "write for example `max: 10`");
        let until = until.and_then(|node| self.condition(node, &place.key("until")));
        let max = max.and_then(|node| self.whole(node, &place.key("max"), 1, MAX_TIMES));
        let delay = match fields.get("delay") {
            Some(node) => self.duration(node, &place.key("delay"), true)?,
            None => Duration::ZERO,
        };
        Some(Repeat { until: until?, max: max?, delay })
    }

    /// A list, or an expression that gives one.
    fn list(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Template> {
        match &node.content {
            Content::List(_) => {}
            Content::Text(_) => {
                let template = self.template(node.to_value(), node, place);
                if template.is_expression() {
                    return Some(template);
                }
                self.wrong_type(node, place, "a list, or an expression that gives one");
                return None;
            }
            _ => {
                self.wrong_type(node, place, "a list, or an expression that gives one");
                return None;
            }
        }
        let value = node.to_value();
        self.warn_of_secrets(&value, node, place);
        Some(self.template(value, node, place))
    }

    fn matrix(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Matrix> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping of axes to lists");
            return None;
        };
        let mut matrix = Matrix { axes: IndexMap::new(), exclude: None, include: None };
        for entry in entries {
            let place = place.key(&entry.key);
            let list = self.list(&entry.value, &place);
            match &*entry.key {
                EXCLUDE => matrix.exclude = list,
                INCLUDE => matrix.include = list,
                _ => {
                    self.check_name(&entry.key, entry.key_at, &place);
                    let list = list.unwrap_or_else(|| Template::constant(Value::Array(Vec::new())));
                    matrix.axes.insert(Arc::from(&*entry.key), list);
                }
            }
        }
        if matrix.axes.is_empty() && matrix.include.is_none() {
            self.error(node.at, place, "missing_field", "a matrix has at least one axis")
                .hint("write for example `matrix: { version: [1, 2] }`");
            return None;
        }
        Some(matrix)
    }
}
