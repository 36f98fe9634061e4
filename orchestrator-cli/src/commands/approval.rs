//! `approval …`: what waits for a person's word.

use std::sync::Arc;

use orchestrator_core::engine::{Engine, RunReport, Waiting};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Command, Decide};
use orchestrator_core::port::store::{ApprovalQuery, ApprovalRow};
use orchestrator_core::value::Digest;
use serde_json::json;

use crate::app::{App, no_run};
use crate::args::{ApprovalCommand, Decision, ListApprovals};
use crate::commands::runs::steer::{finish, prepare, refused};
use crate::exit::Exit;
use crate::names::Names;
use crate::output::shapes::{ApprovalItem, ListShape};
use crate::output::style::Tint;
use crate::output::{Problem, block, escape, moment};
use crate::{find, situation};

pub(crate) async fn carry_out(app: &App, command: ApprovalCommand) -> Result<Exit, Problem> {
    match command {
        ApprovalCommand::List(args) => list(app, &args).await,
        ApprovalCommand::Approve(args) => decide(app, &args, true).await,
        ApprovalCommand::Reject(args) => decide(app, &args, false).await,
    }
}

async fn list(app: &App, args: &ListApprovals) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let run = match &args.run {
        Some(run) => Some(find::run(&store, run, &app.shell).await?),
        None => None,
    };
    let query =
        ApprovalQuery { run, open: !args.all, limit: usize::from(args.limit), ..ApprovalQuery::default() };
    let page = store.approvals(query).await?;
    if app.output.json().is_some() {
        let items = page.items.iter().map(ApprovalItem::from).collect();
        app.output.print_json(&ListShape { items, next: None })?;
        return Ok(Exit::Ok);
    }
    if page.items.is_empty() {
        app.output.note(if args.all { "no approvals" } else { "nothing waits for approval" });
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let rows = page.items.iter().map(|row| {
        let about = match (&row.by, row.expires_at) {
            (Some(by), _) => format!("by {}", escape::line(by)),
            (None, Some(until)) if row.status == "open" => {
                format!("expires {}", moment::relative(until, now))
            }
            _ => String::new(),
        };
        vec![
            row.run.to_string(),
            escape::line(&row.unit_name()).into_owned(),
            row.status.to_owned(),
            moment::relative(row.asked_at, now),
            block::first_line(&row.message),
            about,
        ]
    });
    app.output.table(&["RUN", "STEP", "STATUS", "ASKED", "QUESTION", ""], rows.collect())?;
    if let Some(first) = page.items.iter().find(|row| row.status == "open") {
        app.output.note(&format!("\n{}", app.shell.approval("approve", first.run, &first.unit_name())));
    }
    Ok(Exit::Ok)
}

async fn decide(app: &App, args: &Decision, approved: bool) -> Result<Exit, Problem> {
    let digest = match args.digest.as_deref().map(str::parse::<Digest>) {
        Some(Err(error)) => return Err(Problem::new(Exit::Usage, "usage", format!("--digest: {error}"))),
        Some(Ok(digest)) => Some(digest),
        None => None,
    };
    let (engine, run) = prepare(app, &args.run.run).await?;
    let result = decide_on(app, &engine, run, args, digest, approved).await;
    finish(app, &engine, result).await
}

