//! Reading a workflow that a user names.

use std::path::Path;
use std::sync::Arc;

use orchestrator_core::engine::Registry;
use orchestrator_core::spec::{self, Diagnostic, Diagnostics, ParseOptions, Severity, Workflow};

use crate::exit::Exit;
use crate::output::{Item, Problem};
use crate::source::{self, STDIN};

/// A workflow that can be run.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The name messages use for its place.
    pub(crate) name: String,
    pub(crate) workflow: Arc<Workflow>,
    /// What is probably not meant so.
    pub(crate) warnings: Vec<Item>,
}

/// The kinds of steps there are.
pub(crate) fn plugins() -> Registry {
    orchestrator_plugins::builtin().into_iter().collect()
}

/// Reads and checks a workflow.
///
/// # Errors
/// Exit 4 if there is no such file, 3 with every problem found if it is not a workflow.
pub(crate) fn load(path: &Path, plugins: &Registry) -> Result<Loaded, Problem> {
    let source = source::read(path, spec::parse::MAX_BYTES as u64, "workflow")?;
    let name = source.name;
    let text = match spec::decode(&source.bytes) {
        Ok(text) => text,
        Err(diagnostics) => return Err(invalid(&name, &diagnostics, "")),
    };
    let stem = path.file_stem().filter(|_| name != STDIN).map(|stem| stem.to_string_lossy());
    let mut options = ParseOptions::default();
    if let Some(stem) = &stem {
        options = options.default_name(stem);
    }
    match spec::parse_with(text, plugins, &options) {
        Ok(parsed) => {
            let warnings = items(&parsed.warnings, &name, text);
            Ok(Loaded { name, workflow: Arc::new(parsed.workflow), warnings })
        }
        Err(diagnostics) => Err(invalid(&name, &diagnostics, text)),
    }
}

/// A workflow from a text that is registered, under the name it is registered under.
///
/// # Errors
/// Exit 3 if this version does not read it, for example because a kind of step is gone.
pub(crate) fn of_text(name: &str, place: &str, text: &str, plugins: &Registry) -> Result<Loaded, Problem> {
    let options = ParseOptions::default().default_name(name);
    match spec::parse_with(text, plugins, &options) {
        Ok(mut parsed) => {
            parsed.workflow.name = Arc::from(name);
            let warnings = items(&parsed.warnings, place, text);
            Ok(Loaded { name: place.to_owned(), workflow: Arc::new(parsed.workflow), warnings })
        }
        Err(diagnostics) => Err(invalid(place, &diagnostics, text)),
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
