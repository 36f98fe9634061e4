//! `config show`: what is in force, and why.

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::output::{Problem, escape};
use crate::settings::Origin;
use crate::shell::quoted;
use crate::store::masked;

pub(crate) fn show(app: &App) -> Result<Exit, Problem> {
    let settings = &app.settings;
    if app.output.json().is_some() {
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
        let file = settings.file.as_ref().map(|path| path.display().to_string());
        let folder = settings.place.exists().then(|| settings.place.folder().display().to_string());
        let plugins: Vec<_> = settings
            .plugins()
            .iter()
            .map(|plugin| json!({ "command": plugin.command, "env": plugin.env, "place": plugin.place }))
            .collect();
        app.output
            .print_json(&json!({ "settings": values, "plugins": plugins, "file": file, "folder": folder }))?;
        return Ok(Exit::Ok);
    }
    let mut rows: Vec<Vec<String>> = settings
        .iter()
        .map(|(key, sourced)| {
            let value = masked(&sourced.value);
            vec![
                key.name.to_owned(),
                escape::line(&value).into_owned(),
                sourced.origin.to_string(),
                key.env.to_owned(),
            ]
        })
        .collect();
    let plugins = settings.plugins().iter().map(|plugin| {
        let command: Vec<_> = plugin.command.iter().map(|word| quoted(word)).collect();
        vec![
            "plugins".to_owned(),
            escape::line(&command.join(" ")).into_owned(),
            plugin.place.clone(),
            String::new(),
        ]
    });
    rows.extend(plugins);
    app.output.table(&["SETTING", "VALUE", "FROM", "VARIABLE"], rows)?;
    match &settings.file {
        Some(path) => app.output.note(&format!("\nconfiguration file: {}", path.display())),
        None => app
            .output
            .note(&format!("\nconfiguration file: none (it would be {})", settings.place.config().display())),
    }
    Ok(Exit::Ok)
}
