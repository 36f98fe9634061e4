//! `config show`: what is in force, and why.

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::output::{Problem, escape};
use crate::settings::{Origin, ServerWay, Settings};
use crate::shell::quoted;
use crate::store::masked;

pub(crate) fn show(app: &App) -> Result<Exit, Problem> {
    if app.output.json().is_some() {
        app.output.print_json(&as_json(&app.settings))?;
        return Ok(Exit::Ok);
    }
    let settings = &app.settings;
    let row = |name: &str, value: &str, from: String, variable: &str| {
        vec![escape::line(name).into_owned(), escape::line(value).into_owned(), from, variable.to_owned()]
    };
    let values = settings
        .iter()
        .map(|(key, sourced)| row(key.name, &masked(&sourced.value), sourced.origin.to_string(), key.env));
    let plugins = settings
        .plugins()
        .iter()
        .map(|plugin| row("plugins", &words(&plugin.command), plugin.place.clone(), ""));
    let servers = settings
        .servers()
        .iter()
        .map(|server| row(&format!("mcp.{}", server.name), &way(&server.way), server.place.clone(), ""));
    let rows = values.chain(plugins).chain(servers).collect();
    app.output.table(&["SETTING", "VALUE", "FROM", "VARIABLE"], rows)?;
    match &settings.file {
        Some(path) => app.output.note(&format!("\nconfiguration file: {}", path.display())),
        None => app
            .output
            .note(&format!("\nconfiguration file: none (it would be {})", settings.place.config().display())),
    }
    Ok(Exit::Ok)
}

fn as_json(settings: &Settings) -> Value {
    let values: Map<String, Value> = settings
        .iter()
        .map(|(key, sourced)| {
            let (kind, place) = match &sourced.origin {
                Origin::Default => ("default", None),
                Origin::File(path) => ("file", Some(path.display().to_string())),
                Origin::Env(name) => ("environment", Some((*name).to_owned())),
                Origin::Flag(name) => ("flag", Some((*name).to_owned())),
            };
            let value = json!({ "value": masked(&sourced.value), "source": kind, "place": place, "env": key.env, "about": key.about });
            (key.name.to_owned(), value)
        })
        .collect();
    let plugins = settings
        .plugins()
        .iter()
        .map(|plugin| json!({ "command": plugin.command, "env": plugin.env, "place": plugin.place }));
    let servers = settings
        .servers()
        .iter()
        .map(|server| json!({ "name": server.name, "value": way(&server.way), "place": server.place }));
    json!({
        "settings": values,
        "plugins": plugins.collect::<Vec<_>>(),
        "mcp": servers.collect::<Vec<_>>(),
        "file": settings.file.as_ref().map(|path| path.display().to_string()),
        "folder": settings.place.exists().then(|| settings.place.folder().display().to_string()),
    })
}

/// How a server is spoken to, without what may be secret.
fn way(way: &ServerWay) -> String {
    match way {
        ServerWay::Command(command, _) => words(command),
        ServerWay::Url(url, _) => masked(url),
    }
}

fn words(command: &[String]) -> String {
    command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
