//! `backup` and `restore`.

use std::path::Path;

use orchestrator_core::port::store::StoreError;
use orchestrator_sqlite::upkeep;
use serde_json::json;

use super::place::Place;
use crate::app::App;
use crate::args::{Backup, Restore};
use crate::exit::Exit;
use crate::output::{Problem, escape, size};
use crate::shell::quoted;
use crate::store;

pub(crate) async fn backup(app: &App, args: &Backup) -> Result<Exit, Problem> {
    let place = Place::existing(app)?;
    refuse_existing(&args.file, args.force)?;
    // A store that is damaged, or of a version that is not known, is refused before it is copied.
    let opened = place.as_it_is().await?;
    opened.pending().await?;
    let bytes =
        upkeep::backup(&place.location, &args.file, args.force).await.map_err(|error| of_copy(&error))?;
    let next = format!("restore {} --force", quoted(&args.file.display().to_string()));
    told(app, &args.file, bytes, &next, true)
}

pub(crate) async fn restore(app: &App, args: &Restore) -> Result<Exit, Problem> {
    let place = Place::of(app)?;
    if !args.file.exists() {
        let title = format!("there is no file {}", args.file.display());
        return Err(Problem::new(Exit::NotFound, "file_not_found", title));
    }
    refuse_existing(&place.path, args.force)?;
    if let Some(folder) = place.path.parent()
        && folder == app.settings.place.folder()
        && !folder.exists()
    {
        crate::commands::init::make_place(folder)?;
    }
    let restored = upkeep::restore(&args.file, &place.location, args.force).await;
    let bytes = restored.map_err(|error| match error {
        StoreError::Busy => {
            let title = format!("someone has {} open", place.path.display());
            Problem::new(Exit::Conflict, "store_in_use", title)
                .hint("end the commands that use it, and try again")
        }
        other => of_copy(&other),
    })?;
    told(app, &place.path, bytes, "doctor", false)
}

/// A file that exists is kept unless it is meant to go.
fn refuse_existing(file: &Path, force: bool) -> Result<(), Problem> {
    if force || file.symlink_metadata().is_err() {
        return Ok(());
    }
    let title = format!("{} exists", file.display());
    Err(Problem::new(Exit::Conflict, "file_exists", title)
        .hint("--force replaces it, and what is in it is gone"))
}

/// What is wrong with a copy is wrong with a file that was named.
fn of_copy(error: &StoreError) -> Problem {
    match error {
        StoreError::Invalid(why) => Problem::new(Exit::Usage, "invalid_backup", why.clone()),
        StoreError::Corrupt(why) => {
            Problem::new(Exit::Unavailable, "backup_corrupt", format!("the backup is not whole: {why}"))
        }
        other => store::of_error(other),
    }
}

fn told(app: &App, file: &Path, bytes: u64, next: &str, is_copy: bool) -> Result<Exit, Problem> {
    let artifacts = upkeep::artifacts_of(file).map(|folder| folder.display().to_string());
    let file = file.display().to_string();
    if app.output.json().is_some() {
        app.output
            .print_json(&json!({ "file": file, "bytes": bytes, "artifacts": artifacts, "verified": true }))?;
        return Ok(Exit::Ok);
    }
    app.output.print(&format!("{}: written and verified ({})", escape::line(&file), size::bytes(bytes)))?;
    if is_copy && let Some(folder) = artifacts {
        // Whoever carries the file elsewhere must know.
        app.output.print(&format!("its large values are in {}: keep both", escape::line(&folder)))?;
    }
    app.output.note(&format!("  {}", app.shell.command(next)));
    Ok(Exit::Ok)
}
