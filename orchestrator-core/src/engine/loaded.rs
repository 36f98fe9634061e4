//! Workflows ready to be driven, shared by all runs of a revision.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::engine::pins::{Pinned, Unpinnable, pin};
use crate::id::StepIx;
use crate::plan::Plan;
use crate::port::store::StoreError;
use crate::spec::expr::{Reference, Template};
use crate::spec::{Each, PathsSpec, StepSpec, Workflow};
use crate::value::Digest;

/// A workflow with its plan and what its expressions refer to.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) plan: Arc<Plan>,
    /// The workflows that its steps name, by what they call them.
    pub(crate) children: HashMap<Arc<str>, Arc<Loaded>>,
    /// The same with all below, as a run of it keeps them.
    pub(crate) pinned: Pinned,
    /// Where the steps are that some expression refers to.
    referenced: HashMap<Arc<str>, StepIx>,
    /// The same, for asking whether an output will be wanted.
    wanted: HashSet<StepIx>,
}

/// The loaded workflows that some run still holds.
#[derive(Debug, Default)]
pub(crate) struct Library(Mutex<HashMap<Edition, Weak<Loaded>>>);

/// A text, with those below it, under a name: a text that does not name itself may be started under several.
pub(crate) type Edition = (Digest, Arc<str>);

impl Library {
    /// The workflow as loaded, now or before.
    pub(crate) fn enter(&self, workflow: &Arc<Workflow>) -> Result<Arc<Loaded>, StoreError> {
        let edition = (workflow.edition, workflow.name.clone());
        if let Some(loaded) = self.find(&edition) {
            return Ok(loaded);
        }
        let unpinnable = |error: Unpinnable| StoreError::Invalid(error.to_string());
        let pinned = pin(workflow).map_err(unpinnable)?;
        let children = workflow.children.iter().map(|(name, child)| Ok((name.clone(), self.enter(child)?)));
        let children = children.collect::<Result<_, StoreError>>()?;
        let loaded = Arc::new(Loaded::new(workflow.clone(), children, pinned)?);
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.retain(|_, held| held.strong_count() > 0);
        shelf.insert(edition, Arc::downgrade(&loaded));
        Ok(loaded)
    }

    /// The workflow of a stored revision, under the name it was started with.
    pub(crate) fn read(
        &self,
        revision: Digest,
        name: &Arc<str>,
        text: &str,
    ) -> Result<Arc<Loaded>, StoreError> {
        if let Some(loaded) = self.find(&(revision, name.clone())) {
            return Ok(loaded);
        }
        let workflow = crate::spec::parse_stored(text, name).map_err(|problems| {
            StoreError::Corrupt(format!("revision {revision} does not read: {problems}"))
        })?;
        self.enter(&Arc::new(workflow))
    }

    /// The workflow of a revision under a name, if some run here still holds it.
    pub(crate) fn known(&self, revision: Digest, name: &Arc<str>) -> Option<Arc<Loaded>> {
        self.find(&(revision, name.clone()))
    }

    pub(crate) fn find(&self, edition: &Edition) -> Option<Arc<Loaded>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(edition)?.upgrade()
    }
}

impl Loaded {
    fn new(
        workflow: Arc<Workflow>,
        children: HashMap<Arc<str>, Arc<Self>>,
        pinned: Pinned,
    ) -> Result<Self, StoreError> {
        let plan = Plan::new(workflow.steps.iter().map(|step| step.needs.as_slice()))
            .map_err(|_| StoreError::Corrupt("the needs of a stored workflow form a cycle".into()))?;
        let of_the_workflow =
            workflow.outputs.values().chain(workflow.env.values()).map(Template::references);
        let of_the_steps = workflow.steps.iter().flat_map(references_of);
        let wanted_names: HashSet<&str> = of_the_workflow
            .chain(of_the_steps)
            .flatten()
            .filter_map(|reference| match reference {
                Reference::Step(name, _) => Some(&**name),
                _ => None,
            })
            .collect();
        let mut referenced = HashMap::with_capacity(wanted_names.len());
        for (ix, step) in workflow.steps.iter().enumerate() {
            if wanted_names.contains(&*step.name) {
                referenced.insert(step.name.clone(), StepIx(ix as u32));
            }
        }
        let wanted = referenced.values().copied().collect();
        Ok(Self { plan: Arc::new(plan), workflow, children, pinned, referenced, wanted })
    }

    /// Where a step is that some expression refers to.
    pub(crate) fn find(&self, name: &str) -> Option<StepIx> {
        self.referenced.get(name).copied()
    }

    /// Whether some expression refers to the step, or its compensation does to what it gave: that may be prepared before
    /// the commit that brings the output into the store.
    pub(crate) fn is_wanted(&self, step: StepIx) -> bool {
        self.wanted.contains(&step) || self.workflow.stages.undo_of(step).is_some()
    }
}

/// What the expressions of a step refer to, one slice per expression site.
pub(crate) fn references_of(step: &StepSpec) -> impl Iterator<Item = &[Reference]> {
    let options = step.options();
    let condition = options.condition.as_ref().map(|condition| condition.references());
    let env = options.env.values().map(Template::references);
    let each = options.each.iter().flat_map(Each::templates).map(Template::references);
    let until = options.repeat.as_ref().map(|repeat| repeat.until.references());
    let limited = options.concurrency.as_ref().map(|limited| limited.key.references());
    let rates = options.rates.iter().map(|rate| rate.key.references());
    let paths = options.paths.iter().flat_map(PathsSpec::templates).map(Template::references);
    let of_begin =
        std::iter::once(step.with.references()).chain(condition).chain(env).chain(limited).chain(rates);
    of_begin.chain(paths).chain(each).chain(until)
}
