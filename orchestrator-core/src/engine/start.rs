//! Starting a run.

use std::collections::BTreeMap;

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::engine::driver::{Driver, Origin};
use crate::engine::entry::Entry;
use crate::engine::error::{DriveError, StartError};
use crate::engine::loaded::Loaded;
use crate::engine::member::Draft;
use crate::engine::note::Input;
use crate::engine::shared::{Actor, Shared};
use crate::id::RunId;
use crate::machine::{RunCreated, RunState};
use crate::port::store::{Commit, IdempotencyKey, Member, NewRun, StoreError};
use crate::spec::Workflow;
use crate::spec::inputs::Given;
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef};

/// What to start, and with what.
#[derive(Debug, Clone)]
pub struct StartRun {
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) inputs: BTreeMap<String, Given>,
    pub(crate) project: Arc<str>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) priority: i32,
    pub(crate) by: Arc<str>,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) not_before: Option<Timestamp>,
}

impl StartRun {
    /// The project of runs that name none.
    pub const DEFAULT_PROJECT: &'static str = "default";

    /// A run of `workflow`, without inputs, in the default project.
    #[must_use]
    pub fn new(workflow: impl Into<Arc<Workflow>>) -> Self {
        Self {
            workflow: workflow.into(),
            inputs: BTreeMap::new(),
            project: Arc::from(Self::DEFAULT_PROJECT),
            labels: BTreeMap::new(),
            priority: 0,
            by: Arc::from("host"),
            key: None,
            not_before: None,
        }
    }

    /// Another reading of the same text, with more of the workflows that its steps name.
    #[must_use]
    pub fn workflow(mut self, workflow: impl Into<Arc<Workflow>>) -> Self {
        self.workflow = workflow.into();
        self
    }

    /// The value of an input.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.inputs.insert(name.into(), Given::Value(value.into()));
        self
    }

    /// The value of an input as a text, such as a command line has: read as the declared type.
    #[must_use]
    pub fn input_text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.inputs.insert(name.into(), Given::Text(text.into()));
        self
    }

    /// The values of many inputs.
    #[must_use]
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = (String, Given)>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// The tenant.
    #[must_use]
    pub fn project(mut self, project: impl Into<Arc<str>>) -> Self {
        self.project = project.into();
        self
    }

    /// A label, for finding the run.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Larger is sooner; 0 is ordinary.
    #[must_use]
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Who starts it.
    #[must_use]
    pub fn by(mut self, who: impl Into<Arc<str>>) -> Self {
        self.by = who.into();
        self
    }

    /// When it is to begin: the run exists from now on, waits until then without a slot, and its deadline counts from then. A
    /// time that has passed is now; one after the year 9999 is its end.
    #[must_use]
    pub const fn not_before(mut self, at: Timestamp) -> Self {
        self.not_before = Some(at);
        self
    }

    /// Starts at most one run per key and project; a repeated start answers with the first run, whenever that is to begin. 1
    /// to 255 bytes.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl From<Workflow> for StartRun {
    fn from(workflow: Workflow) -> Self {
        Self::new(workflow)
    }
}

impl From<Arc<Workflow>> for StartRun {
    fn from(workflow: Arc<Workflow>) -> Self {
        Self::new(workflow)
    }
}

/// A run about to be created.
pub(crate) struct Creation {
    pub(crate) new: NewRun,
    /// Its first event.
    pub(crate) created: RunCreated,
    pub(crate) values: Vec<StoredValue>,
    pub(crate) state: RunState,
    pub(crate) loaded: Arc<Loaded>,
}

impl Shared {
    /// Starts a run and drives it; a repeated start answers with the first run, and drives it if nobody does.
    pub(crate) async fn start(
        self: &Arc<Self>,
        start: StartRun,
    ) -> Result<(RunId, Option<Actor>), StartError> {
        if self.is_stopping() {
            return Err(StartError::Stopping);
        }
        let start = self.with_children(start).await?;
        let Creation { new, created, values, state, loaded } = self.create(start)?;
        let run = state.run();
        let (reply, answer) = oneshot::channel();
        let origin = Origin::of(&new);
        let create = Input::Create(Box::new(new), Box::new(created), Some(reply));
        let inputs = vec![create, Input::Take { dead: None, reply: None }];
        let actor = Driver::spawn(self, loaded, origin, state, inputs, values);
        match answer.await {
            Ok(Commit::Applied) => {
                crate::failpoint!("run.create.after");
                Ok((run, actor))
            }
            Ok(Commit::Duplicate { run, same: true }) => Ok((run, self.join(run).await?)),
            Ok(Commit::Duplicate { run, same: false }) => Err(StartError::KeyReused { run }),
            Ok(Commit::Invalid(why)) => Err(StartError::Invalid(why)),
            Ok(Commit::Unavailable(why)) => Err(StoreError::Unavailable(why).into()),
            Ok(_) | Err(_) => Err(StoreError::Unavailable("the run was not created".into()).into()),
        }
    }

