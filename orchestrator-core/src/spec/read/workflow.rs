//! The top level.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::spec::Workflow;
use crate::spec::expr::Template;
use crate::spec::names;
use crate::spec::parse::ParseOptions;
use crate::spec::read::fields::Fields;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::read::triggers::Declared;
use crate::spec::tree::{Content, Node, Place, quoted};
use crate::value::Digest;

impl<'t> Reader<'t, '_> {
    /// The workflow of a tree. `text` is what it was made from, with its byte order mark.
    pub(in crate::spec) fn workflow(
        &mut self,
        text: &str,
        root: &Node<'t>,
        options: &ParseOptions<'_>,
    ) -> Option<Workflow> {
        let place = Place::Top;
        let fields = self.fields(root, &place, &keys::WORKFLOW)?;
        let name = self.workflow_name(fields, root, options);
        let description =
            fields.get("description").and_then(|node| self.text(node, &place.key("description")));
        let inputs = fields.get("inputs").map(|node| self.inputs(node, &place.key("inputs")));
        let env = fields.get("env").map(|node| self.env(node, &place.key("env")));
        let secrets = fields.get("secrets").map(|node| self.secrets(node, &place.key("secrets")));
        if let Some(node) = fields.get("defaults") {
            self.read_defaults(node, &place.key("defaults"));
        }
        let deadline =
            fields.get("deadline").and_then(|node| self.duration(node, &place.key("deadline"), false));
        let concurrency =
            fields.get("concurrency").and_then(|node| self.concurrency(node, &place.key("concurrency")));
        let permissions =
            fields.get("permissions").and_then(|node| self.permissions(node, &place.key("permissions")));
        if let Some(family) = self.family {
            family.call_last(&name);
        }
        let mut drafts = self.steps(fields, root);
        let stages = self.stages(fields, &mut drafts);
        let inputs = inputs.unwrap_or_default();
        let declared = Declared { workflow: &name, inputs: &inputs, is_stored: options.is_stored };
        let schedules = fields.get("on").map(|node| self.triggers(node, &place.key("on"), declared));
        let outputs = fields.get("outputs").map(|node| self.outputs(node, &place.key("outputs")));
        let revision = Digest::of(text.as_bytes());
        let mut workflow = Workflow {
            name,
            description: description.map(Arc::from),
            inputs,
            env: env.unwrap_or_default(),
            secrets: secrets.unwrap_or_default(),
            steps: Vec::new(),
            stages,
            deadline,
            concurrency,
            permissions: permissions.unwrap_or_default(),
            schedules: schedules.unwrap_or_default(),
            outputs: outputs.unwrap_or_default(),
            text: text.into(),
            revision,
            children: IndexMap::new(),
            edition: revision,
        };
        workflow.steps = self.check(&workflow, drafts, fields);
        workflow.adopt(std::mem::take(&mut self.children));
        Some(workflow)
    }

    fn workflow_name(
        &mut self,
        fields: Fields<'_, 't>,
        root: &Node<'t>,
        options: &ParseOptions<'_>,
    ) -> Arc<str> {
        let place = Place::Top;
        let Some(node) = fields.get("name") else {
            return match options.default_name {
                Some(name) => default_name(name),
                None => {
                    if !fields.is_meant("name") {
                        let error = self.error(root.at, &place, "missing_field", "missing `name`");
                        error.hint("begin with `name: my-workflow`");
                    }
                    "".into()
                }
            };
        };
        let Some(name) = self.text(node, &place.key("name")) else { return "".into() };
        if !names::is_workflow_name(name) {
            let message = format!("{} cannot be the name of a workflow", quoted(name));
            let error = self.error(node.at, &place.key("name"), "invalid_id", message);
            error.hint("a name has 1 to 100 letters, digits, `-`, `_`, `.` and single spaces");
        }
        name.into()
    }

    fn steps<'n>(&mut self, fields: Fields<'n, 't>, root: &Node<'t>) -> Vec<Draft<'n, 't>> {
        let Some(node) = fields.get("steps") else {
            if !fields.is_meant("steps") {
                let error = self.error(root.at, &Place::Top, "missing_field", "missing `steps`");
                error.hint("a workflow has at least one step");
            }
            return Vec::new();
        };
        self.steps_in(node, "steps")
    }

    /// Names that differ only by case are told: on some file systems they would share a folder.
    pub(super) fn check_case(&mut self, entries: &[crate::spec::tree::Entry<'t>], place: &Place<'_>) {
        let mut first: HashMap<Box<str>, usize> = HashMap::with_capacity(entries.len());
        for (ix, entry) in entries.iter().enumerate() {
            let folded = entry.key.to_ascii_lowercase().into_boxed_str();
            let kept = *first.entry(folded).or_insert(ix);
            if kept != ix {
                let other = &entries[kept];
                let line = self.problems.in_line(other.key_at.span.line);
                let (this, other) = (quoted(&entry.key), quoted(&other.key));
                let message = format!("{this} and {other}{line} differ only by case");
                self.error(entry.key_at, &place.key(&entry.key), "duplicate_id", message);
            }
        }
    }

    fn outputs(&mut self, node: &Node<'t>, place: &Place<'_>) -> IndexMap<Arc<str>, Template> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping of names to values");
            return IndexMap::new();
        };
        let mut outputs = IndexMap::with_capacity(entries.len());
        for entry in entries {
            let place = place.key(&entry.key);
            self.check_name(&entry.key, entry.key_at, &place);
            let value = entry.value.to_value();
            self.warn_of_secrets(&value, &entry.value, &place);
            outputs.insert(Arc::from(&*entry.key), self.template(value, &entry.value, &place));
        }
        outputs
    }
}

/// A name made of a text that was not meant as one, such as the stem of a file's name.
fn default_name(text: &str) -> Arc<str> {
    let allowed = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let name: String = text.chars().take(100).map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "workflow".into() } else { name.into() }
}
