//! What can be said only of all steps together: needs, cycles, what expressions refer to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::id::StepIx;
use crate::plan::{Plan, cycles};
use crate::spec::expr::{Reference, Template, reference_place};
use crate::spec::paths::PathsSpec;
use crate::spec::read::ancestors::Ancestors;
use crate::spec::read::fields::Fields;
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::schema::{self, Fields as OutputFields};
use crate::spec::tree::{Content, Node, Place};
use crate::spec::{Over, Stage, StepSpec, Workflow, suggest};

/// What every step has beside the fields of its output.
pub(super) const STEP_FIELDS: [&str; 4] = ["status", "error", "attempts", "items"];

/// A reference to the output of a step that may not come before.
struct Question<'n, 't> {
    step: usize,
    target: usize,
    at: Site<'n, 't>,
    reference: Reference,
}

/// Where an expression stands: the node under this key of the step, or of the workflow.
#[derive(Clone, Copy)]
pub(super) struct Site<'n, 't> {
    pub(super) node: Option<&'n Node<'t>>,
    pub(super) key: &'static str,
    /// The step, where the expression is rendered for each of its items.
    pub(super) each: Option<usize>,
}

/// What is known of the whole workflow.
pub(super) struct All<'a, 'n, 't> {
    pub(super) workflow: &'a Workflow,
    pub(super) drafts: &'a [Draft<'n, 't>],
    /// Where the steps are.
    pub(super) names: HashMap<Arc<str>, u32>,
}