async fn decide_on(
    app: &App,
    engine: &Engine,
    run: RunId,
    args: &Decision,
    digest: Option<Digest>,
    approved: bool,
) -> Result<Exit, Problem> {
    let report = engine.outline(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let waiting = choose(app, engine, &report, args.step.as_deref()).await?;
    if app.output.json().is_none() {
        for line in block::question(waiting, app.output.err()) {
            app.output.note(&line);
        }
    }
    let command = Command::Decide(Decide {
        step: waiting.ix,
        digest: digest.or(waiting.digest),
        approved,
        asked: app.asked(args.comment.as_deref()),
        via: Arc::from("cli"),
    });
    let run = waiting.run;
    let receipt = engine.command(run, command).await.map_err(|error| refused(app, run, error))?;
    // Whoever carries out a step goes on with the run that somebody has started.
    let parent = engine.store().run(run).await?.and_then(|row| row.new.parent);
    let root = parent.map_or(run, |parent| parent.root);
    let next = (!receipt.driven).then(|| app.shell.runs("resume", root));
    if app.output.json().is_some() {
        app.output.print_json(&json!({
            "run_id": run,
            "step": waiting.step,
            "item": waiting.item,
            "approved": approved,
            "digest": waiting.digest,
            "by": app.asked(None).by,
            "comment": args.comment,
            "seq": receipt.seq,
            "driven": receipt.driven,
            "next": next,
        }))?;
        return Ok(Exit::Ok);
    }
    let word = if approved { "approved" } else { "rejected" };
    let style = app.output.out();
    app.output.print(&format!(
        "{} {} {word}",
        style.mark(word),
        style.tint(Tint::Strong, &escape::line(&waiting.name()))
    ))?;
    if let Some(next) = next {
        app.output.note("  nobody drives the run; go on with it:");
        app.output.note(&format!("  {next}"));
    }
    Ok(Exit::Ok)
}

/// The open approval that is meant.
async fn choose<'a>(
    app: &App,
    engine: &Engine,
    report: &'a RunReport,
    named: Option<&str>,
) -> Result<&'a Waiting, Problem> {
    let mut open: Vec<&Waiting> =
        report.waiting_for.iter().filter(|waiting| waiting.kind == "approval").collect();
    if let Some(name) = named {
        // A step of the run itself is meant wherever it has one of this name, also if that does not wait.
        match find::step(&Names::from(report), name) {
            Ok(step) => open.retain(|waiting| waiting.run == report.run_id && waiting.ix == step),
            Err(unknown) => {
                open.retain(|waiting| waiting.name() == name);
                if open.is_empty() {
                    return Err(unknown);
                }
            }
        }
    }
    match open.as_slice() {
        [] => Err(not_open(app, engine, report, named).await?),
        [waiting] => Ok(waiting),
        several => {
            let names: Vec<String> = several.iter().map(|waiting| waiting.name()).collect();
            let title = format!("several steps of the run wait for approval: {}", names.join(", "));
            Err(Problem::new(Exit::Usage, "several_open", title).tries(app.shell.approval(
                "approve",
                several[0].run,
                &names[0],
            )))
        }
    }
}

/// Why there is nothing to decide.
async fn not_open(
    app: &App,
    engine: &Engine,
    report: &RunReport,
    step: Option<&str>,
) -> Result<Problem, Problem> {
    let run = report.run_id;
    let query = ApprovalQuery { run: Some(run), limit: 1_000, ..ApprovalQuery::default() };
    let known = engine.store().approvals(query).await?.items;
    let latest = known
        .iter()
        .filter(|row| step.is_none_or(|step| step == row.unit_name()))
        .max_by_key(|row| row.decided_at);
    let title = match (latest, step) {
        (Some(row), _) if row.status != "open" => settled(row),
        _ if report.has_ended() => format!("the run has already {}", report.status),
        (_, Some(step)) => format!("the step `{step}` does not wait for approval"),
        (_, None) => "no step of the run waits for approval".to_owned(),
    };
    let problem = Problem::new(Exit::Conflict, "approval_not_open", format!("{run}: {title}"));
    let store = engine.store();
    let Some(row) = store.run(run).await? else { return Ok(problem) };
    let now = store.now().await?;
    let driver = situation::driver(store, &row, now).await?;
    Ok(match situation::of(&row, driver.as_ref(), report, now, &app.shell) {
        Some(situation) => problem.tries(situation.command),
        None => problem.tries(app.shell.runs("show", run)),
    })
}

fn settled(row: &ApprovalRow) -> String {
    let by = row.by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
    let at = row.decided_at.map_or_else(String::new, |at| format!(" at {at}"));
    format!("`{}` has already been {}{by}{at}", row.unit_name(), row.status)
}
