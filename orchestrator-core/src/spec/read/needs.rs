//! `needs`: which steps must have ended before another begins.

use std::collections::HashSet;

use crate::id::StepIx;
use crate::plan::Cycle;
use crate::spec::Stage;
use crate::spec::read::check::All;
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::tree::{Content, Node, Place, quoted};

/// Names that a cycle is printed with.
const SHOWN_IN_CYCLE: usize = 12;

impl<'t> Reader<'t, '_> {
    /// The `needs` of a step: a name or a list of names.
    pub(super) fn needs(&mut self, all: &All<'_, '_, 't>, ix: usize, broken: &mut bool) -> Vec<StepIx> {
        let draft = &all.drafts[ix];
        // Of a compensation it has been told that it has no such key.
        let Some(node) = draft.field("needs").filter(|_| draft.undoes.is_none()) else { return Vec::new() };
        draft.placed(|place| self.needs_at(all, ix, node, &place.key("needs"), broken))
    }

    fn needs_at(
        &mut self,
        all: &All<'_, '_, 't>,
        ix: usize,
        node: &Node<'t>,
        place: &Place<'_>,
        broken: &mut bool,
    ) -> Vec<StepIx> {
        let drafts = all.drafts;
        let (stage, single) = (drafts[ix].stage, std::slice::from_ref(node));
        let items = match &node.content {
            Content::List(items) => items.as_slice(),
            _ => single,
        };
        let mut needs = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for item in items {
            let Content::Text(name) = &item.content else {
                *broken = true;
                self.wrong_type(item, place, "the name of a step as text, or a list of names");
                continue;
            };
            match all.names.get(&**name) {
                None => {
                    *broken = true;
                    let hint = self.nearest_step(name, drafts);
                    let message = format!("unknown step {}", quoted(name));
                    self.error(item.at, place, "unknown_dependency", message).hint = hint;
                }
                Some(need) if *need as usize == ix => {
                    let message = format!("step `{name}` needs itself");
                    self.error(item.at, place, "cycle", message).hint("remove it");
                }
                Some(need) if drafts[*need as usize].stage != stage => {
                    *broken = true;
                    let (message, hint) = of_another_stage(name, drafts[*need as usize].stage, stage);
                    self.error(item.at, place, "invalid_dependency", message).hint(hint);
                }
                Some(need) if !seen.insert(*need) => {
                    let message = format!("step `{name}` is listed twice");
                    self.error(item.at, place, "duplicate_dependency", message).hint("remove one");
                }
                Some(need) => needs.push(StepIx(*need)),
            }
        }
        needs
    }

    pub(super) fn check_edges(&mut self, drafts: &[Draft<'_, 't>]) {
        let Some(at) = drafts.last().map(|draft| draft.entry.key_at) else { return };
        let edges: usize = drafts.iter().map(|draft| draft.spec.needs.len()).sum();
        if edges > self.limits.edges {
            let message = format!("{edges} needs in all; the limit is {}", self.limits.edges);
            self.error(at, &Place::Top.key("steps"), "limit_steps", message);
        }
    }

    pub(super) fn cycle(&mut self, drafts: &[Draft<'_, 't>], cycle: &Cycle) {
        let Some(first) = cycle.0.first() else { return };
        let name = |step: &StepIx| drafts[step.index()].spec.name.as_ref();
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
        let error = draft.placed(|place| self.error(at, &place.key("needs"), "cycle", message));
        error.hint("remove one of these needs");
    }
}

/// A step needs one of another stage: message and hint.
fn of_another_stage(name: &str, its: Stage, own: Stage) -> (String, String) {
    let (its_key, own_key) = (its.key(), own.key());
    let message = format!("step `{name}` is one of `{its_key}`, not of `{own_key}`");
    let hint = match its < own {
        true => format!("leave it out: `{own_key}` begins when all of `{its_key}` have ended"),
        false => format!("leave it out: `{its_key}` begins when all of `{own_key}` have ended"),
    };
    (message, hint)
}
