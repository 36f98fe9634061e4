//! Beginning a run where another has been.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::engine::error::ForkError;
use crate::engine::member::Draft;
use crate::engine::shared::Shared;
use crate::engine::start::{Creation, StartRun};
use crate::engine::values::load_value;
use crate::id::{RunId, Unit};
use crate::machine::{Event, KeptAs};
use crate::port::store::{Commit, StoreError};
use crate::spec::inputs::Given;
use crate::value::{StoredValue, ValueRef};

/// The label under which a fork names the run that it has begun from.
pub const FORKED_FROM: &str = "orchestrator.forked_from";

/// Which run is to be forked, and where.
#[derive(Debug, Clone)]
pub struct ForkRun {
    pub(crate) run: RunId,
    pub(crate) from: Vec<Unit>,
    pub(crate) inside: Vec<(Unit, Arc<str>)>,
    pub(crate) inputs: BTreeMap<String, Given>,
    pub(crate) by: Arc<str>,
}

impl ForkRun {
    /// A run like `run`, that does again what has failed there or was cancelled, and keeps the rest.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self { run, from: Vec::new(), inside: Vec::new(), inputs: BTreeMap::new(), by: Arc::from("host") }
    }

    /// Does these steps or items again, and all that depends on them, and nothing else.
    #[must_use]
    pub fn from(mut self, from: impl IntoIterator<Item = Unit>) -> Self {
        self.from.extend(from);
        self
    }

    /// Lets the run that carries out a step, or an item, go on where the one of before has been, from a place in it:
    /// `test`, `test[3]`, `build/test`. What does not depend on that is kept there too. Several places add up; a step that
    /// is also named as a whole begins at its beginning.
    #[must_use]
    pub fn inside(mut self, step: Unit, place: impl Into<Arc<str>>) -> Self {
        self.inside.push((step, place.into()));
        self
    }

    /// Inputs that are to be others than before. What is kept has not seen them.
    #[must_use]
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = (String, Given)>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// Who forks it.
    #[must_use]
    pub fn by(mut self, who: impl Into<Arc<str>>) -> Self {
        self.by = who.into();
        self
    }
}

impl Shared {
    /// Creates the run; the first that drives it takes it up.
    pub(crate) async fn fork(&self, asked: ForkRun) -> Result<RunId, ForkError> {
        let origin = self.store.run(asked.run).await?.ok_or(ForkError::NotFound(asked.run))?;
        let opened = self.open(asked.run).await?.ok_or(ForkError::NotFound(asked.run))?;
        let events = self.forked("", &opened, &asked.from, &asked.inside).await?;
        let mut inputs: BTreeMap<String, Given> = BTreeMap::new();
        let before = load_value(self, asked.run, &opened.state.head().inputs).await?;
        if let Value::Object(before) = &*before {
            let before = before.iter().map(|(name, value)| (name.clone(), value.clone()));
            inputs.extend(before.map(|(name, value)| (name, Given::Value(value))));
        }
        inputs.extend(asked.inputs);
        let start = StartRun {
            workflow: opened.loaded.workflow.clone(),
            inputs,
            project: origin.new.project.clone(),
            labels: origin.new.labels.clone(),
            priority: origin.new.priority,
            by: asked.by,
            key: None,
            not_before: None,
        };
        let start = start.label(FORKED_FROM, asked.run.to_string());
        let Creation { new, created, mut values, mut state, .. } = self.create(start)?;
        values.extend(self.values_of(asked.run, &events).await?);
        let mut draft = Draft::new(&state, self.transition(), self.clock.now());
        draft.take(&mut state, created.into());
        events.into_iter().for_each(|event| draft.take(&mut state, event));
        draft.values = values;
        draft.create = Some(Box::new(new));
        let run = state.run();
        let touched = state.take_touched();
        let member = draft.into_member(run, &state, &touched, None);
        match self.submit_creation(member).await? {
            Commit::Applied => Ok(run),
            Commit::Invalid(why) => Err(StoreError::Invalid(why).into()),
            _ => Err(StoreError::Unavailable("the run was not created".into()).into()),
        }
    }

    /// What the kept steps gave, and the lists of items, for the run that refers to them too.
    pub(crate) async fn values_of(
        &self,
        run: RunId,
        events: &[Event],
    ) -> Result<Vec<StoredValue>, StoreError> {
        let references = events.iter().filter_map(|event| match event {
            Event::StepKept(kept) => match &kept.state {
                KeptAs::Succeeded { output } => Some(output),
                _ => None,
            },
            Event::StepExpanded(expanded) => Some(&expanded.items),
            _ => None,
        });
        let mut seen = BTreeSet::new();
        let mut values = Vec::new();
        for reference in references {
            let ValueRef::Stored(stored) = reference else { continue };
            if seen.insert(stored.digest) {
                let body = self.store.value(run, stored.digest).await?;
                let gone = || StoreError::Corrupt(format!("value {} is gone", stored.digest));
                values.push(StoredValue { digest: stored.digest, body: body.ok_or_else(gone)? });
            }
        }
        Ok(values)
    }
}
