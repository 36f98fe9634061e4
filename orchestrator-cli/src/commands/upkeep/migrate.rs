//! `migrate`.

use orchestrator_core::port::store::Store;
use orchestrator_sqlite::SqliteStore;
use serde_json::json;

use super::place::Place;
use crate::app::App;
use crate::exit::Exit;
use crate::output::{Problem, escape};

pub(crate) async fn migrate(app: &App) -> Result<Exit, Problem> {
    let place = Place::existing(app)?;
    let store = place.as_it_is().await?;
    let pending = store.pending().await?;
    store.migrate().await?;
    store.close().await?;
    let schema = SqliteStore::migrations().pop().unwrap_or_default();
    let path = place.path.display().to_string();
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "location": path, "schema": schema, "applied": pending }))?;
        return Ok(Exit::Ok);
    }
    let path = escape::line(&path);
    app.output.print(&if pending.is_empty() {
        format!("{path}: up to date (schema {schema})")
    } else {
        format!("{path}: brought up to date (schema {schema}; applied {})", pending.join(", "))
    })?;
    Ok(Exit::Ok)
}
