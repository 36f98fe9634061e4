//! What can be said only of all steps together: needs, cycles, what expressions refer to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::id::StepIx;
use crate::plan::{Cycle, Plan, cycles};
use crate::spec::expr::{Reference, Template, reference_place};
use crate::spec::read::ancestors::Ancestors;
use crate::spec::read::fields::Fields;
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::schema::{self, Fields as OutputFields};
use crate::spec::tree::{Content, Node, Place, quoted};
use crate::spec::{Over, StepSpec, Workflow, suggest};

/// What every step has beside the fields of its output.
const STEP_FIELDS: [&str; 4] = ["status", "error", "attempts", "items"];

/// Names that a cycle is printed with.
const SHOWN_IN_CYCLE: usize = 12;

/// A reference to the output of a step that may not come before.
struct Question<'n, 't> {
    step: usize,
    target: usize,
    at: Site<'n, 't>,
    reference: Reference,
}

/// Where an expression stands: the node under this key of the step, or of the workflow.
#[derive(Clone, Copy)]
struct Site<'n, 't> {
    node: Option<&'n Node<'t>>,
    key: &'static str,
    /// The step, where the expression is rendered for each of its items.
    each: Option<usize>,
}

struct Names {
    steps: HashMap<Arc<str>, u32>,
}

