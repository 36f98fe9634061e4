//! `migrate`.

use serde_json::json;

use super::kept::Kept;
use crate::app::App;
use crate::exit::Exit;
use crate::output::{Problem, escape};

pub(crate) async fn migrate(app: &App) -> Result<Exit, Problem> {
    let kept = Kept::as_it_is(app).await?;
    let pending = kept.pending().await?;
    kept.migrate().await?;
    kept.store().close().await?;
    let (place, schema) = (kept.place(), Kept::schema());
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "location": place, "schema": schema, "applied": pending }))?;
        return Ok(Exit::Ok);
    }
    let place = escape::line(&place);
    app.output.print(&if pending.is_empty() {
        format!("{place}: up to date (schema {schema})")
    } else {
        format!("{place}: brought up to date (schema {schema}; applied {})", pending.join(", "))
    })?;
    Ok(Exit::Ok)
}
