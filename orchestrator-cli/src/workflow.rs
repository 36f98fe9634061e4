//! Reading a workflow that a user names.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use orchestrator_core::engine::Registry;
use orchestrator_core::port::store::Store;
use orchestrator_core::spec::{self, Diagnostic, Diagnostics, ParseOptions, Severity, Workflow};

use crate::app::App;
use crate::below::{self, Below};
use crate::exit::Exit;
use crate::output::{Item, Problem};
use crate::source::{self, STDIN};
use crate::store;

/// A workflow that can be run.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The name messages use for its place.
    pub(crate) name: String,
    pub(crate) workflow: Arc<Workflow>,
    /// What is probably not meant so.
    pub(crate) warnings: Vec<Item>,
    /// The workflows below it.
    below: Below,
    /// What the text is called by those that it names.
    from: String,
}

/// The kinds of steps that this program has of itself.
pub(crate) fn builtin() -> Registry {
    orchestrator_plugins::builtin().into_iter().collect()
}

/// A workflow and all below it, each once.
pub(crate) fn family(workflow: &Arc<Workflow>) -> Vec<&Arc<Workflow>> {
    let mut found = vec![workflow];
    let mut seen = HashSet::from([workflow.edition]);
    let mut at = 0;
    while let Some(next) = found.get(at).copied() {
        found.extend(next.children.values().filter(|child| seen.insert(child.edition)));
        at += 1;
    }
    found
}

/// Reads and checks a workflow.
///
/// # Errors
/// Exit 4 if there is no such file, 3 with every problem found if it is not a workflow.
pub(crate) fn load(path: &Path, plugins: &Registry) -> Result<Loaded, Problem> {
    load_above(path, plugins, Below::default())
}

/// As [`load`], above these workflows.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_above(path: &Path, plugins: &Registry, below: Below) -> Result<Loaded, Problem> {
    let source = source::read(path, spec::parse::MAX_BYTES as u64, "workflow")?;
    let name = source.name;
    let text = match spec::decode(&source.bytes) {
        Ok(text) => text,
        Err(diagnostics) => return Err(invalid(&name, &diagnostics, "")),
    };
    let stem = path.file_stem().filter(|_| name != STDIN).map(|stem| stem.to_string_lossy());
    let from = below::key_of(path);
    let mut options = ParseOptions::default().sources(&from, &below);
    if let Some(stem) = &stem {
        options = options.default_name(stem);
    }
    match spec::parse_with(text, plugins, &options) {
        Ok(parsed) => {
            let warnings = items(&parsed.warnings, &name, text);
            Ok(Loaded { name, workflow: Arc::new(parsed.workflow), warnings, below, from })
        }
        Err(diagnostics) => Err(invalid(&name, &diagnostics, text)),
    }
}

/// A workflow from a text that is registered, under the name it is registered under.
///
/// # Errors
/// Exit 3 if this version does not read it, for example because a kind of step is gone.
pub(crate) fn of_text(name: &str, place: &str, text: &str, plugins: &Registry) -> Result<Loaded, Problem> {
    let below = Below::default();
    let options = ParseOptions::default().default_name(name).sources("", &below);
    match spec::parse_with(text, plugins, &options) {
        Ok(mut parsed) => {
            parsed.workflow.name = Arc::from(name);
            let warnings = items(&parsed.warnings, place, text);
            let (workflow, name) = (Arc::new(parsed.workflow), place.to_owned());
            Ok(Loaded { name, workflow, warnings, below, from: String::new() })
        }
        Err(diagnostics) => Err(invalid(place, &diagnostics, text)),
    }
}

/// As [`load`], with the registered workflows that its steps name, where there is a store: for those who only look.
///
/// # Errors
/// As [`load`].
pub(crate) async fn look_at(path: &Path, plugins: &Registry, app: &App) -> Result<Loaded, Problem> {
    let loaded = load(path, plugins)?;
    if loaded.workflow.unknown_child().is_none() {
        return Ok(loaded);
    }
    match store::glance(&app.settings).await {
        Some(store) => loaded.complete(&store, plugins).await,
        None => Ok(loaded),
    }
}

impl Loaded {
    /// Takes this text for that of a registered workflow, for those that name it.
    pub(crate) fn know(&mut self, name: &str, text: Arc<str>) {
        self.below.know(name, text);
    }

    /// Looks up the registered workflows that its steps name.
    ///
    /// # Errors
    /// Exit 3 if there is none of such a name, or something does not fit it; 7 if the store does not answer.
    pub(crate) async fn complete(
        mut self,
        store: &Arc<dyn Store>,
        plugins: &Registry,
    ) -> Result<Self, Problem> {
        while self.below.fetch(store).await? {
            let (name, text) = (self.workflow.name.clone(), self.workflow.text.clone());
            let options = ParseOptions::default().default_name(&name).sources(&self.from, &self.below);
            let mut parsed = spec::parse_with(&text, plugins, &options)
                .map_err(|diagnostics| invalid(&self.name, &diagnostics, &text))?;
            parsed.workflow.name = name;
            self.workflow = Arc::new(parsed.workflow);
        }
        Ok(self)
    }
}

fn items(diagnostics: &[Diagnostic], name: &str, text: &str) -> Vec<Item> {
    diagnostics.iter().map(|diagnostic| Item::of(diagnostic, name, text)).collect()
}

fn invalid(name: &str, Diagnostics(diagnostics): &Diagnostics, text: &str) -> Problem {
    let items = items(diagnostics, name, text);
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut title = format!("{name} is not a valid workflow: {}", counted(errors, "error"));
    if warnings > 0 {
        title.push_str(&format!(", {}", counted(warnings, "warning")));
    }
    if diagnostics.len() >= spec::MAX_DIAGNOSTICS {
        title.push_str("; there may be more");
    }
    Problem::new(Exit::Invalid, "invalid_spec", title).items(items)
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
