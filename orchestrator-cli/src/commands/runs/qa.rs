//! `runs qa`: whether what a step gave is good enough.

use std::sync::Arc;

use orchestrator_core::engine::{CommandError, Engine, Waiting};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Command, Judge, Rejection};
use orchestrator_core::value::Digest;
use serde_json::json;

use crate::app::{App, no_run};
use crate::args::Qa;
use crate::commands::runs::steer::{finish, next_command, prepare, refused};
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::style::Tint;
use crate::output::{Problem, block, escape};

pub(super) async fn carry_out(app: &App, args: &Qa) -> Result<Exit, Problem> {
    let digest = args.digest.as_deref().map(str::parse::<Digest>).transpose();
    let digest = digest.map_err(|error| Problem::new(Exit::Usage, "usage", format!("--digest: {error}")))?;
    let (engine, run) = prepare(app, &args.run.run).await?;
    let result = judge(app, &engine, run, args, digest).await;
    finish(app, &engine, result).await
}

async fn judge(
    app: &App,
    engine: &Engine,
    run: RunId,
    args: &Qa,
    digest: Option<Digest>,
) -> Result<Exit, Problem> {
    let report = engine.outline(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let step = find::step(&Names::from(&report), &args.step)?;
    let is_meant = |waiting: &&Waiting| waiting.run == run && waiting.ix == step && waiting.kind == "qa";
    let waiting: Option<&Waiting> = report.waiting_for.iter().find(is_meant);
    if let Some(waiting) = waiting.filter(|_| app.output.json().is_none()) {
        for line in block::question(waiting, app.output.err()) {
            app.output.note(&line);
        }
    }
    let digest = digest.or_else(|| waiting.and_then(|waiting| waiting.digest));
    let asked = app.asked(args.comment.as_deref());
    let command = Command::Judge(Judge { step, digest, passed: args.pass, asked, via: Arc::from("cli") });
    let receipt = engine.command(run, command).await.map_err(|error| not_judged(app, run, args, error))?;
    let next = if receipt.driven { None } else { next_command(app, engine, run).await? };
    if app.output.json().is_some() {
        app.output.print_json(&json!({
            "run_id": run,
            "step": waiting.map(|waiting| waiting.step.clone()),
            "item": step.item(),
            "passed": args.pass,
            "digest": digest,
            "by": app.asked(None).by,
            "comment": args.comment,
            "seq": receipt.seq,
            "driven": receipt.driven,
            "next": next,
        }))?;
        return Ok(Exit::Ok);
    }
    let (mark, word) = if args.pass { ("approved", "passed") } else { ("rejected", "not passed") };
    let style = app.output.out();
    let name = style.tint(Tint::Strong, &escape::line(&args.step)).to_string();
    app.output.print(&format!("{} {name} {word}", style.mark(mark)))?;
    if let Some(next) = next {
        app.output.note(&format!("next: {next}"));
    }
    Ok(Exit::Ok)
}

fn not_judged(app: &App, run: RunId, args: &Qa, error: CommandError) -> Problem {
    match &error {
        CommandError::Rejected(Rejection::WrongState { state, .. }) => {
            let title = format!("{run}: the step `{}` is {state}: there is nothing to judge", args.step);
            Problem::new(Exit::Conflict, "wrong_state", title).tries(app.shell.runs("show", run))
        }
        _ => refused(app, run, error),
    }
}
