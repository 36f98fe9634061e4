//! `store show` and `store check`.

use orchestrator_core::port::store::StoreInfo;
use orchestrator_sqlite::Survey;
use serde_json::{Map, Value, json};

use super::kept::{Kept, Size};
use super::moving;
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
        StoreCommand::Copy(args) => moving::copy(app, args).await,
    }
}

async fn show(app: &App) -> Result<Exit, Problem> {
    let kept = Kept::current(app).await?;
    // Whoever has died is known to be dead from here on, and not told as one who uses it.
    kept.store().sweep().await?;
    let survey = kept.survey().await?;
    let size = kept.size(&survey).await?;
    let info = kept.store().describe();
    if app.output.json().is_some() {
        return shown_as_json(app, &info, kept.moved_to(), size, &survey);
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
        line("schema", &Kept::schema()),
        line("size", &told_size(size)),
        line("runs", &if runs == 0 { "none".to_owned() } else { statuses.join(", ") }),
        line("in use", &users),
    ];
    if survey.artifacts > 0 {
        let files = if survey.artifacts == 1 { "file" } else { "files" };
        let bytes = size::bytes(survey.artifact_bytes);
        let text = format!("{} {files} of large values; {bytes}", size::count(survey.artifacts));
        lines.insert(4, line("beside", &text));
    }
    if let Some(target) = kept.moved_to() {
        lines.push(line("moved", &format!("to {}: it is only looked at here", escape::line(target))));
    }
    lines.push(String::new());
    app.output.print(&lines.join("\n"))?;
    let rows = survey.tables.iter().map(|(table, count)| vec![(*table).to_owned(), size::count(*count)]);
    app.output.table(&["TABLE", "ROWS"], rows.collect())?;
    Ok(Exit::Ok)
}

fn told_size(size: Size) -> String {
    let bytes = size::bytes(size.bytes);
    match size.of_file {
        Some(file) => {
            format!("{bytes}; {} free; {} in the log", size::bytes(file.free), size::bytes(file.log))
        }
        None => bytes,
    }
}

fn shown_as_json(
    app: &App,
    info: &StoreInfo,
    moved_to: Option<&str>,
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
        "schema": Kept::schema(),
        "moved_to": moved_to,
        "bytes": size.bytes,
        "free_bytes": size.of_file.map(|file| file.free),
        "log_bytes": size.of_file.map(|file| file.log),
        "artifacts": survey.artifacts,
        "artifact_bytes": survey.artifact_bytes,
        "processes": survey.alive,
        "runs": runs,
        "tables": tables,
    }))?;
    Ok(Exit::Ok)
}

async fn check(app: &App) -> Result<Exit, Problem> {
    let kept = Kept::as_it_is(app).await?;
    kept.pending().await?;
    let damage = kept.damage().await?;
    let mut faults: Vec<Item> = damage.into_iter().map(|fault| Item::at_path("", "damaged", fault)).collect();
    // Where pages are damaged, rows say nothing.
    if faults.is_empty() {
        faults.extend(kept.faults().await?.into_iter().map(|fault| Item::at_path("", "inconsistent", fault)));
    }
    let place = kept.place();
    if !faults.is_empty() {
        let title = format!("{place} is not whole");
        let problem = Problem::new(Exit::Unavailable, "store_corrupt", title).items(faults);
        return Err(problem.hint(kept.first_aid()));
    }
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "ok": true, "location": place }))?;
    } else {
        let mark = app.output.out().mark("ok");
        app.output.print(&format!("{mark} {}: whole; every log fits its run", escape::line(&place)))?;
    }
    Ok(Exit::Ok)
}
