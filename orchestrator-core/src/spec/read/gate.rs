//! What stands between an attempt that has succeeded and its step: `evidence` and `qa`.

use std::sync::Arc;

use serde_json::Value;

use crate::spec::expr::{Template, has_expression};
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place, quoted};
use crate::spec::{Diff, Evidence, Qa, check_schema};

/// What is asked where the author has not said it.
const QUESTION: &str = "Is this good?";

impl<'t> Reader<'t, '_> {
    /// `true`, or a mapping; `false` is none.
    pub(super) fn qa(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Arc<Qa>> {
        let plain = |message: &str| Template::constant(Value::from(message));
        match &node.content {
            Content::Bool(true) => {
                return Some(Arc::new(Qa { message: plain(QUESTION), show: None, timeout: None }));
            }
            Content::Bool(false) => return None,
            Content::Map(_) => {}
            _ => {
                self.wrong_type(node, place, "true, false or a mapping");
                return None;
            }
        }
        let fields = self.fields(node, place, &keys::QA)?;
        let message = match fields.get("message") {
            Some(node) => {
                let place = place.key("message");
                let text = self.text(node, &place)?;
                if text.trim().is_empty() {
                    self.error(node.at, &place, "invalid_value", "the question is blank")
                        .hint("write what is to be judged");
                }
                self.template(Value::from(text), node, &place)
            }
            None => plain(QUESTION),
        };
        let show = fields.get("show").and_then(|node| {
            let place = place.key("show");
            let text = self.text(node, &place)?;
            Some(self.template(Value::from(text), node, &place))
        });
        let timeout = fields.get("timeout").and_then(|node| self.timeout(node, &place.key("timeout")));
        Some(Arc::new(Qa { message, show, timeout }))
    }

    pub(super) fn evidence(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Arc<Evidence>> {
        const DIFFS: [(&str, Diff); 2] = [("nonempty", Diff::NonEmpty), ("empty", Diff::Empty)];
        let fields = self.fields(node, place, &keys::EVIDENCE)?;
        let mut evidence = Evidence::default();
        if let Some(node) = fields.get("files") {
            let place = place.key("files");
            match &node.content {
                Content::List(items) => {
                    for (ix, item) in items.iter().enumerate() {
                        evidence.files.extend(self.pattern(item, &place.item(ix)));
                    }
                }
                _ => evidence.files.extend(self.pattern(node, &place)),
            }
        }
        if let Some(node) = fields.get("output") {
            let place = place.key("output");
            let schema = node.to_value();
            if !matches!(node.content, Content::Map(_)) {
                self.wrong_type(node, &place, "a mapping: a JSON Schema");
            } else if has_expression(&schema.to_string()) {
                self.error(node.at, &place, "invalid_value", "what the output must be holds no expressions");
            } else {
                for issue in check_schema(&schema) {
                    let (_, at) = node.follow(&issue.path, false);
                    let path = issue.path.iter().fold(place.to_string(), |path, key| path + "." + key);
                    self.problems.error(at.span, path, "invalid_value", issue.message).hint = issue.hint;
                }
                evidence.output = Some(schema);
            }
        }
        if let Some(node) = fields.get("diff") {
            evidence.diff = self.choice(node, &place.key("diff"), &DIFFS);
        }
        if !["files", "output", "diff"].iter().any(|key| fields.is_meant(key) || fields.get(key).is_some()) {
            self.error(node.at, place, "missing_field", "nothing is declared")
                .hint("write for example `evidence: { files: [report.md] }`");
        }
        Some(Arc::new(evidence))
    }

    /// A path below the folder of the run, perhaps with wildcards.
    fn pattern(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Arc<str>> {
        let text = self.text(node, place)?;
        let why = if text.trim().is_empty() {
            "it is blank"
        } else if has_expression(text) {
            "it holds an expression"
        } else if text.starts_with('/') {
            "it is not relative"
        } else if text.split('/').any(|part| part == "..") {
            "it leads out of the folder"
        } else {
            return Some(text.into());
        };
        let message = format!("{} is not a path of a file: {why}", quoted(text));
        self.error(node.at, place, "invalid_value", message)
            .hint("write a path below the folder of the run: report.md, out/*.json, out/**/*.txt");
        None
    }
}
