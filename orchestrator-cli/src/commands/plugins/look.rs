//! `plugins list` and `plugins schema`.

use std::sync::Arc;

use orchestrator_core::engine::Registry;
use orchestrator_core::port::plugin::Plugin;
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::output::{Problem, suggest};
use crate::workflow;

pub(super) fn list(app: &App) -> Result<Exit, Problem> {
    let plugins = workflow::plugins();
    if app.output.json().is_some() {
        let items: Vec<Value> = plugins.iter().map(|plugin| shape(&**plugin)).collect();
        app.output.print_json(&json!({ "items": items, "next": null }))?;
        return Ok(Exit::Ok);
    }
    let rows =
        plugins.iter().map(|plugin| vec![plugin.kind().to_owned(), plugin.summary().to_owned()]).collect();
    app.output.table(&["KIND", "WHAT IT DOES"], rows)?;
    app.output.note(&format!("\nwhat one takes and gives: {}", app.shell.command("plugins schema KIND")));
    Ok(Exit::Ok)
}

/// The plugin of a kind.
///
/// # Errors
/// Exit 4 if there is none.
pub(super) fn find<'r>(plugins: &'r Registry, kind: &str) -> Result<&'r Arc<dyn Plugin>, Problem> {
    plugins.get(kind).ok_or_else(|| {
        let problem =
            Problem::new(Exit::NotFound, "plugin_not_found", format!("there is no kind of step `{kind}`"));
        let kinds = || plugins.iter().map(|plugin| plugin.kind());
        match suggest::nearest(kind, kinds()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("kinds are {}", kinds().collect::<Vec<_>>().join(", "))),
        }
    })
}

pub(super) fn schema(app: &App, kind: &str) -> Result<Exit, Problem> {
    let plugins = workflow::plugins();
    let plugin = find(&plugins, kind)?;
    if app.output.json().is_some() {
        app.output.print_json(&shape(&**plugin))?;
        return Ok(Exit::Ok);
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let style = app.output.out();
    let head = |text| style.tint(crate::output::style::Tint::Strong, text).to_string();
    app.output.print(&format!(
        "{}: {}\n\n{}\n{}\n\n{}\n{}",
        head(plugin.kind()),
        plugin.summary(),
        head("with:"),
        pretty(plugin.config_schema()),
        head("output:"),
        pretty(plugin.output_schema())
    ))?;
    Ok(Exit::Ok)
}

fn shape(plugin: &dyn Plugin) -> Value {
    json!({
        "kind": plugin.kind(),
        "summary": plugin.summary(),
        "effect": plugin.effect_class(&json!({})),
        "config_schema": plugin.config_schema(),
        "output_schema": plugin.output_schema(),
    })
}
