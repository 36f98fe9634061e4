//! `store show` and `store check`.

use orchestrator_core::port::store::{Store, StoreInfo};
use orchestrator_sqlite::upkeep::{self, Size};
use orchestrator_sqlite::{SqliteStore, Survey};
use serde_json::{Map, Value, json};

use super::place::Place;
use crate::app::App;
use crate::args::StoreCommand;
use crate::commands::version::durability;
use crate::exit::Exit;
use crate::output::style::Tint;
use crate::output::{Item, Problem, escape, size};

pub(crate) async fn store(app: &App, command: &StoreCommand) -> Result<Exit, Problem> {
    match command {
        StoreCommand::Show => show(app).await,
        StoreCommand::Check => check(app).await,
    }
}

async fn show(app: &App) -> Result<Exit, Problem> {
    let place = Place::existing(app)?;
    let store = place.current().await?;
    // Whoever has died is known to be dead from here on, and not told as one who uses it.
    store.sweep().await?;
    let survey = store.survey().await?;
    let size = upkeep::size(&place.location).await?;
    let info = store.describe();
    let schema = SqliteStore::migrations().pop().unwrap_or_default();
    if app.output.json().is_some() {
        return shown_as_json(app, &info, &schema, size, &survey);
    }
    let style = app.output.out();
    let line = |name: &str, text: &str| format!("{} {text}", style.tint(Tint::Dim, &format!("{name:<8}")));
    let statuses: Vec<String> = survey
        .statuses
        .iter()
        .map(|(status, count)| format!("{} {}", size::count(*count), style.status(status)))
        .collect();
    let runs: u64 = survey.statuses.iter().map(|(_, count)| count).sum();
    let users = match survey.alive {
        0 => "by nobody".to_owned(),
        1 => "by 1 process".to_owned(),
        several => format!("by {several} processes"),
    };
    let mut lines = vec![
        line("store", &escape::line(&info.location)),
        line("kind", &format!("{} {}; {}", info.kind, info.version, durability(&info))),
        line("schema", &schema),
        line(
            "size",
            &format!(
                "{}; {} free; {} in the log",
                size::bytes(size.file),
                size::bytes(size.free),
                size::bytes(size.log)
            ),
        ),
        line("runs", &if runs == 0 { "none".to_owned() } else { statuses.join(", ") }),
        line("in use", &users),
    ];
    if survey.artifacts > 0 {
        let files = if survey.artifacts == 1 { "file" } else { "files" };
        let bytes = size::bytes(survey.artifact_bytes);
        let text = format!("{} {files} of large values; {bytes}", size::count(survey.artifacts));
        lines.insert(4, line("beside", &text));
    }
    lines.push(String::new());
    app.output.print(&lines.join("\n"))?;
    let rows = survey.tables.iter().map(|(table, count)| vec![(*table).to_owned(), size::count(*count)]);
    app.output.table(&["TABLE", "ROWS"], rows.collect())?;
    Ok(Exit::Ok)
}

fn shown_as_json(
    app: &App,
    info: &StoreInfo,
    schema: &str,
    size: Size,
    survey: &Survey,
) -> Result<Exit, Problem> {
    let runs: Map<String, Value> =
        survey.statuses.iter().map(|(status, count)| (status.clone(), Value::from(*count))).collect();
    let tables: Map<String, Value> =
        survey.tables.iter().map(|(table, count)| ((*table).to_owned(), Value::from(*count))).collect();
    app.output.print_json(&json!({
        "kind": info.kind,
        "location": info.location,
        "version": info.version,
        "durable": info.durable,
        "schema": schema,
        "bytes": size.file,
        "free_bytes": size.free,
        "log_bytes": size.log,
        "artifacts": survey.artifacts,
        "artifact_bytes": survey.artifact_bytes,
        "processes": survey.alive,
        "runs": runs,
        "tables": tables,
    }))?;
    Ok(Exit::Ok)
}

async fn check(app: &App) -> Result<Exit, Problem> {
    let place = Place::existing(app)?;
    let store = place.as_it_is().await?;
    store.pending().await?;
    let damage = upkeep::damage(&place.location).await?;
    let mut faults: Vec<Item> = damage.into_iter().map(|fault| Item::at_path("", "damaged", fault)).collect();
    // Where pages are damaged, rows say nothing.
    if faults.is_empty() {
        faults
            .extend(store.faults().await?.into_iter().map(|fault| Item::at_path("", "inconsistent", fault)));
    }
    let path = place.path.display().to_string();
    if !faults.is_empty() {
        let title = format!("{path} is not whole");
        let problem = Problem::new(Exit::Unavailable, "store_corrupt", title).items(faults);
        return Err(problem.hint("copy the file before anything else; `orchestrator restore` takes a backup"));
    }
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "ok": true, "location": path }))?;
    } else {
        let mark = app.output.out().mark("ok");
        app.output.print(&format!("{mark} {}: whole; every log fits its run", escape::line(&path)))?;
    }
    Ok(Exit::Ok)
}
