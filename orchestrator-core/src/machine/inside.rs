//! Steps that another run carries out, and that do not begin from the beginning: their new run goes on where an earlier
//! one has been.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, Unit};
use crate::machine::kind::StepKind;
use crate::machine::state::RunState;

/// A step whose next run goes on where an earlier one has been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// The step.
    pub step: Unit,
    /// The earlier run.
    pub child: RunId,
    /// What is done again there, as people name it: `test`, `test[3]`, `build/test`. None: what has failed there or was
    /// cancelled, provided that the inputs are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Arc<str>>,
}

impl RunState {
    /// Where the next run of a step goes on, if that is not at its beginning. Once the step has begun, in this
    /// generation, it is at the beginning.
    #[must_use]
    pub fn inside(&self, unit: Unit) -> Option<&Inside> {
        let all = self.head.inside.as_deref()?;
        let slot = self.find(unit)?;
        if slot.request.is_some() || slot.has_round() {
            return None;
        }
        all.binary_search_by_key(&unit, |inside| inside.step).ok().map(|at| &all[at])
    }

    /// Where the run of a step would go on that begins again for its own sake: where what carried it out has failed or
    /// was cancelled.
    pub(crate) fn resumed(&self, unit: Unit) -> Option<Inside> {
        let slot = self.find(unit)?;
        let is_open = matches!(slot.state.kind(), StepKind::Failed | StepKind::Cancelled);
        if !is_open || self.spec(unit).options().child.is_none() {
            return None;
        }
        let fresh = || Some(Inside { step: unit, child: slot.child()?, from: Vec::new() });
        // What it was to go on with before it came to that, it still is.
        self.inside(unit).cloned().or_else(fresh)
    }

    pub(crate) fn enter_inside(&mut self, inside: impl IntoIterator<Item = Inside>) {
        let mut all: Vec<Inside> = inside.into_iter().collect();
        all.sort_by_key(|inside| inside.step);
        self.head.inside = (!all.is_empty()).then(|| all.into());
    }

    /// Of the steps that begin again, those go on inside of which it is said; the others stay what they are.
    pub(crate) fn reopen_inside(&mut self, again: &BTreeSet<Unit>, inside: &[Inside]) {
        let earlier = self.head.inside.take();
        if earlier.is_none() && inside.is_empty() {
            return;
        }
        let stays = |earlier: &&Inside| !again.contains(&Unit::of(earlier.step.step));
        let earlier = earlier.iter().flat_map(|all| all.iter()).filter(stays);
        let all: Vec<Inside> = earlier.chain(inside).cloned().collect();
        self.enter_inside(all);
    }
}
