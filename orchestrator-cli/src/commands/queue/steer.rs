//! `queue pause` and `queue resume`.

use orchestrator_core::engine::{PauseQueue, pause_queue, resume_queue};
use orchestrator_core::id::{DocumentId, Ids as _, SystemIds};
use orchestrator_core::port::store::StoreError;
use orchestrator_core::spec::{MAX_QUEUE_NAME, is_queue_name};

use crate::app::App;
use crate::exit::Exit;
use crate::output::queued::PauseItem;
use crate::output::{Problem, escape};
use crate::user;

pub(crate) async fn pause(app: &App, name: &str) -> Result<Exit, Problem> {
    check(name)?;
    let store = app.store_to_change().await?;
    let id = DocumentId::from_uuid(SystemIds::default().uuid());
    let pause = PauseQueue { id, queue: name.into(), by: user::name() };
    let (paused, is_new) = pause_queue(&*store, pause).await.map_err(|error| told(error, name))?;
    if app.output.json().is_some() {
        app.output.print_json(&PauseItem::paused(&paused))?;
        return Ok(Exit::Ok);
    }
    let since = if is_new {
        String::new()
    } else {
        format!(" already, since {} by {}", paused.since, escape::line(&paused.by))
    };
    app.output.print(&format!("{name}: paused{since}"))?;
    app.output.note(&format!("to begin its steps again: {}", app.shell.resume_queue(name)));
    Ok(Exit::Ok)
}

pub(crate) async fn resume(app: &App, name: &str) -> Result<Exit, Problem> {
    check(name)?;
    let store = app.store_to_change().await?;
    let was = resume_queue(&*store, name).await.map_err(|error| told(error, name))?;
    if app.output.json().is_some() {
        app.output.print_json(&PauseItem::open(name))?;
        return Ok(Exit::Ok);
    }
    app.output.print(&match was {
        Some(was) => {
            format!("{name}: resumed; it was paused since {} by {}", was.since, escape::line(&was.by))
        }
        None => format!("{name}: it was not paused"),
    })?;
    Ok(Exit::Ok)
}

fn check(name: &str) -> Result<(), Problem> {
    if is_queue_name(name) {
        return Ok(());
    }
    let title = format!("`{}` cannot be the name of a queue", escape::line(name));
    let hint = format!("a name has 1 to {MAX_QUEUE_NAME} letters, digits, `_`, `-` and `.`");
    Err(Problem::new(Exit::Invalid, "invalid_name", title).hint(hint))
}

fn told(error: StoreError, name: &str) -> Problem {
    match error {
        StoreError::Busy => {
            let title = format!("somebody else keeps changing the queue `{name}`");
            Problem::new(Exit::Conflict, "queue_conflict", title).hint("try again")
        }
        error => error.into(),
    }
}
