//! `on`: what starts runs of a workflow once it is registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::schedule::{Missed, Overlap, Schedule};
use crate::spec::expr::has_expression;
use crate::spec::inputs::fits;
use crate::spec::read::fields::Fields;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place, quoted};
use crate::spec::{InputKind, InputSpec, suggest};

/// The most schedules of one workflow.
const MAX_SCHEDULES: usize = 100;

const MISSED: [(&str, Missed); 3] =
    [("skip", Missed::Skip), ("run_once", Missed::RunOnce), ("run_all", Missed::RunAll)];

const OVERLAPS: [(&str, Overlap); 3] =
    [("allow", Overlap::Allow), ("skip", Overlap::Skip), ("cancel_oldest", Overlap::CancelOldest)];

/// What the schedules of a text are checked against.
#[derive(Clone, Copy)]
pub(super) struct Declared<'a> {
    pub(super) workflow: &'a Arc<str>,
    pub(super) inputs: &'a IndexMap<Arc<str>, InputSpec>,
    /// Whether the text was checked when it was kept: whether there still is such a time zone does not matter to a run.
    pub(super) is_stored: bool,
}

impl<'t> Reader<'t, '_> {
    /// The schedules.
    pub(super) fn triggers(
        &mut self,
        node: &Node<'t>,
        place: &Place<'_>,
        declared: Declared<'_>,
    ) -> Vec<Schedule> {
        let Some(fields) = self.fields(node, place, &keys::ON) else { return Vec::new() };
        let Some(node) = fields.get("schedule") else { return Vec::new() };
        let place = place.key("schedule");
        match &node.content {
            Content::List(items) => {
                if let Some(first) = items.get(MAX_SCHEDULES) {
                    let message = format!("{} schedules; the limit is {MAX_SCHEDULES}", items.len());
                    self.error(first.at, &place, "out_of_range", message);
                    return Vec::new();
                }
                let read = |(ix, item)| self.schedule(item, &place.item(ix), declared);
                items.iter().enumerate().filter_map(read).collect()
            }
            Content::Map(_) => self.schedule(node, &place, declared).into_iter().collect(),
            _ => {
                self.wrong_type(node, &place, "a mapping with `cron`, or a list of them");
                Vec::new()
            }
        }
    }

    fn schedule(&mut self, node: &Node<'t>, place: &Place<'_>, declared: Declared<'_>) -> Option<Schedule> {
        let fields = self.fields(node, place, &keys::SCHEDULE)?;
        let zone = match fields.get("zone") {
            Some(node) => self.text(node, &place.key("zone")),
            None => Some("UTC"),
        };
        let cron = match fields.get("cron") {
            Some(node) => self.text(node, &place.key("cron")),
            None => {
                if !fields.is_meant("cron") {
                    let error = self.error(node.at, place, "missing_field", "missing `cron`");
                    error.hint("write for example `cron: \"0 9 * * 1-5\"`");
                }
                None
            }
        };
        let mut schedule =
            Schedule::new(declared.workflow.clone(), cron.unwrap_or_default(), zone.unwrap_or_default());
        if let Some(node) = fields.get("missed") {
            schedule.missed = self.choice(node, &place.key("missed"), &MISSED).unwrap_or_default();
        }
        if let Some(node) = fields.get("overlap") {
            schedule.overlap = self.choice(node, &place.key("overlap"), &OVERLAPS).unwrap_or_default();
        }
        if let Some(node) = fields.get("window") {
            schedule.set_window(self.duration(node, &place.key("window"), false));
        }
        self.schedule_inputs(&mut schedule, fields, node, place, declared);
        if cron.is_some() && zone.is_some() && !declared.is_stored {
            self.check_cron(&schedule, fields, place);
        }
        Some(schedule)
    }

    /// What the runs are given: every input that has no default, of its type.
    fn schedule_inputs(
        &mut self,
        schedule: &mut Schedule,
        fields: Fields<'_, 't>,
        node: &Node<'t>,
        place: &Place<'_>,
        declared: Declared<'_>,
    ) {
        if let Some(node) = fields.get("time_input") {
            let place = place.key("time_input");
            let name = self.text(node, &place).map(str::to_owned);
            if let Some(name) = &name
                && self.is_declared(name, node, &place, declared)
                && !takes_text(&declared.inputs[&**name])
            {
                let message = format!("the input {} takes no text, and a time is one", quoted(name));
                self.error(node.at, &place, "type_mismatch", message).hint("declare it as `type: string`");
            }
            schedule.time_input = name;
        }
        if let Some(node) = fields.get("inputs") {
            schedule.inputs = self.constants(node, &place.key("inputs"), declared);
        }
        let is_given =
            |name: &str| schedule.inputs.contains_key(name) || schedule.time_input.as_deref() == Some(name);
        let missing = declared.inputs.iter().find(|(name, spec)| spec.default.is_none() && !is_given(name));
        if let Some((name, _)) =
            missing.filter(|_| !fields.is_meant("inputs") || fields.get("inputs").is_some())
        {
            let message =
                format!("the input {} has no default, and the schedule does not give it", quoted(name));
            self.error(node.at, place, "missing_input", message)
                .hint(format!("write `inputs: {{ {name}: … }}`, or give it a default"));
        }
    }

    fn constants(
        &mut self,
        node: &Node<'t>,
        place: &Place<'_>,
        declared: Declared<'_>,
    ) -> BTreeMap<String, Value> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping of inputs to their values");
            return BTreeMap::new();
        };
        let mut inputs = BTreeMap::new();
        for entry in entries {
            let (place, node) = (place.key(&entry.key), &entry.value);
            let value = node.to_value();
            if value.as_str().is_some_and(has_expression) {
                let message = "what a schedule gives is known before anything runs: it holds no expressions";
                self.error(node.at, &place, "invalid_value", message);
            } else if self.is_declared(&entry.key, node, &place, declared) {
                let kind = declared.inputs[&*entry.key].kind;
                if !fits(kind, &value) {
                    let expected = format!("a value of type {}", kind.name());
                    self.wrong_type(node, &place, &expected);
                }
                self.warn_of_secrets(&value, node, &place);
            }
            inputs.insert(entry.key.to_string(), value);
        }
        inputs
    }

    fn is_declared(
        &mut self,
        name: &str,
        node: &Node<'t>,
        place: &Place<'_>,
        declared: Declared<'_>,
    ) -> bool {
        let is_declared = declared.inputs.contains_key(name);
        if !is_declared {
            let hint = suggest::hint(name, declared.inputs.keys().map(|name| &**name));
            let message = format!("there is no input {}", quoted(name));
            self.error(node.at, place, "unknown_input", message).hint = hint;
        }
        is_declared
    }

    #[cfg(feature = "schedule")]
    fn check_cron(&mut self, schedule: &Schedule, fields: Fields<'_, 't>, place: &Place<'_>) {
        use crate::schedule::{Cron, CronFault};
        let Err(fault) = Cron::parse(&schedule.cron, &schedule.zone) else { return };
        let key = if matches!(fault, CronFault::Zone { .. }) { "zone" } else { "cron" };
        let Some(node) = fields.get(key) else { return };
        self.error(node.at, &place.key(key), "invalid_cron", fault.to_string()).hint(fault.hint());
    }

    /// Who cannot reckon schedules starts none: the text is read as one of another program.
    #[cfg(not(feature = "schedule"))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the other one needs it")]
    fn check_cron(&mut self, _: &Schedule, _: Fields<'_, 't>, _: &Place<'_>) {}
}

fn takes_text(spec: &InputSpec) -> bool {
    matches!(spec.kind, InputKind::String | InputKind::Any)
}
