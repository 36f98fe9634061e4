//! Where the secrets of steps come from, and whether they are there.

use std::path::Path;
use std::sync::Arc;

use orchestrator_core::engine::{Engine, MissingSecret};
use orchestrator_core::port::secret::SecretProvider;
use orchestrator_core::port::store::RunRow;
use orchestrator_core::spec::{Workflow, parse_stored};
use orchestrator_plugins::{CommandSecrets, EnvSecrets, FileSecrets};

use crate::exit::Exit;
use crate::output::Problem;
use crate::settings::Settings;

/// Who is asked for secrets, the first that has one wins: the environment, the file or folder, the command.
pub(crate) fn providers(settings: &Settings) -> Vec<Arc<dyn SecretProvider>> {
    let mut providers: Vec<Arc<dyn SecretProvider>> = vec![
        Arc::new(EnvSecrets::new(settings.secrets_prefix())),
        Arc::new(FileSecrets::new(settings.secrets_file())),
    ];
    // The settings were checked when they were read.
    if let Some(Ok(command)) = settings.secrets_command().map(CommandSecrets::new) {
        providers.push(Arc::new(command));
    }
    providers
}

/// Looks for the secrets that a workflow declares, before anything is begun with it.
///
/// # Errors
/// Exit 3, with all that are missing.
pub(crate) async fn check(engine: &Engine, workflow: &Workflow) -> Result<(), Problem> {
    let missing = engine.missing_secrets(workflow).await;
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(absent(missing)),
    }
}

/// As [`check`], for a run that is there already.
pub(crate) async fn check_run(engine: &Engine, row: &RunRow) -> Result<(), Problem> {
    let text = engine.store().revision(row.new.revision).await?;
    // Reading a large text once more takes a second; few declare any.
    let Some(text) = text.filter(|text| text.contains("secrets")) else { return Ok(()) };
    match parse_stored(&text, &row.new.workflow) {
        Ok(workflow) => check(engine, &workflow).await,
        // Whoever drives it tells that.
        Err(_) => Ok(()),
    }
}

/// Where there are secrets that this process may come to know, its memory goes into no core dump, and its panics show none.
pub(crate) fn keep_private(settings: &Settings, engine: &Engine) {
    let prefix = settings.secrets_prefix();
    let in_env = || std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with(prefix));
    if settings.secrets_command().is_none() && !settings.secrets_file().exists() && !in_env() {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Where the system refuses, nothing else is worse.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    let (engine, usual) = (engine.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.to_string();
        match engine.mask().text(&told) {
            std::borrow::Cow::Borrowed(_) => usual(panic),
            std::borrow::Cow::Owned(masked) => {
                use std::io::Write as _;
                // If nobody listens there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "{masked}");
            }
        }
    }));
}

fn absent(missing: &[MissingSecret]) -> Problem {
    let title = match missing {
        [one] => format!("secret `{}` cannot be had: {}", one.name, one.why),
        several => format!("{} secrets cannot be had", several.len()),
    };
    let problem = Problem::new(Exit::Invalid, "secret_missing", title);
    let problem = match missing {
        [_] => problem,
        several => {
            let lines = several.iter().map(|missing| format!("{}: {}", missing.name, missing.why));
            problem.detail(lines.collect::<Vec<_>>().join("\n"))
        }
    };
    let name = &missing[0].name;
    problem.hint(format!("export {}{name}=…, or write {name}=… to the file of secrets", EnvSecrets::PREFIX))
}

/// What there is to say of the file of secrets: `None` if there is none.
pub(crate) async fn file(path: &Path) -> Option<Result<(), String>> {
    if !path.exists() {
        return None;
    }
    if path.is_dir() {
        return Some(
            std::fs::read_dir(path).map(drop).map_err(|error| format!("{}: {error}", path.display())),
        );
    }
    // No secret has this name, so the whole file is read for it.
    let read = FileSecrets::new(path).fetch("").await;
    Some(read.map(drop).map_err(|error| error.to_string()))
}
