//! `schedule create`.

use std::sync::Arc;

use orchestrator_core::engine::StoredSchedule;
use orchestrator_core::id::{DocumentId, Ids as _, SystemIds};
use orchestrator_core::port::store::{Put, Store};
use orchestrator_core::schedule::{CronFault, MAX_SCHEDULE_NAME, Schedule, is_schedule_name};
use orchestrator_core::spec::Workflow;
use orchestrator_core::spec::inputs::{self as values, Given};
use orchestrator_core::time::Timestamp;
use serde_json::Value;

use crate::app::App;
use crate::args::CreateSchedule;
use crate::commands::worker;
use crate::exit::Exit;
use crate::output::scheduled::ScheduleItem;
use crate::output::style::Tint;
use crate::output::{Problem, escape, moment};
use crate::registered::{self, PROJECT, Which};
use crate::shell::quoted;
use crate::span::parse_duration;
use crate::{inputs, user, workflow};

pub(crate) async fn carry_out(app: &App, args: &CreateSchedule) -> Result<Exit, Problem> {
    let mut schedule = read(args)?;
    let store = app.store_to_change().await?;
    let row = registered::workflow(&store, &args.workflow, &app.shell).await?;
    let revision = registered::revision(&store, &row, &Which::Latest, &app.shell).await?;
    let text = registered::text(&store, &revision).await?;
    let place = format!("{}@{}", args.workflow, revision.number);
    let loaded = workflow::of_text(&args.workflow, &place, &text, &app.plugins()?)?;
    let now = store.now().await?;
    schedule.inputs = given(args, &loaded.workflow, &place, now)?;
    let id = DocumentId::from_uuid(SystemIds::default().uuid());
    let mut stored = StoredSchedule::new(id, PROJECT, args.name.as_str(), schedule, now)
        .map_err(|fault| invalid_cron(&fault))?;
    if args.paused {
        stored.pause();
    }
    if let Put::Stale(_) = store.put_document(stored.put(now)).await? {
        let title = format!("there is a schedule `{}` already", args.name);
        let show = app.shell.command(&format!("schedule show {}", quoted(&args.name)));
        return Err(Problem::new(Exit::Conflict, "schedule_exists", title).tries(show));
    }
    stored.number = 1;
    tell(app, &store, &stored, now).await
}

/// What the arguments say, as far as that needs no store.
fn read(args: &CreateSchedule) -> Result<Schedule, Problem> {
    if !is_schedule_name(&args.name) {
        let title = format!("`{}` cannot be the name of a schedule", escape::line(&args.name));
        let problem = Problem::new(Exit::Invalid, "invalid_name", title);
        return Err(problem.hint(format!(
            "a name has 1 to {MAX_SCHEDULE_NAME} letters, digits, `-`, `_`, `.` and single spaces"
        )));
    }
    let mut schedule = Schedule::new(args.workflow.as_str(), args.cron.trim(), args.zone.as_str());
    (schedule.missed, schedule.overlap) = (args.missed.into(), args.overlap.into());
    (schedule.time_input, schedule.by) = (args.time_input.clone(), user::name());
    if let Some(window) = &args.window {
        let wrong = |why: String| Problem::new(Exit::Usage, "usage", format!("--window: {why}"));
        schedule.set_window(Some(parse_duration(window).map_err(wrong)?));
    }
    Ok(schedule)
}

/// What the runs are given, as the values that the workflow of today declares.
fn given(
    args: &CreateSchedule,
    workflow: &Workflow,
    place: &str,
    now: Timestamp,
) -> Result<std::collections::BTreeMap<String, Value>, Problem> {
    let mut given = inputs::given(&args.inputs)?;
    if let Some(name) = &args.time_input {
        let time = Given::Value(Value::from(now.to_string()));
        if given.insert(name.clone(), time).is_some() {
            let title = format!("`-i {name}=…` and `--time-input {name}` are both given");
            return Err(Problem::new(Exit::Usage, "usage", title));
        }
    }
    let resolved = values::resolve(workflow, &given).map_err(|problems| inputs::refused(&problems, place))?;
    // Defaults are those of the revision that is started; a time is that of the run.
    let named = given.keys().filter(|name| args.time_input.as_ref() != Some(*name));
    Ok(named.filter_map(|name| Some((name.clone(), resolved.get(name)?.clone()))).collect())
}

/// An expression or a zone that is none.
pub(crate) fn invalid_cron(fault: &CronFault) -> Problem {
    Problem::new(Exit::Invalid, "invalid_cron", fault.to_string()).hint(fault.hint())
}

async fn tell(
    app: &App,
    store: &Arc<dyn Store>,
    stored: &StoredSchedule,
    now: Timestamp,
) -> Result<Exit, Problem> {
    if app.output.json().is_some() {
        app.output.print_json(&ScheduleItem::from(stored))?;
    } else {
        let name = escape::line(&stored.name).into_owned();
        let created = app.output.out().tint(Tint::Good, "created").to_string();
        app.output.print(&match stored.next {
            Some(next) => format!("{name}: {created}, first {} ({next})", moment::relative(next, now)),
            None => format!("{name}: {created}, paused"),
        })?;
    }
    if !worker::has_worker(store).await {
        app.output.note(&format!("no worker starts its runs now: {}", app.shell.command("worker")));
    }
    Ok(Exit::Ok)
}
