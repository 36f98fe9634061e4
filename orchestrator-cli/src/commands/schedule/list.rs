//! `schedule list`.

use orchestrator_core::engine::{StoredSchedule, read_schedules};
use orchestrator_core::port::store::DocumentQuery;
use orchestrator_core::time::Timestamp;

use crate::app::App;
use crate::args::ListSchedules;
use crate::commands::schedule::named;
use crate::exit::Exit;
use crate::output::scheduled::{ScheduleItem, status};
use crate::output::shapes::ListShape;
use crate::output::{Problem, escape, moment};
use crate::registered::PROJECT;
use crate::shell::quoted;

pub(crate) async fn carry_out(app: &App, args: &ListSchedules) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let query = DocumentQuery {
        after: args.after.clone().map(|name| (PROJECT.to_owned(), name)),
        limit: usize::from(args.limit),
        ..named::query()
    };
    let page = read_schedules(&*store, query).await?;
    let next = page.items.last().filter(|_| page.more).map(|row| row.name.to_string());
    if app.output.json().is_some() {
        let items: Vec<ScheduleItem<'_>> = page.items.iter().map(ScheduleItem::from).collect();
        app.output.print_json(&ListShape { items, next })?;
        return Ok(Exit::Ok);
    }
    if page.items.is_empty() {
        app.output.note("there are no schedules");
        app.output.note(&format!("  {}", app.shell.command("schedule create --help")));
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let rows = page.items.iter().map(|stored| line(stored, now)).collect();
    app.output.table(&["SCHEDULE", "WORKFLOW", "STATUS", "CRON", "ZONE", "NEXT", "LAST RUN"], rows)?;
    for stored in &page.items {
        if let Some(failing) = &stored.past.last_error {
            let (name, why) = (escape::line(&stored.name), escape::line(&failing.message));
            app.output.note(&format!("{name}: {why}"));
        }
    }
    if let Some(next) = next {
        let more = app.shell.command(&format!("schedule list --after {}", quoted(&next)));
        app.output.note(&format!("\nmore: {more}"));
    }
    Ok(Exit::Ok)
}

fn line(stored: &StoredSchedule, now: Timestamp) -> Vec<String> {
    let relative = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| moment::relative(at, now));
    vec![
        escape::line(&stored.name).into_owned(),
        escape::line(&stored.schedule.workflow).into_owned(),
        status(stored).to_owned(),
        escape::line(&stored.schedule.cron).into_owned(),
        escape::line(&stored.schedule.zone).into_owned(),
        relative(stored.next),
        relative(stored.past.last_fire),
    ]
}
