//! One step.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::spec::expr::{Condition, Template, has_expression};
use crate::spec::names::{self, EnvFault};
use crate::spec::read::fields::Fields;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::schema::{self, Issue};
use crate::spec::tree::{Content, Entry, Node, Place, entries_to_value, quoted};
use crate::spec::{EffectClass, OnExpiry, Stage, StepOptions, StepSpec, suggest};

/// The plugin of `run:` steps.
pub(super) const SCRIPT: &str = "script";

/// The plugin that waits for a signal: there is nothing that could be approved or rejected.
const SIGNAL: &str = "signal";

/// What a step may take from `defaults`.
const DEFAULTED: [&str; 8] =
    ["retry", "timeout", "deadline", "effect", "sandbox", "queue", "labels", "continue-on-error"];

/// A step whose needs are not resolved yet.
pub(super) struct Draft<'n, 't> {
    pub(super) spec: StepSpec,
    pub(super) entry: &'n Entry<'t>,
    pub(super) stage: Stage,
    /// The step that it undoes, by position and name.
    pub(super) undoes: Option<(u32, Arc<str>)>,
}

impl<'n, 't> Draft<'n, 't> {
    pub(super) fn field(&self, key: &str) -> Option<&'n Node<'t>> {
        self.entry.value.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Does something with the place where it is written.
    pub(super) fn placed<T>(&self, then: impl FnOnce(&Place<'_>) -> T) -> T {
        let top = Place::Top;
        match &self.undoes {
            Some((_, step)) => {
                let steps = top.key("steps");
                let step = steps.key(step);
                then(&step.key("compensate"))
            }
            None => {
                let steps = top.key(self.stage.key());
                then(&steps.key(&self.entry.key))
            }
        }
    }
}

impl<'t> Reader<'t, '_> {
    pub(super) fn step<'n>(&mut self, entry: &'n Entry<'t>, place: &Place<'_>) -> Draft<'n, 't> {
        let name: Arc<str> = (&*entry.key).into();
        self.check_name(&entry.key, entry.key_at, place);
        let mut spec = StepSpec::bare(name, self.kind(""));
        if let Some(fields) = self.fields(&entry.value, place, &keys::STEP) {
            self.work(&mut spec, fields, entry, place);
            let options = self.options(fields, place);
            if &*spec.uses == SIGNAL {
                self.check_silence(options.as_ref(), fields, place);
            }
            spec.options = options.map(Box::new);
            self.child(&mut spec, fields, place);
            self.task(&spec, fields, place);
        }
        Draft { spec, entry, stage: Stage::Main, undoes: None }
    }

    /// `run`, or `uses` and `with`.
    pub(super) fn work(
        &mut self,
        spec: &mut StepSpec,
        fields: Fields<'_, 't>,
        entry: &Entry<'t>,
        place: &Place<'_>,
    ) {
        let with = fields.get("with");
        match (fields.entry("run"), fields.entry("uses")) {
            (Some(_), Some(uses)) => {
                let message = "a step has either `run` or `uses`, not both";
                let error = self.error(uses.key_at, &place.key("uses"), "conflicting_fields", message);
                error.hint("make two steps of it");
            }
            (None, None) if fields.is_meant("run") || fields.is_meant("uses") => {}
            (None, None) => {
                let message = "a step needs `run` or `uses`";
                let error = self.error(entry.key_at, place, "missing_field", message);
                error.hint("`run` executes a shell script, `uses` names a plugin");
            }
            (Some(run), None) => {
                spec.uses = self.kind(SCRIPT);
                let Some(text) = self.text(&run.value, &place.key("run")) else { return };
                self.check_script(text, &run.value, &place.key("run"));
                self.run(spec, text, &run.value, with, place);
            }
            (None, Some(uses)) => {
                let Some(kind) = self.text(&uses.value, &place.key("uses")) else { return };
                spec.uses = self.kind(kind);
                let value = with.map_or(Value::Null, Node::to_value);
                if kind == SCRIPT
                    && let Some(run) =
                        with.and_then(Node::as_map).and_then(|with| with.iter().find(|e| e.key == "run"))
                    && let Some(text) = run.value.as_text()
                {
                    self.check_script(text, &run.value, &place.key("with").key("run"));
                }
                let node = with.unwrap_or(&uses.value);
                self.config(kind, &value, with, &uses.value, place);
                if !value.is_null() {
                    self.warn_of_secrets(&value, node, &place.key("with"));
                    spec.with = self.shared_template(value, node, &place.key("with"));
                }
            }
        }
    }

