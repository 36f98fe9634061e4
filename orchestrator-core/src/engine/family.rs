//! The workflows that the steps of a run name, before it is started: registered ones are looked up, all are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::error::{DriveError, StartError};
use crate::engine::loaded::Loaded;
use crate::engine::shared::Shared;
use crate::engine::start::StartRun;
use crate::port::store::{Store, StoreError, WorkflowQuery, WorkflowRow};
use crate::spec::{Found, ParseOptions, Sources, Workflow, parse_with};

/// Registered workflows of a project, by name, as far as they were asked for: what is asked for and not known yet can be
/// fetched, and the text that asks be read again.
#[derive(Debug, Default)]
pub struct RegisteredTexts {
    known: BTreeMap<String, Option<Arc<str>>>,
    asked: Mutex<BTreeSet<String>>,
}

impl RegisteredTexts {
    /// Fetches what was asked for since the last call. Tells whether anything was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fetch(&mut self, store: &dyn Store, project: &str) -> Result<bool, StoreError> {
        let asked = std::mem::take(&mut *self.asked());
        for name in &asked {
            if self.known.contains_key(name) {
                continue;
            }
            let text = match registered_workflow(store, project, name).await? {
                Some(row) => store.revision(row.latest.revision).await?,
                None => None,
            };
            self.known.insert(name.clone(), text);
        }
        Ok(!asked.is_empty())
    }

    /// Takes this text for the registered one, whatever the store holds.
    pub fn know(&mut self, name: &str, text: Arc<str>) {
        self.known.insert(name.to_owned(), Some(text));
    }

    fn asked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Every critical section is one call.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registered workflow of this name; `None` if there is none.
pub(crate) async fn registered_workflow(
    store: &dyn Store,
    project: &str,
    name: &str,
) -> Result<Option<WorkflowRow>, StoreError> {
    let query = WorkflowQuery {
        project: Some(project.to_owned()),
        name: Some(name.to_owned()),
        ..WorkflowQuery::default()
    };
    Ok(store.workflows(query).await?.items.into_iter().next())
}

/// Whether a reference names a file, not a registered workflow.
#[must_use]
pub fn names_a_file(reference: &str) -> bool {
    reference.starts_with("./") || reference.starts_with("../") || reference.starts_with('/')
}

impl Sources for RegisteredTexts {
    fn find(&self, _: &str, reference: &str) -> Found {
        if names_a_file(reference) {
            return Found::Unknown;
        }
        match self.known.get(reference) {
            Some(Some(text)) => Found::Text {
                key: format!("registered:{reference}"),
                name: reference.to_owned(),
                text: text.clone(),
            },
            Some(None) => Found::Missing {
                message: format!("there is no registered workflow `{reference}`"),
                hint: Some(match reference.ends_with(".yaml") || reference.ends_with(".yml") {
                    true => format!("write `./{reference}` if it is a file beside this one"),
                    false => {
                        format!("register it, or write `./{reference}.yaml` if it is a file beside this one")
                    }
                }),
            },
            None => {
                self.asked().insert(reference.to_owned());
                Found::Unknown
            }
        }
    }
}

impl Shared {
    /// The same start, with the registered workflows that the steps name. What the workflow knows already stays.
    pub(crate) async fn with_children(&self, mut start: StartRun) -> Result<StartRun, StartError> {
        if start.workflow.unknown_child().is_none() {
            return Ok(start);
        }
        let mut texts = RegisteredTexts::default();
        loop {
            let sources = Beside { workflow: &start.workflow, texts: &texts };
            let options = ParseOptions::default().default_name(&start.workflow.name).sources("", &sources);
            let parsed = parse_with(&start.workflow.text, &*self.registry, &options);
            if !texts.fetch(&*self.store, &start.project).await? {
                let parsed = parsed.map_err(|problems| StartError::Invalid(problems.to_string()))?;
                start.workflow = Arc::new(parsed.workflow);
                return Ok(start);
            }
        }
    }

    /// Whether this engine knows and can execute every step, of the workflow and of all below.
    pub(crate) fn check_family(&self, loaded: &Loaded) -> Result<(), StartError> {
        let mut open = vec![loaded];
        let mut seen = BTreeSet::new();
        while let Some(loaded) = open.pop() {
            if let Some((step, workflow)) = loaded.workflow.unknown_child() {
                let why = match names_a_file(workflow) {
                    true => "files are found by whoever reads the text of the workflow",
                    false => "register it, or give it to the builder",
                };
                return Err(StartError::UnknownWorkflow {
                    step: step.name.clone(),
                    workflow: workflow.clone(),
                    why: why.to_owned(),
                });
            }
            self.check_plugins(loaded).map_err(|error| match error {
                DriveError::UnknownPlugin { step, plugin } => StartError::UnknownPlugin { step, plugin },
                other => StartError::Invalid(other.to_string()),
            })?;
            let below = loaded.children.values().map(|child| &**child);
            open.extend(
                below.filter(|child| seen.insert((child.workflow.edition, child.workflow.name.clone()))),
            );
        }
        Ok(())
    }
}

/// The workflows that one knows already, and the registered ones.
#[derive(Debug)]
struct Beside<'a> {
    workflow: &'a Workflow,
    texts: &'a RegisteredTexts,
}

impl Sources for Beside<'_> {
    fn find(&self, from: &str, reference: &str) -> Found {
        match self.workflow.children.get(reference).filter(|_| from.is_empty()) {
            Some(known) => Found::Workflow(known.clone()),
            None => self.texts.find(from, reference),
        }
    }
}