    /// The driver of a run that was started before: here, or nobody's, or elsewhere.
    async fn join(self: &Arc<Self>, run: RunId) -> Result<Option<Actor>, StartError> {
        match self.drive(run).await {
            Ok(actor) => Ok(actor),
            Err(DriveError::Driven { .. }) => Ok(None),
            Err(DriveError::Store(error)) => Err(error.into()),
            Err(DriveError::UnknownPlugin { step, plugin }) => {
                Err(StartError::UnknownPlugin { step, plugin })
            }
            Err(DriveError::Stopping) => Err(StartError::Stopping),
            Err(DriveError::NotFound(run)) => Err(StoreError::Corrupt(format!("{run} is gone")).into()),
        }
    }

    /// The member that creates a run and does nothing more.
    pub(crate) fn creating_member(&self, start: StartRun) -> Result<Member, StartError> {
        let Creation { new, created, values, mut state, .. } = self.create(start)?;
        let mut draft = Draft::new(&state, self.transition(), self.clock.now());
        draft.take(&mut state, created.into());
        draft.values = values;
        draft.create = Some(Box::new(new));
        Ok(draft.into_member(state.run(), &state, &[], None))
    }

    pub(crate) fn create(&self, start: StartRun) -> Result<Creation, StartError> {
        let loaded = self.library.enter(&start.workflow).map_err(|error| match error {
            StoreError::Invalid(why) => StartError::Invalid(why),
            error => error.into(),
        })?;
        self.check_family(&loaded)?;
        let given =
            crate::spec::inputs::resolve(&start.workflow, &start.inputs).map_err(StartError::Inputs)?;
        let invalid = |why: &dyn std::fmt::Display| StartError::Invalid(why.to_string());
        let (inputs, stored) = ValueRef::encode(&given).map_err(|error| invalid(&error))?;
        let key = match start.key {
            Some(key) if key.is_empty() || key.len() > 255 => {
                return Err(invalid(&"an idempotency key has 1 to 255 bytes"));
            }
            Some(key) => {
                let content = format!("{}/{}", start.workflow.edition, inputs.digest());
                Some(IdempotencyKey { key, content: Digest::of(content.as_bytes()) })
            }
            None => None,
        };
        let new = NewRun {
            project: start.project,
            workflow: start.workflow.name.clone(),
            revision: start.workflow.revision,
            text: start.workflow.text.clone(),
            inputs,
            labels: start.labels,
            priority: start.priority,
            by: start.by,
            steps: loaded.workflow.counted_steps(),
            key,
            parent: None,
        };
        let run = RunId::from_uuid(self.ids.uuid());
        let state = RunState::new(run, loaded.workflow.clone(), loaded.plan.clone());
        let values = stored.into_iter().chain(loaded.pinned.texts.iter().cloned()).collect();
        let not_before = start.not_before.map(Timestamp::or_last).filter(|at| *at > self.clock.now());
        let entry = Entry::of(&loaded, run, given, Vec::new()).map_err(|error| invalid(&error.message))?;
        let created = RunCreated { not_before, ..created(&new, &loaded, entry) };
        Ok(Creation { new, created, values, state, loaded })
    }
}

/// The first event of a run that begins at once.
pub(crate) fn created(new: &NewRun, loaded: &Loaded, entry: Entry) -> RunCreated {
    RunCreated {
        workflow: new.workflow.clone(),
        revision: new.revision,
        inputs: new.inputs.clone(),
        by: new.by.clone(),
        pins: loaded.pinned.pins.clone(),
        not_before: None,
        place: entry.place,
        within: entry.within,
    }
}