impl<'t> Reader<'t, '_> {
    /// Resolves and checks everything that refers to something else; the finished steps.
    pub(super) fn check<'n>(
        &mut self,
        workflow: &Workflow,
        mut drafts: Vec<Draft<'n, 't>>,
        fields: Fields<'n, 't>,
    ) -> Vec<StepSpec> {
        let mut names = Names { steps: HashMap::with_capacity(drafts.len()) };
        for (ix, draft) in drafts.iter().enumerate() {
            names.steps.insert(Arc::clone(&draft.spec.name), ix as u32);
        }
        let mut edges = 0;
        let mut broken = vec![false; drafts.len()];
        for ix in 0..drafts.len() {
            let needs = self.needs(&drafts, ix, &names, &mut broken[ix]);
            edges += needs.len();
            drafts[ix].spec.needs = needs;
        }
        if edges > self.limits.edges {
            let at = drafts.last().map(|draft| draft.entry.key_at);
            if let Some(at) = at {
                let message = format!("{edges} needs in all; the limit is {}", self.limits.edges);
                self.error(at, &Place::Top.key("steps"), "limit_steps", message);
            }
        }
        let needs = || drafts.iter().map(|draft| draft.spec.needs.as_slice());
        let acyclic = Plan::new(needs()).is_ok();
        if !acyclic {
            cycles(needs()).iter().for_each(|cycle| self.cycle(&drafts, cycle));
        }
        let mut questions = Vec::new();
        for ix in 0..drafts.len() {
            self.step_references(workflow, &drafts, ix, &names, &mut questions);
        }
        if acyclic {
            self.answer(&drafts, questions, &broken);
        }
        self.workflow_references(workflow, &drafts, &names, fields);
        drafts.into_iter().map(|draft| draft.spec).collect()
    }

    /// The `needs` of a step: a name or a list of names.
    fn needs(
        &mut self,
        drafts: &[Draft<'_, 't>],
        ix: usize,
        names: &Names,
        broken: &mut bool,
    ) -> Vec<StepIx> {
        let draft = &drafts[ix];
        let Some(node) = draft.field("needs") else { return Vec::new() };
        let (steps, key) = (Place::Top, draft.entry.key.as_ref());
        let (steps, single) = (steps.key("steps"), std::slice::from_ref(node));
        let place = steps.key(key);
        let place = place.key("needs");
        let items = match &node.content {
            Content::List(items) => items.as_slice(),
            _ => single,
        };
        let mut needs = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for item in items {
            let Content::Text(name) = &item.content else {
                *broken = true;
                self.wrong_type(item, &place, "the name of a step as text, or a list of names");
                continue;
            };
            match names.steps.get(&**name) {
                None => {
                    *broken = true;
                    let hint = self.nearest_step(name, drafts);
                    let message = format!("unknown step {}", quoted(name));
                    self.error(item.at, &place, "unknown_dependency", message).hint = hint;
                }
                Some(need) if *need as usize == ix => {
                    let message = format!("step `{name}` needs itself");
                    self.error(item.at, &place, "cycle", message).hint("remove it");
                }
                Some(need) if !seen.insert(*need) => {
                    let message = format!("step `{name}` is listed twice");
                    self.error(item.at, &place, "duplicate_dependency", message).hint("remove one");
                }
                Some(need) => needs.push(StepIx(*need)),
            }
        }
        needs
    }

    fn nearest_step(&self, name: &str, drafts: &[Draft<'_, 't>]) -> Option<String> {
        self.nearest(name, drafts.iter().map(|draft| &*draft.entry.key))
    }

    /// A suggestion, as long as what it belongs to will be told.
    fn nearest<'c>(&self, name: &str, names: impl Iterator<Item = &'c str>) -> Option<String> {
        self.problems.has_room().then(|| suggest::hint(name, names))?
    }

    fn cycle(&mut self, drafts: &[Draft<'_, 't>], cycle: &Cycle) {
        let Some(first) = cycle.0.first() else { return };
        let name = |step: &StepIx| drafts[step.index()].entry.key.as_ref();
        let mut shown: Vec<&str> = cycle.0.iter().take(SHOWN_IN_CYCLE).map(name).collect();
        if cycle.0.len() > SHOWN_IN_CYCLE {
            shown.push("…");
        }
        shown.push(name(first));
        let mut message = format!("steps need each other in a circle: {}", shown.join(" needs "));
        if cycle.0.len() > SHOWN_IN_CYCLE {
            message.push_str(&format!(" ({} steps)", cycle.0.len()));
        }
        let draft = &drafts[first.index()];
        let at = draft.field("needs").map_or(draft.entry.key_at, |node| node.at);
        let place = Place::Top;
        let place = place.key("steps");
        let place = place.key(&draft.entry.key);
        self.error(at, &place.key("needs"), "cycle", message).hint("remove one of these needs");
    }

    fn step_references<'n>(
        &mut self,
        workflow: &Workflow,
        drafts: &[Draft<'n, 't>],
        ix: usize,
        names: &Names,
        questions: &mut Vec<Question<'n, 't>>,
    ) {
        let draft = &drafts[ix];
        let place = Place::Top;
        let place = place.key("steps");
        let place = place.key(&draft.entry.key);
        let mut templates: Vec<(&[Reference], &'static str)> = Vec::new();
        templates.push((draft.spec.with.references(), "with"));
        if let Some(options) = draft.spec.options.as_deref() {
            templates.extend(options.condition.iter().map(|condition| (condition.references(), "if")));
            templates.extend(options.env.values().map(|value| (value.references(), "env")));
            if let Some(each) = &options.each {
                let key = if matches!(each.over, Over::List(_)) { "for_each" } else { "strategy" };
                templates.extend(each.templates().map(|value| (value.references(), key)));
            }
        }
        if let Some(repeat) = &draft.spec.options().repeat {
            templates.push((repeat.until.references(), "repeat"));
        }
        let has_items = draft.spec.options().each.is_some();
        for (references, key) in templates {
            let each = (has_items && ["with", "env", "repeat"].contains(&key)).then_some(ix);
            let site = Site { node: draft.field(key), key, each };
            for reference in references {
                if let (Reference::Own(field), "repeat") = (reference, key) {
                    let wrong = field.as_ref().and_then(|field| self.no_field(&draft.spec, field));
                    if let Some((message, hint)) = wrong {
                        self.tell(reference, site, &place, "undefined_variable", message, hint);
                    }
                    continue;
                }
                let Some(target) = self.reference(workflow, drafts, names, reference, site, &place) else {
                    continue;
                };
                let direct = draft.spec.needs.contains(&StepIx(target as u32));
                if !direct {
                    questions.push(Question { step: ix, target, at: site, reference: reference.clone() });
                }
            }
        }
    }

    /// Checks that what is referred to is there; the step, if it is one.
    fn reference(
        &mut self,
        workflow: &Workflow,
        drafts: &[Draft<'_, 't>],
        names: &Names,
        reference: &Reference,
        site: Site<'_, 't>,
        place: &Place<'_>,
    ) -> Option<usize> {
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
            Reference::Own(_) => (
                "there is no `self` here: it is what the step itself has given".to_owned(),
                "`self` belongs to `repeat.until`; outputs of other steps are written `steps.NAME.FIELD`"
                    .to_owned(),
            ),
            Reference::Item | Reference::Matrix(_) => self.no_item(drafts, reference, site)?,
            Reference::Step(name, field) => match names.steps.get(name) {
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

    /// Whether what a step gives, or each of its items, cannot have a field: message and hint.
    fn no_field(&self, step: &StepSpec, field: &str) -> Option<(String, String)> {
        let facts = self.catalog.facts(&step.uses)?;
        let OutputFields::Only(fields) = schema::output_fields(facts.output_schema) else { return None };
        if STEP_FIELDS.contains(&field) || fields.contains(&field) {
            return None;
        }
        let all = fields.iter().copied().chain(STEP_FIELDS);
        let hint = suggest::hint(field, all.clone())
            .unwrap_or_else(|| format!("it has {}", all.collect::<Vec<_>>().join(", ")));
        Some((format!("the output of step `{}` ({}) has no field `{field}`", step.name, step.uses), hint))
    }

    /// Tells something wrong about a reference, at the place where it is written.
    fn tell(
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
        let ancestors = Ancestors::new(drafts.iter().map(|draft| draft.spec.needs.as_slice()));
        let answers = ancestors.ask(&pairs);
        let doubtful = if broken.contains(&true) { ancestors.after(broken) } else { Vec::new() };
        for (question, comes_before) in questions.into_iter().zip(answers) {
            if comes_before || doubtful.get(question.step) == Some(&true) {
                continue;
            }
            let target = &drafts[question.target].spec.name;
            let draft = &drafts[question.step];
            let place = Place::Top;
            let place = place.key("steps");
            let place = place.key(&draft.entry.key);
            let (message, hint) = if question.step == question.target {
                (
                    format!("step `{target}` refers to its own output"),
                    "a step can refer to earlier steps only".into(),
                )
            } else {
                let message = format!("step `{target}` does not come before this step");
                (message, format!("add `needs: {target}`"))
            };
            self.tell(&question.reference, question.at, &place, "output_not_available", message, hint);
        }
    }

    /// References of the workflow's own `env` and `outputs`.
    fn workflow_references(
        &mut self,
        workflow: &Workflow,
        drafts: &[Draft<'_, 't>],
        names: &Names,
        fields: Fields<'_, 't>,
    ) {
        let place = Place::Top;
        let of_key = |templates: &indexmap::IndexMap<Arc<str>, Template>| {
            templates.values().flat_map(|value| value.references().to_vec()).collect::<Vec<_>>()
        };
        for reference in of_key(&workflow.env) {
            let site = Site { node: fields.get("env"), key: "env", each: None };
            match &reference {
                Reference::Input(_) => _ = self.reference(workflow, drafts, names, &reference, site, &place),
                Reference::Env(name) => {
                    let message = format!("`env.{name}` is not there yet while `env` itself is rendered");
                    let hint = "use an input, or set it in the `env` of the steps".to_owned();
                    self.tell(&reference, site, &place, "output_not_available", message, hint);
                }
                Reference::Item | Reference::Matrix(_) | Reference::Own(_) => {
                    _ = self.reference(workflow, drafts, names, &reference, site, &place);
                }
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
            self.reference(workflow, drafts, names, &reference, site, &place);
        }
    }
}
