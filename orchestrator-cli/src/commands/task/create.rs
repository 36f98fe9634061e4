//! `task create`.

use orchestrator_core::engine::{NewTask, TaskBrief};
use serde_json::Value;

use crate::app::App;
use crate::args::CreateTask;
use crate::commands::task::found::{duration, refused};
use crate::commands::task::list;
use crate::exit::Exit;
use crate::inputs::{content, pairs};
use crate::output::{Problem, escape};
use crate::store::Access;
use crate::{find, user};

pub(crate) async fn carry_out(app: &App, args: CreateTask) -> Result<Exit, Problem> {
    let mut new = read(&args)?;
    let store = app.store_to_drive(Access::Create).await?;
    for named in &args.after {
        new.depends_on.push(find::run(&store, named, &app.shell).await?);
    }
    let engine = app.engine(store.clone(), &app.cwd).await?;
    let made = engine.create_task(new).await.map_err(|error| refused(app, error));
    // Nobody need wait for whoever claims it.
    engine.stop(app.settings.grace()).await;
    let run = made?.id();
    let shape = list::shape(&store, run).await?;
    // What was wrong with it shows when it is rendered.
    if shape.item.status == "failed" {
        return Err(Problem::new(Exit::Invalid, "invalid_input", shape.item.error.unwrap_or_default()));
    }
    if app.output.json().is_some() {
        app.output.print_json(&shape)?;
        return Ok(Exit::Ok);
    }
    app.output.print(&format!("{run}: {}", escape::line(&shape.item.title)))?;
    if let Some(why) = &shape.item.why {
        app.output.note(&format!("it cannot be claimed yet: {}", escape::line(why)));
    }
    app.output.note(&format!("to claim it: {}", app.shell.command(&format!("task claim {run}"))));
    Ok(Exit::Ok)
}

fn read(args: &CreateTask) -> Result<NewTask, Problem> {
    let mut new = NewTask::new(args.title.clone());
    if args.title.trim().is_empty() {
        return Err(Problem::new(Exit::Invalid, "invalid_input", "a task needs a title"));
    }
    if let Some(prompt) = &args.prompt {
        new.prompt = content("--prompt", prompt)?;
    }
    if let Some(data) = &args.data {
        new.data = json("--data", data)?;
    }
    new.claim_ttl = duration("--claim-ttl", &args.claim_ttl)?;
    TaskBrief::check_ttl(new.claim_ttl)
        .map_err(|why| Problem::new(Exit::Usage, "usage", format!("--claim-ttl: {why}")))?;
    new.deadline = args.deadline.as_deref().map(|text| duration("--deadline", text)).transpose()?;
    new.labels = pairs("--label", &args.labels)?;
    new.requires = pairs("--requires", &args.requires)?;
    (new.kind, new.priority, new.attempts) = (args.kind, args.priority, args.attempts);
    (new.reads, new.writes) = (args.reads.clone(), args.writes.clone());
    (new.workspace, new.queue) = (args.workspace.clone(), args.queue.clone());
    (new.by, new.key) = (user::name(), args.key.as_deref().map(Into::into));
    Ok(new)
}

/// JSON that a flag gives, or a file.
pub(super) fn json(flag: &str, text: &str) -> Result<Value, Problem> {
    let text = content(flag, text)?;
    serde_json::from_str(&text)
        .map_err(|error| Problem::new(Exit::Invalid, "invalid_input", format!("{flag} is not JSON: {error}")))
}