    /// A `run:` step: its text, and what `with` adds to it.
    fn run(
        &mut self,
        spec: &mut StepSpec,
        text: &str,
        run: &Node<'t>,
        with: Option<&Node<'t>>,
        place: &Place<'_>,
    ) {
        let mut config = Map::new();
        if let Some(with) = with {
            let Content::Map(entries) = &with.content else {
                self.wrong_type(with, &place.key("with"), "a mapping");
                return;
            };
            if let Some(again) = entries.iter().find(|entry| entry.key == "run") {
                let place = place.key("with");
                let message = "the script is given by the `run` of the step already";
                self.error(again.key_at, &place.key("run"), "conflicting_fields", message);
                return;
            }
            config = entries_to_value(entries);
        }
        config.insert("run".into(), text.into());
        let value = Value::Object(config);
        // What is wrong with the text itself has been told; the plugin would tell it again.
        if !has_expression(text) {
            self.config(SCRIPT, &value, with, run, place);
        }
        self.warn_of_secrets(&value, with.unwrap_or(run), &place.key("run"));
        spec.with = self.shared_template(value, with.unwrap_or(run), &place.key("with"));
    }

    fn check_script(&mut self, text: &str, node: &Node<'t>, place: &Place<'_>) {
        if text.trim().is_empty() {
            self.error(node.at, place, "missing_field", "the script is empty");
        } else if has_expression(text) {
            let span = self.span_in(node.at, Some(0), 0);
            let message = "an expression inside a script would be spliced into shell text";
            let error = self.problems.error(span, place, "expression_in_run", message);
            error.hint("give it as `env: { NAME: \"${{ … }}\" }` and write \"$NAME\" in the script");
        }
    }

    /// Checks a config against its plugin. `with` is where it was written, `uses` where the plugin was named.
    fn config(
        &mut self,
        kind: &str,
        value: &Value,
        with: Option<&Node<'t>>,
        uses: &Node<'t>,
        place: &Place<'_>,
    ) {
        let catalog = self.catalog;
        let Some(facts) = catalog.facts(kind) else {
            let hint = suggest::hint(kind, catalog.kinds())
                .or_else(|| Some(format!("there are {}", catalog.kinds().join(", "))));
            let key = if kind == SCRIPT { "run" } else { "uses" };
            let message = format!("unknown plugin {}", quoted(kind));
            self.error(uses.at, &place.key(key), "unknown_plugin", message).hint = hint;
            return;
        };
        // A plugin that wants a mapping may be used without `with`, if it requires nothing.
        let empty = Value::Object(Map::new());
        let wants_mapping = facts.config_schema.get("type").is_some_and(|kind| kind == "object");
        let checked = if value.is_null() && wants_mapping { &empty } else { value };
        let mut issues = schema::check_written(facts.config_schema, checked);
        if issues.is_empty() {
            issues.extend(catalog.check(kind, checked).into_iter().map(|issue| Issue {
                path: issue.path,
                of_key: false,
                code: "invalid_config",
                message: issue.message,
                hint: issue.hint,
            }));
        }
        for issue in issues {
            let of_run = issue.path.first().is_some_and(|key| key == "run") && kind == SCRIPT;
            let node = if of_run { uses } else { with.unwrap_or(uses) };
            let keys = if of_run && with.is_none() { &issue.path[1..] } else { &issue.path };
            let mut path = place.key("with").to_string();
            for key in &issue.path {
                path.push('.');
                path.push_str(key);
            }
            let (node, at) = node.follow(keys, issue.of_key);
            if matches!(node.content, Content::Broken) {
                continue;
            }
            self.problems.error(at.span, path, issue.code, issue.message).hint = issue.hint;
        }
    }

