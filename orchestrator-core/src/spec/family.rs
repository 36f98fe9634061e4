//! Workflows that run other workflows: where the texts of those come from, and how far down they may go.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::spec::parse::{ParseOptions, parse_with};
use crate::spec::schema::Catalog;
use crate::spec::tree::quoted;
use crate::spec::{Diagnostics, Workflow};

/// The kind of a step that another workflow carries out.
pub const WORKFLOW_KIND: &str = "workflow";

/// The most workflows one below the other, the first not counted. A bound on what a single start can set off, and on how
/// long a chain of waiting runs can get.
pub const MAX_WORKFLOW_DEPTH: usize = 16;

/// The most different workflows below one: their texts are kept with each run of it.
pub const MAX_WORKFLOWS_BELOW: usize = 256;

/// Finds the workflows that others name.
pub trait Sources: fmt::Debug + Send + Sync {
    /// What `reference` means where it stands in the text called `from`; the text that is parsed first is called as
    /// [`ParseOptions::from`] says.
    fn find(&self, from: &str, reference: &str) -> Found;
}

/// What a reference to a workflow means.
#[derive(Debug, Clone)]
pub enum Found {
    /// A text.
    Text {
        /// What the text is called, as `from` where it refers to others. The same text has the same.
        key: String,
        /// The name of the workflow if it does not give itself one.
        name: String,
        /// The text.
        text: Arc<str>,
    },
    /// A workflow that was read already.
    Workflow(Arc<Workflow>),
    /// There is no such workflow: what to say of it, and what to do about it.
    Missing {
        /// What is wrong, as a fragment.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It cannot be known here. Nothing is checked; a run of it cannot be started.
    Unknown,
}

/// The workflows of one parse, that of the first text and of all below.
#[derive(Debug)]
pub(super) struct Family<'a> {
    sources: &'a dyn Sources,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The texts being read, the first first: what each is called, and the name it goes by in messages.
    above: Vec<(String, String)>,
    /// What was read: `None` where it is not valid, which has been told.
    known: HashMap<String, Result<Arc<Workflow>, Fault>>,
}

/// Why a workflow cannot be used.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> Family<'a> {
    pub(super) fn new(sources: &'a dyn Sources, from: &str, name: &str) -> Self {
        let above = vec![(from.to_owned(), name.to_owned())];
        Self { sources, state: Mutex::new(State { above, known: HashMap::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text being read calls itself so.
    pub(super) fn call_last(&self, name: &str) {
        if let Some((_, known)) = self.state().above.last_mut() {
            name.clone_into(known);
        }
    }

    /// The workflow that the text being read means; `None` where that cannot be known.
    pub(super) fn child(
        &self,
        reference: &str,
        catalog: &dyn Catalog,
    ) -> Result<Option<Arc<Workflow>>, Fault> {
        let from = self.state().above.last().map(|(key, _)| key.clone()).unwrap_or_default();
        let (key, name, text) = match self.sources.find(&from, reference) {
            Found::Text { key, name, text } => (key, name, text),
            Found::Workflow(workflow) => return Ok(Some(workflow)),
            Found::Missing { message, hint } => {
                return Err(Fault { code: "unknown_workflow", message, hint });
            }
            Found::Unknown => return Ok(None),
        };
        if let Some(known) = self.state().known.get(&key) {
            return known.clone().map(Some);
        }
        self.may_go_down(&key)?;
        self.state().above.push((key.clone(), reference.to_owned()));
        let options =
            ParseOptions { default_name: Some(&name), family: Some(self), ..ParseOptions::default() };
        let read = parse_with(&text, catalog, &options);
        self.state().above.pop();
        let read = read.map(|parsed| Arc::new(parsed.workflow)).map_err(|found| told(reference, found));
        self.state().known.insert(key, read.clone());
        read.map(Some)
    }

    fn may_go_down(&self, key: &str) -> Result<(), Fault> {
        let state = self.state();
        if let Some(at) = state.above.iter().position(|(above, _)| above == key) {
            let mut names: Vec<&str> = state.above[at..].iter().map(|(_, name)| name.as_str()).collect();
            names.extend(names.first().copied());
            let message = format!("a workflow runs itself: {}", names.join(" -> "));
            let hint = Some("a workflow below it must not name it again".to_owned());
            return Err(Fault { code: "workflow_cycle", message, hint });
        }
        if state.above.len() > MAX_WORKFLOW_DEPTH {
            let message = format!("more than {MAX_WORKFLOW_DEPTH} workflows one below the other");
            let hint = Some("put steps of a lower one into the one above it".to_owned());
            return Err(Fault { code: "limit_workflow_depth", message, hint });
        }
        if state.known.len() >= MAX_WORKFLOWS_BELOW {
            let message = format!("more than {MAX_WORKFLOWS_BELOW} different workflows below one");
            return Err(Fault { code: "limit_workflows", message, hint: None });
        }
        Ok(())
    }
}

/// What is wrong with a workflow, told where it is named.
fn told(reference: &str, mut found: Diagnostics) -> Fault {
    let of_family = ["workflow_cycle", "limit_workflow_depth", "limit_workflows"];
    if let Some(at) = found.0.iter().position(|diagnostic| of_family.contains(&diagnostic.code)) {
        let first = found.0.swap_remove(at);
        return Fault { code: first.code, message: first.message, hint: first.hint };
    }
    let message = match found.0.first() {
        Some(first) => format!("the workflow {} is not valid: {first}", quoted(reference)),
        None => format!("the workflow {} is not valid", quoted(reference)),
    };
    let more = found.0.len().saturating_sub(1);
    let hint = (more > 0).then(|| format!("and {more} more: validate it by itself"));
    Fault { code: "invalid_workflow", message, hint }
}
