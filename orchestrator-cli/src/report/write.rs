//! From a run to the reports that are asked for.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use orchestrator_core::engine::{RunReport, StepReport};
use orchestrator_core::port::store::{LogQuery, Store};
use orchestrator_core::spec::parse_stored;

use crate::app::App;
use crate::args::{ReportTo, Reports};
use crate::commands::write_file;
use crate::exit::Exit;
use crate::graph;
use crate::names::Names;
use crate::output::Problem;
use crate::report::{github, junit};

/// How many of the last lines of a failed step are reported.
const TAIL: usize = 30;

/// The variable in which GitHub names the file for the job's summary.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Where a workflow stands, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Its file, as the user has named it.
    pub(crate) file: Option<String>,
    /// Its text.
    pub(crate) text: Arc<str>,
}

/// What a step that has not gone well has written last.
#[derive(Debug)]
pub(crate) struct Tail<'a> {
    pub(crate) step: &'a StepReport,
    pub(crate) lines: Vec<Arc<str>>,
}

/// Refuses reports that could not be written in the end, before anything is begun.
///
/// # Errors
/// Exit 2 where there is no folder for a file.
pub(crate) fn check(reports: &Reports) -> Result<(), Problem> {
    for to in &reports.report {
        let ReportTo::Junit(path) = to else { continue };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let title = format!("--report: there is no folder {}", folder.display());
            let shown = folder.display().to_string();
            return Err(Problem::new(Exit::Usage, "usage", title)
                .tries(format!("mkdir -p {}", crate::shell::quoted(&shown))));
        }
        if path.is_dir() {
            let title = format!("--report: {} is a folder", path.display());
            return Err(Problem::new(Exit::Usage, "usage", title));
        }
    }
    Ok(())
}

/// Writes every report that is asked for; of what fails, the first problem is given.
pub(crate) async fn write(
    app: &App,
    store: &Arc<dyn Store>,
    reports: &Reports,
    report: &RunReport,
    place: &Place,
) -> Result<(), Problem> {
    if reports.report.is_empty() {
        return Ok(());
    }
    let tails = tails(store, report).await?;
    let mut first = Ok(());
    for to in &reports.report {
        let written = match to {
            ReportTo::Junit(path) => write_file(path, &junit::xml(report, &tails)),
            ReportTo::Github => tell_github(app, store, report, &tails, place).await,
        };
        first = first.and(written);
    }
    first
}

/// How a command ends that has also written reports: a report that could not be written is told, and is the command's
/// own failure only where everything else has gone well.
pub(crate) fn after(app: &App, written: Result<(), Problem>, exit: Exit) -> Result<Exit, Problem> {
    match written {
        Err(problem) if exit == Exit::Ok => Err(problem),
        Err(problem) => {
            app.output.problem(&problem);
            Ok(exit)
        }
        Ok(()) => Ok(exit),
    }
}

/// Whether a step's lines help to see what is wrong.
pub(super) fn has_gone_wrong(step: &StepReport) -> bool {
    matches!(step.status, "failed" | "outcome_unknown" | "blocked")
}

async fn tails<'a>(store: &Arc<dyn Store>, report: &'a RunReport) -> Result<Vec<Tail<'a>>, Problem> {
    let mut tails = Vec::new();
    let names = Names::from(report);
    for step in &report.steps {
        if has_gone_wrong(step) {
            let unit = names.find(&step.name());
            let query = LogQuery { run: report.run_id, step: unit, after: 0, tail: true, limit: TAIL };
            let lines = store.logs(query).await?.into_iter().map(|numbered| numbered.line.text).collect();
            tails.push(Tail { step, lines });
        }
    }
    Ok(tails)
}

async fn tell_github(
    app: &App,
    store: &Arc<dyn Store>,
    report: &RunReport,
    tails: &[Tail<'_>],
    place: &Place,
) -> Result<(), Problem> {
    for line in github::annotations(report, place) {
        // GitHub reads both streams, and stdout is for results.
        app.output.say(&line);
    }
    let Some(path) = std::env::var_os(SUMMARY).filter(|path| !path.is_empty()) else { return Ok(()) };
    let text = match &*place.text {
        "" => store.revision(report.revision).await?.unwrap_or_default(),
        _ => place.text.clone(),
    };
    let drawn = parse_stored(&text, &report.workflow).ok();
    let drawn = drawn.map(|workflow| {
        let now = report.finished_at.unwrap_or_else(orchestrator_core::time::wall_clock);
        graph::mermaid(&graph::of_run(&workflow, report, now))
    });
    append(Path::new(&path), &github::summary(report, tails, drawn.as_deref()))
}

/// A job's summary grows by what each of its commands adds.
fn append(path: &Path, text: &str) -> Result<(), Problem> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let title = format!("cannot write {} ({SUMMARY}): {error}", path.display());
        Problem::new(Exit::Unavailable, "output_failed", title)
    })
}