    /// Everything that few steps have; `None` if this one has none of it.
    fn options(&mut self, fields: Fields<'_, 't>, place: &Place<'_>) -> Option<StepOptions> {
        let given = [
            "if",
            "env",
            "for_each",
            "strategy",
            "repeat",
            "evidence",
            "qa",
            "permissions",
            "concurrency",
            "rate",
            "paths",
        ]
        .iter()
        .any(|key| fields.get(key).is_some());
        let defaulted = self.defaulted(fields, place);
        let base = match (given, defaulted) {
            (_, Some(base)) => base,
            (true, None) => StepOptions::default(),
            (false, None) => return None,
        };
        Some(StepOptions {
            condition: fields.get("if").and_then(|node| self.condition(node, &place.key("if"))),
            env: fields.get("env").map(|node| self.env(node, &place.key("env"))).unwrap_or_default(),
            each: self.each(fields, place),
            concurrency: fields
                .get("concurrency")
                .and_then(|node| self.concurrency(node, &place.key("concurrency"))),
            rates: fields.get("rate").map(|node| self.rates(node, &place.key("rate"))).unwrap_or_default(),
            paths: fields.get("paths").and_then(|node| self.locked(node, &place.key("paths"))),
            evidence: fields.get("evidence").and_then(|node| self.evidence(node, &place.key("evidence"))),
            permissions: fields
                .get("permissions")
                .and_then(|node| self.permissions(node, &place.key("permissions"))),
            qa: fields.get("qa").and_then(|node| self.qa(node, &place.key("qa"))),
            repeat: fields.get("repeat").and_then(|node| self.repeat(node, &place.key("repeat"))),
            ..base
        })
    }

    /// Silence means nothing but a failure to a step that waits for a signal.
    fn check_silence(&mut self, options: Option<&StepOptions>, fields: Fields<'_, 't>, place: &Place<'_>) {
        let then = options.and_then(|options| options.timeout).map(|timeout| timeout.then);
        let written = fields.get("timeout").and_then(|node| node.as_map());
        let written = written.and_then(|keys| keys.iter().find(|entry| entry.key == "then"));
        if let Some(written) = written.filter(|_| then.is_some_and(|then| then != OnExpiry::Fail)) {
            let place = place.key("timeout");
            let message = "a signal can be neither approved nor rejected: without it the step fails";
            self.error(written.value.at, &place.key("then"), "invalid_value", message)
                .hint("leave `then` out, and go on with `continue-on-error` or `if: failure()`");
        }
    }

    /// What a step may say itself or take from `defaults`: its own word, else that of the workflow.
    pub(super) fn defaulted(&mut self, fields: Fields<'_, 't>, place: &Place<'_>) -> Option<StepOptions> {
        if self.defaults.is_none() && !DEFAULTED.iter().any(|key| fields.get(key).is_some()) {
            return None;
        }
        let own = self.of_defaults(fields, place);
        let Some(defaults) = self.defaults.as_deref() else { return Some(own) };
        Some(StepOptions {
            retry: own.retry.or_else(|| defaults.retry.clone()),
            timeout: own.timeout.or(defaults.timeout),
            deadline: own.deadline.or(defaults.deadline),
            effect: own.effect.or(defaults.effect),
            sandbox: own.sandbox.or_else(|| defaults.sandbox.clone()),
            placement: own.placement.or_else(|| defaults.placement.clone()),
            continue_on_error: match fields.get("continue-on-error") {
                Some(_) => own.continue_on_error,
                None => defaults.continue_on_error,
            },
            ..StepOptions::default()
        })
    }

