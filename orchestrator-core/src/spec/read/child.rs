//! Steps that another workflow carries out: the workflow, and what it is given.

use std::sync::Arc;

use crate::spec::expr::has_expression;
use crate::spec::inputs::fits;
use crate::spec::read::fields::Fields;
use crate::spec::read::reader::Reader;
use crate::spec::schema::describe;
use crate::spec::tree::{Content, Node, Place, quoted};
use crate::spec::{StepSpec, WORKFLOW_KIND, Workflow, suggest};

impl<'t> Reader<'t, '_> {
    /// Reads what `uses: workflow` has beside other steps: the workflow that it names, and what that is given.
    pub(super) fn child(&mut self, spec: &mut StepSpec, fields: Fields<'_, 't>, place: &Place<'_>) {
        if &*spec.uses != WORKFLOW_KIND {
            return;
        }
        if let Some(env) = fields.get("env") {
            let message =
                "nothing of this reaches the workflow: its steps have the `env` that it says itself";
            self.problems.warning(env.at.span, place.key("env"), "no_effect", message);
        }
        for key in ["qa", "evidence", "permissions", "queue", "labels"] {
            if let Some(gate) = fields.entry(key).map(|entry| &entry.value) {
                let message = format!("a step that runs a workflow has no `{key}` of its own");
                self.error(gate.at, &place.key(key), "conflicting_fields", message)
                    .hint(format!("give `{key}` to a step of that workflow"));
            }
        }
        if let Some(child) = fields.get("with").and_then(|with| self.named_child(with, place)) {
            spec.options.get_or_insert_default().child = Some(child);
        }
    }

    fn named_child(&mut self, with: &Node<'t>, place: &Place<'_>) -> Option<Arc<str>> {
        let entries = with.as_map()?;
        let named = entries.iter().find(|entry| entry.key == "workflow")?;
        let reference = named.value.as_text().filter(|text| !has_expression(text))?;
        let place = place.key("with");
        let child = match self.family.map(|family| family.child(reference, self.catalog)) {
            None => None,
            Some(Ok(child)) => child,
            Some(Err(fault)) => {
                let error = self.error(named.value.at, &place.key("workflow"), fault.code, fault.message);
                error.hint = fault.hint;
                None
            }
        };
        let reference: Arc<str> = reference.into();
        if let Some(child) = child {
            let inputs = entries.iter().find(|entry| entry.key == "inputs");
            self.check_inputs(&child, &reference, inputs.map(|entry| &entry.value), with, &place);
            self.children.insert(Arc::clone(&reference), child);
        }
        Some(reference)
    }

    /// Missing inputs, inputs that are not declared, constants of another type.
    fn check_inputs(
        &mut self,
        child: &Workflow,
        reference: &str,
        given: Option<&Node<'t>>,
        with: &Node<'t>,
        place: &Place<'_>,
    ) {
        let place = &place.key("inputs");
        let entries = match given.map(|node| &node.content) {
            Some(Content::Map(entries)) => entries.as_slice(),
            None => &[],
            // An expression gives all of them, or it is wrong, and that has been told.
            Some(_) => return,
        };
        for (name, spec) in &child.inputs {
            if spec.default.is_none() && !entries.iter().any(|entry| *entry.key == **name) {
                let at = given.unwrap_or(with).at;
                let kind = spec.kind.name();
                let message = format!("missing input `{name}` of {}; its type is {kind}", quoted(reference));
                self.error(at, place, "missing_input", message)
                    .hint(format!("add `{name}` to the `inputs` of `with`"));
            }
        }
        for entry in entries {
            let place = place.key(&entry.key);
            let Some(spec) = child.inputs.get(&*entry.key) else {
                let declared = child.inputs.keys().map(|name| &**name);
                let hint = suggest::hint(&entry.key, declared.clone()).unwrap_or_else(|| {
                    match declared.collect::<Vec<_>>().join(", ") {
                        none if none.is_empty() => "it has no inputs".to_owned(),
                        list => format!("it has {list}"),
                    }
                });
                let message = format!("{} has no input {}", quoted(reference), quoted(&entry.key));
                self.error(entry.key_at, &place, "unknown_input", message).hint(hint);
                continue;
            };
            let value = entry.value.to_value();
            let is_open = value.as_str().is_some_and(has_expression);
            if !is_open && !fits(spec.kind, &value) {
                let message = format!("expected type {}, found {}", spec.kind.name(), describe(&value));
                self.error(entry.value.at, &place, "type_mismatch", message);
            }
        }
    }
}
