//! `graph`: draws a workflow, or a run of one.

use std::io;
use std::path::Path;

use orchestrator_core::engine::RunReport;
use orchestrator_core::spec::Workflow;
use rustix::termios::tcgetwinsize;

use crate::app::{App, Book, no_run};
use crate::args::{DrawGraph, GraphFormat};
use crate::exit::Exit;
use crate::graph::{self, Graph};
use crate::output::{Problem, escape};
use crate::{find, workflow};

/// How wide text is drawn where there is no terminal.
const WIDTH: usize = 100;

pub(crate) async fn carry_out(app: &App, args: &DrawGraph) -> Result<Exit, Problem> {
    if app.output.json().is_some() {
        let title = "a picture is no JSON";
        return Err(Problem::new(Exit::Usage, "usage", title).tries("orchestrator plan FILE --json"));
    }
    let drawn = match (&args.file, &args.run) {
        (_, Some(named)) => of_run(app, named).await?,
        (Some(file), None) => {
            let loaded = workflow::load(file, &app.plugins()?)?;
            for warning in &loaded.warnings {
                app.output.note(warning.to_human(app.output.err()).trim_end());
            }
            graph::of_workflow(&loaded.workflow)
        }
        // The parser of the arguments asks for one of the two.
        (None, None) => return Err(Problem::new(Exit::Usage, "usage", "neither a file nor a run is named")),
    };
    let format =
        args.format.or_else(|| args.output.as_deref().and_then(by_name)).unwrap_or(GraphFormat::Text);
    let text = match format {
        GraphFormat::Text => text(app, &drawn, args.output.is_some()),
        GraphFormat::Mermaid => graph::mermaid(&drawn),
        GraphFormat::Dot => graph::dot(&drawn),
        GraphFormat::Svg => graph::svg(&drawn),
    };
    match &args.output {
        Some(path) => {
            write(path, &text)?;
            app.output.note(&format!("wrote {}", escape::line(&path.display().to_string())));
        }
        None => app.output.print(text.trim_end_matches('\n'))?,
    }
    Ok(Exit::Ok)
}

/// A run with the workflow that it is pinned to, whatever has become of the file.
async fn of_run(app: &App, named: &str) -> Result<Graph, Problem> {
    let book = Book::open(app).await?;
    let run = find::run(&book.store, named, &app.shell).await?;
    let report = book.report(run).await?;
    let workflow = pinned(&book, &report).await?;
    Ok(graph::of_run(&workflow, &report, book.store.now().await?))
}

/// The workflow that a run is pinned to.
pub(crate) async fn pinned(book: &Book, report: &RunReport) -> Result<Workflow, Problem> {
    let row = book.store.run(report.run_id).await?.ok_or_else(|| no_run(&report.run_id.to_string()))?;
    let gone =
        |why: String| Problem::new(Exit::Unavailable, "store_corrupt", why).tries("orchestrator doctor");
    let text = book.store.revision(row.new.revision).await?;
    let text = text.ok_or_else(|| gone(format!("revision {} is gone", row.new.revision)))?;
    orchestrator_core::spec::parse_stored(&text, &row.new.workflow)
        .map_err(|_| gone(format!("revision {} does not read", row.new.revision)))
}

fn text(app: &App, drawn: &Graph, to_file: bool) -> String {
    let width =
        tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
    let width = width.or_else(columns).unwrap_or(WIDTH);
    let style = if to_file { app.output.out().without_colour() } else { *app.output.out() };
    graph::text(drawn, width, &style)
}

/// What `COLUMNS` says, for those who send the picture on.
fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| (1..=1_000).contains(columns))
}

fn by_name(path: &Path) -> Option<GraphFormat> {
    match path.extension()?.to_str()? {
        "svg" => Some(GraphFormat::Svg),
        "dot" | "gv" => Some(GraphFormat::Dot),
        "mmd" | "mermaid" => Some(GraphFormat::Mermaid),
        "txt" => Some(GraphFormat::Text),
        _ => None,
    }
}

/// Writes a file that the user has named; one that is there is replaced.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Problem> {
    std::fs::write(path, text).map_err(|error| {
        let name = path.display().to_string();
        let exit =
            if error.kind() == io::ErrorKind::PermissionDenied { Exit::Denied } else { Exit::Unavailable };
        Problem::new(exit, "output_failed", format!("cannot write {}: {error}", escape::line(&name)))
    })
}