impl<'t> Reader<'t, '_> {
    /// Resolves and checks everything that refers to something else; the finished steps.
    pub(super) fn check<'n>(
        &mut self,
        workflow: &Workflow,
        mut drafts: Vec<Draft<'n, 't>>,
        fields: Fields<'n, 't>,
    ) -> Vec<StepSpec> {
        let all = All { workflow, drafts: &drafts, names: self.names(&drafts) };
        let mut broken = vec![false; drafts.len()];
        let needs: Vec<Vec<StepIx>> =
            broken.iter_mut().enumerate().map(|(ix, broken)| self.needs(&all, ix, broken)).collect();
        let names = all.names;
        for (draft, needs) in drafts.iter_mut().zip(needs) {
            draft.spec.needs = needs;
        }
        self.check_edges(&drafts);
        let needs = || drafts.iter().map(|draft| draft.spec.needs.as_slice());
        let acyclic = Plan::new(needs()).is_ok();
        if !acyclic {
            cycles(needs()).iter().for_each(|cycle| self.cycle(&drafts, cycle));
        }
        let all = All { workflow, drafts: &drafts, names };
        let mut questions = Vec::new();
        for (ix, draft) in drafts.iter().enumerate() {
            draft.placed(|place| self.step_references(&all, ix, place, &mut questions));
        }
        if acyclic {
            self.answer(&drafts, questions, &broken);
        }
        self.workflow_references(&all, fields);
        drafts.into_iter().map(|draft| draft.spec).collect()
    }

    /// Where each step is, by its name.
    fn names(&mut self, drafts: &[Draft<'_, 't>]) -> HashMap<Arc<str>, u32> {
        let mut names = HashMap::with_capacity(drafts.len());
        for (ix, draft) in (0u32..).zip(drafts) {
            let earlier = names.insert(Arc::clone(&draft.spec.name), ix);
            let earlier = earlier.map(|earlier| drafts[earlier as usize].stage);
            // Within a stage a key that is there twice has been told.
            if let Some(stage) = earlier.filter(|stage| *stage != draft.stage) {
                let message = format!("there is a step `{}` in `{}` already", draft.spec.name, stage.key());
                let at = draft.entry.key_at;
                let error = draft.placed(|place| self.error(at, place, "duplicate_id", message));
                error.hint("a name stands for one step of the whole workflow");
            }
        }
        names
    }

    pub(super) fn nearest_step(&self, name: &str, drafts: &[Draft<'_, 't>]) -> Option<String> {
        let named = drafts.iter().filter(|draft| draft.stage != Stage::Compensation);
        self.nearest(name, named.map(|draft| &*draft.spec.name))
    }

    /// A suggestion, as long as what it belongs to will be told.
    pub(super) fn nearest<'c>(&self, name: &str, names: impl Iterator<Item = &'c str>) -> Option<String> {
        self.problems.has_room().then(|| suggest::hint(name, names))?
    }

    fn step_references<'n>(
        &mut self,
        all: &All<'_, 'n, 't>,
        ix: usize,
        place: &Place<'_>,
        questions: &mut Vec<Question<'n, 't>>,
    ) {
        let drafts = all.drafts;
        let draft = &drafts[ix];
        let undone = draft.undoes.as_ref().map(|(step, _)| &drafts[*step as usize].spec);
        let mut templates: Vec<(&[Reference], &'static str)> = Vec::new();
        templates.push((draft.spec.with.references(), "with"));
        if let Some(options) = draft.spec.options.as_deref() {
            templates.extend(options.condition.iter().map(|condition| (condition.references(), "if")));
            templates.extend(options.env.values().map(|value| (value.references(), "env")));
            let limited = options.concurrency.iter();
            templates.extend(limited.map(|limited| (limited.key.references(), "concurrency")));
            templates.extend(options.rates.iter().map(|rate| (rate.key.references(), "rate")));
            let paths = options.paths.iter().flat_map(PathsSpec::templates);
            templates.extend(paths.map(|template| (template.references(), "paths")));
            if let Some(each) = &options.each {
                let key = if matches!(each.over, Over::List(_)) { "for_each" } else { "strategy" };
                templates.extend(each.templates().map(|value| (value.references(), key)));
            }
        }
        if let Some(repeat) = &draft.spec.options().repeat {
            templates.push((repeat.until.references(), "repeat"));
        }
        if let Some(qa) = &draft.spec.options().qa {
            templates.extend(qa.templates().map(|value| (value.references(), "qa")));
        }
        self.lists(all, draft, place);
        for (references, key) in templates {
            // A compensation has the items of its step.
            let items_of = draft.undoes.as_ref().map_or(ix, |(step, _)| *step as usize);
            let per_item =
                ["with", "env", "repeat", "concurrency", "rate", "paths"].contains(&key) || undone.is_some();
            let has_items = drafts[items_of].spec.options().each.is_some();
            let site =
                Site { node: draft.field(key), key, each: (has_items && per_item).then_some(items_of) };
            for reference in references {
                // What needs QA is what the step has given, whatever it undoes.
                let own = match key {
                    "repeat" | "qa" => Some(&draft.spec),
                    _ => undone,
                };
                if let (Reference::Own(field), Some(own)) = (reference, own) {
                    let wrong = field.as_ref().and_then(|field| self.no_field(own, field));
                    if let Some((message, hint)) = wrong {
                        self.tell(reference, site, place, "undefined_variable", message, hint);
                    }
                    continue;
                }
                if key == "qa" {
                    let message = "`qa` sees only what the step itself has given".to_owned();
                    let hint = "write `self`, or `self.FIELD`".to_owned();
                    self.tell(reference, site, place, "undefined_variable", message, hint);
                    continue;
                }
                if draft.stage != Stage::Main && matches!(reference, Reference::Verdict(_)) {
                    continue;
                }
                if let Reference::Secret(name) = reference {
                    self.secret_of_step(all, draft, name, site, place);
                    continue;
                }
                let Some(target) = self.reference(all, reference, site, place) else {
                    continue;
                };
                let direct = draft.spec.needs.contains(&StepIx(target as u32));
                // Whatever comes earlier has ended.
                let earlier = draft.undoes.is_none() && drafts[target].stage < draft.stage;
                if !direct && !earlier {
                    questions.push(Question { step: ix, target, at: site, reference: reference.clone() });
                }
            }
        }
    }

    /// Checks that what is referred to is there; the step, if it is one.
    pub(super) fn reference(
        &mut self,
        all: &All<'_, '_, 't>,
        reference: &Reference,
        site: Site<'_, 't>,
        place: &Place<'_>,
    ) -> Option<usize> {
        let All { workflow, drafts, names } = all;
        let (message, hint) = match reference {
            Reference::Input(name) if workflow.inputs.contains_key(name) => return None,
            Reference::Input(name) => {
                let near = self.nearest(name, workflow.inputs.keys().map(|name| &**name));
                let hint =
                    near.unwrap_or_else(|| format!("declare it: `inputs: {{ {name}: {{ type: string }} }}`"));
                (format!("there is no input `{name}`"), hint)
            }
            Reference::Env(name) if workflow.env.contains_key(name) => return None,
            Reference::Env(name) => {
                let near = self.nearest(name, workflow.env.keys().map(|name| &**name));
                let hint =
                    near.unwrap_or_else(|| "`env` holds what the `env` of the workflow declares".into());
                (format!("there is no `{name}` in the `env` of the workflow"), hint)
            }
            Reference::EachItem(step, attribute) => {
                let step = names.get(step).map(|step| &drafts[*step as usize].spec)?;
                self.no_attribute(step, attribute)?
            }
            Reference::Own(_) => (
                "there is no `self` here: it is what the step itself has given".to_owned(),
                "`self` belongs to `repeat.until`, `qa` and `compensate`; outputs of other steps are written `steps.NAME.FIELD`"
                    .to_owned(),
            ),
            Reference::Verdict(field) => (
                format!("`run.{field}` is not known while the `steps` go on"),
                "it belongs to `on-failure`, `finally` and `compensate`".to_owned(),
            ),
            Reference::Item | Reference::Matrix(_) => self.no_item(drafts, reference, site)?,
            Reference::Secret(name) => {
                self.secret_elsewhere(name, site, place);
                return None;
            }
            Reference::Step(name, field) => match names.get(name) {
                None => {
                    let hint = self.nearest_step(name, drafts);
                    (
                        format!("there is no step `{name}`"),
                        hint.unwrap_or_else(|| "name a step of this workflow".into()),
                    )
                }
                Some(target) => {
                    let target = *target as usize;
                    match field.as_ref().and_then(|field| self.ruled_out(&drafts[target].spec, field)) {
                        None => return Some(target),
                        Some(wrong) => {
                            self.tell(reference, site, place, "undefined_variable", wrong.0, wrong.1);
                            return Some(target);
                        }
                    }
                }
            },
        };
        self.tell(reference, site, place, "undefined_variable", message, hint);
        None
    }

    /// Why there is no item, or no such axis, where an expression stands: message and hint.
    fn no_item(
        &self,
        drafts: &[Draft<'_, 't>],
        reference: &Reference,
        site: Site<'_, 't>,
    ) -> Option<(String, String)> {
        let judged_before = ["if", "for_each", "strategy"].contains(&site.key);
        let each = site.each.and_then(|step| drafts[step].spec.options().each.as_ref());
        match (reference, each.map(|each| &each.over)) {
            (Reference::Item, Some(_)) | (Reference::Matrix(None), Some(Over::Matrix(_))) => None,
            (Reference::Matrix(Some(axis)), Some(Over::Matrix(matrix))) => {
                if matrix.axes.contains_key(axis) || matrix.include.is_some() {
                    return None;
                }
                let hint = self.nearest(axis, matrix.axes.keys().map(|name| &**name));
                let all = || {
                    format!(
                        "it has {}",
                        matrix.axes.keys().map(|name| &**name).collect::<Vec<_>>().join(", ")
                    )
                };
                Some((format!("the matrix has no axis `{axis}`"), hint.unwrap_or_else(all)))
            }
            (Reference::Matrix(_), Some(Over::List(_))) => {
                Some(("`matrix` belongs to a step with `strategy.matrix`".into(), "write `item`".into()))
            }
            (_, None) if judged_before => Some((
                format!("there is no item yet: `{}` is judged once, before the items are known", site.key),
                "leave out items by a filter of the list".into(),
            )),
            (Reference::Matrix(_), None) => Some((
                "`matrix` belongs to a step with `strategy.matrix`".into(),
                "write `strategy: { matrix: { NAME: [1, 2] } }`".into(),
            )),
            _ => Some((
                "`item` and `index` belong to a step with `for_each`".into(),
                "write `for_each: ${{ inputs.names }}`, or name an input or a step".into(),
            )),
        }
    }

    /// Whether the output of a step cannot have a field: message and hint.
    fn ruled_out(&self, step: &StepSpec, field: &str) -> Option<(String, String)> {
        let of_items = step.options().each.is_some();
        if STEP_FIELDS.contains(&field) && (field != "items" || of_items) {
            return None;
        }
        if field == "items" {
            let message = format!("step `{}` has no items: it runs once", step.name);
            return Some((message, "items belong to a step with `for_each` or `strategy.matrix`".into()));
        }
        if of_items {
            let message = format!("step `{}` runs once for each item and has no field `{field}`", step.name);
            let hint = format!("write `steps.{}.items`, a list of {{status, output, error}}", step.name);
            return Some((message, hint));
        }
        self.no_field(step, field)
    }

    /// Whether what a step gives cannot have a field: message and hint.
    fn no_field(&self, step: &StepSpec, field: &str) -> Option<(String, String)> {
        self.no_field_beside(step, field, &STEP_FIELDS)
    }

    /// Whether neither the output of a step nor what there is `beside` it can have a field: message and hint.
    pub(super) fn no_field_beside(
        &self,
        step: &StepSpec,
        field: &str,
        beside: &[&'static str],
    ) -> Option<(String, String)> {
        let child = step.options().child.as_ref().and_then(|child| self.children.get(child));
        let (fields, message): (Vec<&str>, _) = match child {
            Some(child) => (
                child.outputs.keys().map(|name| &**name).collect(),
                format!("the workflow of step `{}` ({}) has no output `{field}`", step.name, child.name),
            ),
            None => {
                let facts = self.catalog.facts(&step.uses)?;
                let OutputFields::Only(fields) = schema::output_fields(facts.output_schema) else {
                    return None;
                };
                (fields, format!("the output of step `{}` ({}) has no field `{field}`", step.name, step.uses))
            }
        };
        let all = fields.into_iter().chain(beside.iter().copied());
        if all.clone().any(|name| name == field) {
            return None;
        }
        let hint = suggest::hint(field, all.clone())
            .unwrap_or_else(|| format!("it has {}", all.collect::<Vec<_>>().join(", ")));
        Some((message, hint))
    }

    /// Tells something wrong about a reference, at the place where it is written.
    pub(super) fn tell(
        &mut self,
        reference: &Reference,
        site: Site<'_, 't>,
        place: &Place<'_>,
        code: &'static str,
        message: String,
        hint: String,
    ) {
        let Some(node) = site.node else { return };
        let (keys, span) = match self.problems.has_room() {
            true => self.find_reference(reference, node, ["if", "repeat"].contains(&site.key)),
            false => (Vec::new(), node.at.span),
        };
        let mut path = place.key(site.key).to_string();
        for key in keys {
            path.push('.');
            path.push_str(&key);
        }
        self.problems.error(span, path, code, message).hint(hint);
    }

    /// Searches the texts under a node for a reference.
    fn find_reference(
        &self,
        reference: &Reference,
        node: &Node<'t>,
        bare: bool,
    ) -> (Vec<String>, crate::spec::Span) {
        let mut open = vec![(node, Vec::new())];
        while let Some((node, keys)) = open.pop() {
            let inside = |key: String| keys.iter().cloned().chain([key]).collect::<Vec<_>>();
            match &node.content {
                Content::Text(text) => {
                    if let Some((expression, offset)) = reference_place(text, reference, bare) {
                        return (keys, self.span_in(node.at, expression, offset));
                    }
                }
                Content::List(items) => {
                    open.extend(
                        items.iter().enumerate().map(|(ix, item)| (item, inside(ix.to_string()))).rev(),
                    );
                }
                Content::Map(entries) => {
                    open.extend(
                        entries.iter().map(|entry| (&entry.value, inside(entry.key.to_string()))).rev(),
                    );
                }
                _ => {}
            }
        }
        (Vec::new(), node.at.span)
    }

    /// Tells references to steps that do not come before. Steps that come after one whose needs are `broken` are left
    /// in peace: what was meant might have come before.
    fn answer(&mut self, drafts: &[Draft<'_, 't>], questions: Vec<Question<'_, 't>>, broken: &[bool]) {
        let pairs: Vec<(u32, u32)> = questions.iter().map(|q| (q.step as u32, q.target as u32)).collect();
        // A compensation sees what the step has seen that it undoes, and that step.
        let undone: Vec<Option<StepIx>> =
            drafts.iter().map(|draft| draft.undoes.as_ref().map(|(step, _)| StepIx(*step))).collect();
        let seen = drafts.iter().zip(&undone).map(|(draft, undone)| match undone {
            Some(step) => std::slice::from_ref(step),
            None => draft.spec.needs.as_slice(),
        });
        let ancestors = Ancestors::new(seen);
        let answers = ancestors.ask(&pairs);
        let doubtful = if broken.contains(&true) { ancestors.after(broken) } else { Vec::new() };
        for (question, comes_before) in questions.into_iter().zip(answers) {
            if comes_before || doubtful.get(question.step) == Some(&true) {
                continue;
            }
            let target = &drafts[question.target].spec.name;
            let draft = &drafts[question.step];
            let later = drafts[question.target].stage;
            let (message, hint) = if question.step == question.target {
                (
                    format!("step `{target}` refers to its own output"),
                    "a step can refer to earlier steps only".into(),
                )
            } else if later > draft.stage {
                let message = format!("step `{target}` of `{}` does not come before this step", later.key());
                (message, "name a step that does".into())
            } else if let Some((_, step)) = &draft.undoes {
                let message = format!("step `{target}` does not come before the step that is undone");
                (message, format!("a compensation sees `self` and what `{step}` can see"))
            } else {
                let message = format!("step `{target}` does not come before this step");
                (message, format!("add `needs: {target}`"))
            };
            let (reference, at) = (&question.reference, question.at);
            draft.placed(|place| self.tell(reference, at, place, "output_not_available", message, hint));
        }
    }

    /// References of the workflow's own `env` and `outputs`.
    fn workflow_references(&mut self, all: &All<'_, '_, 't>, fields: Fields<'_, 't>) {
        let workflow = all.workflow;
        let place = Place::Top;
        let of_key = |templates: &indexmap::IndexMap<Arc<str>, Template>| {
            templates.values().flat_map(|value| value.references().to_vec()).collect::<Vec<_>>()
        };
        for reference in of_key(&workflow.env) {
            let site = Site { node: fields.get("env"), key: "env", each: None };
            match &reference {
                Reference::Input(_) => _ = self.reference(all, &reference, site, &place),
                Reference::Env(name) => {
                    let message = format!("`env.{name}` is not there yet while `env` itself is rendered");
                    let hint = "use an input, or set it in the `env` of the steps".to_owned();
                    self.tell(&reference, site, &place, "output_not_available", message, hint);
                }
                Reference::Item
                | Reference::Matrix(_)
                | Reference::Own(_)
                | Reference::Verdict(_)
                | Reference::Secret(_) => {
                    _ = self.reference(all, &reference, site, &place);
                }
                // The items themselves have been referred to as well.
                Reference::EachItem(..) => {}
                Reference::Step(name, _) => {
                    let message = format!(
                        "step `{name}` has no output yet while the `env` of the workflow is rendered"
                    );
                    let hint = "set it in the `env` of the steps that need it".to_owned();
                    self.tell(&reference, site, &place, "output_not_available", message, hint);
                }
            }
        }
        for reference in of_key(&workflow.outputs) {
            let site = Site { node: fields.get("outputs"), key: "outputs", each: None };
            self.reference(all, &reference, site, &place);
        }
        self.key_of_runs(all, fields);
    }
}