    /// The keys that `defaults` and a step have in common.
    fn of_defaults(&mut self, fields: Fields<'_, 't>, place: &Place<'_>) -> StepOptions {
        const EFFECTS: [(&str, EffectClass); 3] = [
            ("pure", EffectClass::Pure),
            ("idempotent", EffectClass::Idempotent),
            ("at_most_once", EffectClass::AtMostOnce),
        ];
        StepOptions {
            retry: fields.get("retry").and_then(|node| self.retry(node, &place.key("retry"))),
            timeout: fields.get("timeout").and_then(|node| self.timeout(node, &place.key("timeout"))),
            deadline: fields
                .get("deadline")
                .and_then(|node| self.duration(node, &place.key("deadline"), false)),
            effect: fields.get("effect").and_then(|node| self.choice(node, &place.key("effect"), &EFFECTS)),
            sandbox: fields.get("sandbox").and_then(|node| self.sandbox(node, &place.key("sandbox"))),
            placement: self.placement(fields, place),
            continue_on_error: fields
                .get("continue-on-error")
                .and_then(|node| self.boolean(node, &place.key("continue-on-error")))
                .unwrap_or_default(),
            ..StepOptions::default()
        }
    }

    /// The `defaults` of the workflow, for the steps that are read from here on.
    pub(super) fn read_defaults(&mut self, node: &Node<'t>, place: &Place<'_>) {
        if let Some(fields) = self.fields(node, place, &keys::DEFAULTS) {
            self.defaults = Some(Box::new(self.of_defaults(fields, place)));
        }
    }

    pub(super) fn condition(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Condition> {
        let text = match &node.content {
            Content::Text(text) => &**text,
            Content::Bool(true) => "true",
            Content::Bool(false) => "false",
            _ => {
                self.wrong_type(node, place, "a condition");
                return None;
            }
        };
        let mut condition = match Condition::build(text, &mut self.compiler) {
            Ok(condition) => condition,
            Err(faults) => {
                for located in faults {
                    let expression = has_expression(text).then_some(located.expression);
                    let span = self.span_in(node.at, expression, located.fault.offset);
                    let error = self.problems.error(span, place, located.fault.code, located.fault.message);
                    error.hint = located.fault.hint;
                }
                return None;
            }
        };
        condition.locate(node.at.span.line);
        match condition.foregone() {
            Some(Ok(false)) => {
                let message = "this condition is never true: the step is always skipped";
                self.problems.warning(node.at.span, place, "never_true", message);
            }
            Some(Err(error)) => {
                self.error(node.at, place, error.code, error.message);
            }
            _ => {}
        }
        Some(condition)
    }

    /// `env` of a step or of the workflow.
    pub(super) fn env(&mut self, node: &Node<'t>, place: &Place<'_>) -> IndexMap<Arc<str>, Template> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping of names to texts");
            return IndexMap::new();
        };
        let mut env = IndexMap::with_capacity(entries.len());
        for entry in entries {
            let place = place.key(&entry.key);
            self.check_env_name(entry, &place);
            let Some(text) = self.plain_text(&entry.value, &place) else { continue };
            let value = Value::String(text);
            self.warn_of_secrets(&value, &entry.value, &place);
            env.insert((&*entry.key).into(), self.template(value, &entry.value, &place));
        }
        env
    }

    fn check_env_name(&mut self, entry: &Entry<'t>, place: &Place<'_>) {
        match names::check_env(&entry.key) {
            Ok(()) => {}
            Err(EnvFault::Invalid) => {
                let message = format!("{} is not a name of an environment variable", quoted(&entry.key));
                let error = self.error(entry.key_at, place, "env_invalid", message);
                error.hint("names are letters, digits and `_`, and do not begin with a digit");
            }
            Err(EnvFault::Forbidden) => {
                let message = format!("a workflow cannot set `{}`", entry.key);
                let error = self.error(entry.key_at, place, "env_forbidden", message);
                error.hint(
                    "it changes which code is executed, or belongs to the engine; a script can set it itself",
                );
            }
        }
    }
}
