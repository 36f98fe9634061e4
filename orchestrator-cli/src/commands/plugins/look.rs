//! `plugins list` and `plugins schema`.

use std::sync::Arc;

use orchestrator_core::engine::Registry;
use orchestrator_core::port::plugin::Plugin;
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::output::{Problem, escape, suggest};
use crate::outside::Outside;

pub(super) fn list(app: &App) -> Result<Exit, Problem> {
    let plugins = app.plugins()?;
    let outside = app.outside();
    if app.output.json().is_some() {
        let items: Vec<Value> = plugins.iter().map(|plugin| shape(&**plugin, outside)).collect();
        app.output.print_json(&json!({ "items": items, "next": null }))?;
        return Ok(Exit::Ok);
    }
    let row = |plugin: &Arc<dyn Plugin>| {
        let mut row = vec![plugin.kind().to_owned(), escape::line(plugin.summary()).into_owned()];
        // Told only where there is something to tell.
        if !outside.brought.is_empty() {
            row.push(escape::line(outside.program_of(plugin.kind()).unwrap_or_default()).into_owned());
        }
        row
    };
    let heads = ["KIND", "WHAT IT DOES", "FROM"];
    let heads = if outside.brought.is_empty() { &heads[..2] } else { &heads[..] };
    app.output.table(heads, plugins.iter().map(row).collect())?;
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
    let plugins = app.plugins()?;
    let plugin = find(&plugins, kind)?;
    if app.output.json().is_some() {
        app.output.print_json(&shape(&**plugin, app.outside()))?;
        return Ok(Exit::Ok);
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let style = app.output.out();
    let from = app.outside().program_of(kind).map(|program| format!("\nfrom {}", escape::line(program)));
    let from = from.unwrap_or_default();
    let head = |text| style.tint(crate::output::style::Tint::Strong, text).to_string();
    app.output.print(&format!(
        "{}: {}{from}\n\n{}\n{}\n\n{}\n{}",
        head(plugin.kind()),
        escape::line(plugin.summary()),
        head("with:"),
        pretty(plugin.config_schema()),
        head("output:"),
        pretty(plugin.output_schema())
    ))?;
    Ok(Exit::Ok)
}

fn shape(plugin: &dyn Plugin, outside: &Outside) -> Value {
    json!({
        "kind": plugin.kind(),
        "summary": plugin.summary(),
        "from": outside.program_of(plugin.kind()),
        "effect": plugin.effect_class(&json!({})),
        "config_schema": plugin.config_schema(),
        "output_schema": plugin.output_schema(),
    })
}
