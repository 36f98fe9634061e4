//! The workflows below a run's own, as the run keeps them: pinned when it is created, and read back by whoever drives
//! it, wherever their files are by then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::engine::loaded::Loaded;
use crate::engine::shared::Shared;
use crate::engine::values::load_value;
use crate::id::RunId;
use crate::machine::{Pin, Pins};
use crate::port::store::{RunRow, StoreError};
use crate::spec::{MAX_WORKFLOW_DEPTH, MAX_WORKFLOWS_BELOW, Workflow, edition, parse_stored};
use crate::value::{Digest, StoredValue, Unstorable, ValueRef};

/// What a run keeps of the workflows below its own.
#[derive(Debug, Default)]
pub(crate) struct Pinned {
    /// What its first event says; `None` if there are none.
    pub(crate) pins: Option<Arc<Pins>>,
    /// Their texts, for the first of the runs.
    pub(crate) texts: Vec<StoredValue>,
}

/// Why workflows cannot be pinned.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unpinnable {
    #[error("more than {MAX_WORKFLOW_DEPTH} workflows one below the other")]
    TooDeep,
    #[error("more than {MAX_WORKFLOWS_BELOW} different workflows below one")]
    TooMany,
    #[error("the text of workflow `{0}` cannot be stored: {1}")]
    Text(Arc<str>, Unstorable),
}

/// Lists the workflows below one, each after those below it.
pub(crate) fn pin(workflow: &Workflow) -> Result<Pinned, Unpinnable> {
    if workflow.children.is_empty() {
        return Ok(Pinned::default());
    }
    let mut list = List::default();
    let uses = list.uses(workflow, 1)?;
    Ok(Pinned { pins: Some(Arc::new(Pins { uses, workflows: list.pins })), texts: list.texts })
}

#[derive(Default)]
struct List {
    pins: Vec<Pin>,
    texts: Vec<StoredValue>,
    known: HashMap<(Digest, Arc<str>), u32>,
}

impl List {
    fn uses(&mut self, workflow: &Workflow, depth: usize) -> Result<BTreeMap<Arc<str>, u32>, Unpinnable> {
        if depth > MAX_WORKFLOW_DEPTH && !workflow.children.is_empty() {
            return Err(Unpinnable::TooDeep);
        }
        let mut uses = BTreeMap::new();
        for (reference, child) in &workflow.children {
            uses.insert(reference.clone(), self.add(child, depth)?);
        }
        Ok(uses)
    }

    fn add(&mut self, workflow: &Workflow, depth: usize) -> Result<u32, Unpinnable> {
        let key = (workflow.edition, workflow.name.clone());
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let uses = self.uses(workflow, depth + 1)?;
        let text = Value::String(workflow.text.to_string());
        let (text, stored) =
            ValueRef::encode(&text).map_err(|error| Unpinnable::Text(workflow.name.clone(), error))?;
        self.texts.extend(stored);
        self.pins.push(Pin { name: workflow.name.clone(), revision: workflow.revision, text, uses });
        if self.pins.len() > MAX_WORKFLOWS_BELOW {
            return Err(Unpinnable::TooMany);
        }
        // Bounded just above.
        let at = self.pins.len() as u32 - 1;
        self.known.insert(key, at);
        Ok(at)
    }
}

impl Shared {
    /// The workflow of a run with the workflows below it.
    pub(crate) async fn read_pinned(
        &self,
        row: &RunRow,
        text: &str,
        pins: &Pins,
    ) -> Result<Arc<Loaded>, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("{} pins workflows that are not there", row.run));
        let mut editions: Vec<Digest> = Vec::with_capacity(pins.workflows.len());
        for pin in &pins.workflows {
            editions.push(edition_of(pin.revision, &pin.uses, pins, &editions).ok_or_else(corrupt)?);
        }
        let own = edition_of(row.new.revision, &pins.uses, pins, &editions).ok_or_else(corrupt)?;
        if let Some(loaded) = self.library.find(&(own, row.new.workflow.clone())) {
            return Ok(loaded);
        }
        let root = row.new.parent.map_or(row.run, |parent| parent.root);
        let mut read: Vec<Arc<Workflow>> = Vec::with_capacity(pins.workflows.len());
        for pin in &pins.workflows {
            let text = self.pinned_text(root, pin).await?;
            read.push(Arc::new(reread(&text, &pin.name, &pin.uses, &read)?));
        }
        self.library.enter(&Arc::new(reread(text, &row.new.workflow, &pins.uses, &read)?))
    }

    async fn pinned_text(&self, root: RunId, pin: &Pin) -> Result<Arc<str>, StoreError> {
        match &*load_value(self, root, &pin.text).await? {
            Value::String(text) => Ok(text.as_str().into()),
            _ => Err(StoreError::Corrupt(format!("the text of workflow `{}` is none", pin.name))),
        }
    }
}

/// The edition of a workflow that uses those whose editions are known; `None` if it uses others.
fn edition_of(
    revision: Digest,
    uses: &BTreeMap<Arc<str>, u32>,
    pins: &Pins,
    editions: &[Digest],
) -> Option<Digest> {
    let mut below = Vec::with_capacity(uses.len());
    for (reference, at) in uses {
        below.push((reference, &pins.workflows.get(*at as usize)?.name, *editions.get(*at as usize)?));
    }
    Some(edition(revision, below.into_iter()))
}

fn reread(
    text: &str,
    name: &str,
    uses: &BTreeMap<Arc<str>, u32>,
    read: &[Arc<Workflow>],
) -> Result<Workflow, StoreError> {
    let mut workflow = parse_stored(text, name).map_err(|problems| {
        StoreError::Corrupt(format!("the text of workflow `{name}` does not read: {problems}"))
    })?;
    // The places were checked when the editions were made.
    let children =
        uses.iter().filter_map(|(reference, at)| Some((reference.clone(), read.get(*at as usize)?.clone())));
    workflow.adopt(children.collect::<IndexMap<_, _>>());
    Ok(workflow)
}
