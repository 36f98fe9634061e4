//! What kind of value a reference gives, as far as that is known: lists that are none, and fields that items have not.

use crate::spec::expr::{Reference, Template};
use crate::spec::read::check::{All, STEP_FIELDS, Site};
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::tree::Place;
use crate::spec::{Facts, InputKind, Over, StepSpec, suggest};

/// What every item of a step has.
const ITEM_FIELDS: [&str; 3] = ["status", "output", "error"];

impl<'t> Reader<'t, '_> {
    /// Tells what a step runs once for each of and what is certainly no list.
    pub(super) fn lists(&mut self, all: &All<'_, '_, 't>, draft: &Draft<'_, 't>, place: &Place<'_>) {
        let Some(each) = &draft.spec.options().each else { return };
        let (key, lists): (_, Vec<&Template>) = match &each.over {
            Over::List(list) => ("for_each", vec![list]),
            Over::Matrix(matrix) => {
                ("strategy", matrix.axes.values().chain(&matrix.exclude).chain(&matrix.include).collect())
            }
        };
        for list in lists {
            let Some(reference) = list.as_reference() else { continue };
            if let Some((what, hint)) = self.no_list(all, &reference) {
                let site = Site { node: draft.field(key), key, each: None };
                let message = format!("{what}, not a list");
                self.tell(&reference, site, place, "type_mismatch", message, hint);
            }
        }
    }

    /// What a reference gives, if that is certainly no list; and what to write instead.
    fn no_list(&self, all: &All<'_, '_, 't>, reference: &Reference) -> Option<(String, String)> {
        let split = |path: String| format!("make a list of it: `${{{{ {path}|lines }}}}` or `|split(',')`");
        match reference {
            Reference::Input(name) => {
                let kind = all.workflow.inputs.get(name)?.kind;
                if matches!(kind, InputKind::Array | InputKind::Any) {
                    return None;
                }
                let what = format!("the input `{name}` is declared as `type: {}`", kind.name());
                Some((what, "declare it as `type: array`".to_owned()))
            }
            Reference::Env(name) => {
                let path = format!("env.{name}");
                Some((format!("`{path}` is a text"), split(path)))
            }
            Reference::Step(name, Some(field)) => {
                let step = &all.drafts[*all.names.get(name)? as usize].spec;
                let kind = self.kind_of_field(step, field)?;
                let path = format!("steps.{name}.{field}");
                let hint = match kind {
                    "string" => split(path.clone()),
                    _ => "name a field that is a list".to_owned(),
                };
                Some((format!("`{path}` is {}", in_words(kind)), hint))
            }
            _ => None,
        }
    }

    /// The type of a field of what a step gives, where its plugin says that it is another than a list.
    fn kind_of_field(&self, step: &StepSpec, field: &str) -> Option<&str> {
        match field {
            "status" => return Some("string"),
            "attempts" => return Some("integer"),
            _ if STEP_FIELDS.contains(&field) || step.options().each.is_some() => return None,
            _ if step.options().child.is_some() => return None,
            _ => {}
        }
        let schema = &self.catalog.facts(&step.uses)?.output_schema["properties"][field];
        let kind = schema["type"].as_str()?;
        ["string", "integer", "number", "boolean", "object"].contains(&kind).then_some(kind)
    }

    /// Whether no item of a step can have an attribute, such as `output.stdout`: message and hint.
    pub(super) fn no_attribute(&self, step: &StepSpec, attribute: &str) -> Option<(String, String)> {
        step.options().each.as_ref()?;
        let mut names = attribute.split('.');
        let (first, second) = (names.next()?, names.next());
        if !ITEM_FIELDS.contains(&first) {
            let message = format!("an item of step `{}` has no `{first}`", step.name);
            // Who forgets `output` has named a field of it.
            let hint = if lists(self.catalog.facts(&step.uses), first) {
                format!("write `output.{attribute}`")
            } else {
                suggest::hint(first, ITEM_FIELDS)
                    .unwrap_or_else(|| format!("it has {}", ITEM_FIELDS.join(", ")))
            };
            return Some((message, hint));
        }
        self.no_field_beside(step, second.filter(|_| first == "output")?, &[])
    }
}

/// Whether a plugin says that its output has a field.
fn lists(facts: Option<Facts<'_>>, field: &str) -> bool {
    facts.is_some_and(|facts| facts.output_schema["properties"].get(field).is_some())
}

/// A type of JSON Schema, as people call it.
fn in_words(kind: &str) -> &'static str {
    match kind {
        "string" => "a text",
        "boolean" => "true or false",
        "object" => "a mapping",
        _ => "a number",
    }
}
