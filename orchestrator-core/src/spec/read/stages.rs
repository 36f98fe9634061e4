//! The stages after the steps proper: `compensate` of a step, `on-failure`, `finally`.

use std::sync::Arc;

use crate::id::StepIx;
use crate::spec::read::fields::Fields;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::tree::{Content, Node, Place};
use crate::spec::{Stage, Stages, StepOptions, StepSpec};

impl<'t> Reader<'t, '_> {
    /// Adds what comes after the steps proper to them; which steps are of which stage.
    pub(super) fn stages<'n>(&mut self, fields: Fields<'n, 't>, drafts: &mut Vec<Draft<'n, 't>>) -> Stages {
        let main = drafts.len() as u32;
        let mut undoes = Vec::new();
        for ix in 0..main {
            let Some(undo) = self.compensation(&drafts[ix as usize], ix) else { continue };
            undoes.push(StepIx(ix));
            drafts.push(undo);
        }
        let on_failure = self.later_steps(fields, Stage::OnFailure);
        let finally = self.later_steps(fields, Stage::Finally);
        let stages = Stages::new(main, undoes, on_failure.len() as u32);
        drafts.extend(on_failure);
        drafts.extend(finally);
        let limit = self.limits.steps;
        if let Some(first) = drafts.get(limit) {
            let message = format!("{} steps, compensations included; the limit is {limit}", drafts.len());
            first.placed(|place| self.error(first.entry.key_at, place, "limit_steps", message));
        }
        stages
    }

    /// The steps of `on-failure` or `finally`.
    fn later_steps<'n>(&mut self, fields: Fields<'n, 't>, stage: Stage) -> Vec<Draft<'n, 't>> {
        let Some(node) = fields.get(stage.key()) else { return Vec::new() };
        let mut steps = self.steps_in(node, stage.key());
        for draft in &mut steps {
            draft.stage = stage;
            let Some(compensate) = draft.field("compensate") else { continue };
            let place = Place::Top;
            let place = place.key(stage.key());
            let place = place.key(&draft.entry.key);
            let message = format!("a step of `{}` is never undone", stage.key());
            self.error(compensate.at, &place.key("compensate"), "conflicting_fields", message)
                .hint("leave `compensate` out");
        }
        steps
    }

    fn compensation<'n>(&mut self, of: &Draft<'n, 't>, ix: u32) -> Option<Draft<'n, 't>> {
        let entry = of.entry.value.as_map()?.iter().find(|entry| entry.key == "compensate")?;
        let (place, step) = (Place::Top, of.entry.key.as_ref());
        let place = place.key("steps");
        let place = place.key(step);
        let place = place.key("compensate");
        let fields = self.fields(&entry.value, &place, &keys::COMPENSATE)?;
        let mut spec = StepSpec::bare(format!("{step}.compensate").into(), self.kind(""));
        self.work(&mut spec, fields, entry, &place);
        spec.options = self.undo_options(fields, &place).map(Box::new);
        // It goes where the step has gone.
        if let Some(permissions) = &of.spec.options().permissions {
            spec.options.get_or_insert_default().permissions = Some(permissions.clone());
        }
        self.child(&mut spec, fields, &place);
        Some(Draft { spec, entry, stage: Stage::Compensation, undoes: Some((ix, Arc::clone(&of.spec.name))) })
    }

    fn undo_options(&mut self, fields: Fields<'_, 't>, place: &Place<'_>) -> Option<StepOptions> {
        let given = ["if", "env"].iter().any(|key| fields.get(key).is_some());
        let base = self.defaulted(fields, place).or(given.then(StepOptions::default))?;
        Some(StepOptions {
            condition: fields.get("if").and_then(|node| self.condition(node, &place.key("if"))),
            env: fields.get("env").map(|node| self.env(node, &place.key("env"))).unwrap_or_default(),
            ..base
        })
    }

    /// A mapping of names to steps.
    pub(super) fn steps_in<'n>(&mut self, node: &'n Node<'t>, key: &'static str) -> Vec<Draft<'n, 't>> {
        let place = Place::Top;
        let place = place.key(key);
        let entries = match &node.content {
            Content::Map(entries) => entries,
            Content::List(_) => {
                self.wrong_type(node, &place, "a mapping of names to steps")
                    .hint("the name of a step is its key: write `build:` instead of `- name: build`");
                return Vec::new();
            }
            _ => {
                self.wrong_type(node, &place, "a mapping of names to steps");
                return Vec::new();
            }
        };
        if entries.is_empty() {
            let message = match key {
                "steps" => "a workflow has at least one step".to_owned(),
                _ => format!("`{key}` has at least one step, or is left out"),
            };
            self.error(node.at, &place, "missing_field", message);
        }
        let limit = self.limits.steps;
        if entries.len() > limit {
            let message = format!("{} steps; the limit is {limit}", entries.len());
            self.error(entries[limit].key_at, &place, "limit_steps", message);
            return Vec::new();
        }
        self.check_case(entries, &place);
        entries.iter().map(|entry| self.step(entry, &place.key(&entry.key))).collect()
    }
}
