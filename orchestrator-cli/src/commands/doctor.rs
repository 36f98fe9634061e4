//! `doctor`: is anything broken, and what does every open run wait for?

use std::path::PathBuf;
use std::sync::Arc;

use orchestrator_core::engine::{paused_queues, read_report, read_schedules, stranded};
use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{DocumentQuery, RunQuery, RunRow, Store, StoreError};
use orchestrator_core::time::Timestamp;
use orchestrator_plugins::SandboxReport;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::commands::queue::count_dead as queue_dead;
use crate::commands::version::{VERSION, durability};
use crate::commands::worker;
use crate::exit::Exit;
use crate::output::scheduled;
use crate::output::style::Tint;
use crate::output::{Problem, escape, suggest};
use crate::secrets;
use crate::settings::KEYS;
use crate::shell::quoted;
use crate::situation::{self, Situation};
use crate::store::{self, Access, Location};
use crate::workflow::{self, counted};

/// Programs that steps may call: name, and what is amiss without it.
const TOOLS: [(&str, &str); 3] = [
    ("bash", "`run:` steps without `shell:` cannot run"),
    ("python3", "steps with `shell: python3` cannot run"),
    ("git", "steps that read repositories cannot run"),
];

/// Variables that are ours but no settings: those that scripts see, and those of this program.
const OTHER_VARIABLES: [&str; 9] = [
    "ORCHESTRATOR_CONFIG",
    "ORCHESTRATOR_LOG",
    "ORCHESTRATOR_RUN_ID",
    "ORCHESTRATOR_STEP_ID",
    "ORCHESTRATOR_ATTEMPT",
    "ORCHESTRATOR_IDEMPOTENCY_KEY",
    "ORCHESTRATOR_FENCING_TOKEN",
    "ORCHESTRATOR_FEEDBACK",
    "ORCHESTRATOR_OUTPUT",
];

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    /// `ok`, `warn` or `failed`.
    status: &'static str,
    text: String,
    hint: Option<String>,
}

/// An open run.
#[derive(Debug, Serialize)]
struct OpenRun {
    run_id: RunId,
    workflow: Arc<str>,
    status: Arc<str>,
    #[serde(flatten)]
    situation: Situation,
}

impl Check {
    fn new(name: &'static str, status: &'static str, text: impl Into<String>) -> Self {
        Self { name, status, text: text.into(), hint: None }
    }

    fn of(name: &'static str, problem: &Problem) -> Self {
        Self { hint: problem.way_out().map(str::to_owned), ..Self::new(name, "failed", problem.title()) }
    }
}

pub(crate) async fn carry_out(app: &App) -> Result<Exit, Problem> {
    let mut checks = vec![Check::new("program", "ok", format!("orchestrator {VERSION}"))];
    checks.extend(configuration(app));
    let opened = look_at_store(app, &mut checks).await;
    checks.extend(look_at_bell(app).await);
    checks.extend(plugins(app));
    checks.push(secrets_file(app).await);
    checks.extend(TOOLS.iter().map(|(tool, without)| match found(tool) {
        Some(path) => Check::new("tool", "ok", format!("{tool}: {}", path.display())),
        None => Check::new("tool", "warn", format!("{tool}: not found; {without}")),
    }));
    checks.push(sandbox());
    let runs = match opened {
        Some(store) => {
            let runs = open_runs(app, &store, &mut checks).await;
            let found = schedules(app, &store).await;
            checks.extend(found.unwrap_or_else(|problem| vec![Check::of("schedules", &problem)]));
            let found = queues(app, &store).await;
            checks.extend(found.unwrap_or_else(|problem| vec![Check::of("queues", &problem)]));
            // Only what `sweep` says about the dead was written.
            let _ = store.close().await;
            runs.unwrap_or_else(|problem| {
                checks.push(Check::of("runs", &problem));
                Vec::new()
            })
        }
        None => Vec::new(),
    };
    let exit = if checks.iter().any(|check| check.status == "failed") { Exit::Failed } else { Exit::Ok };
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "ok": exit == Exit::Ok, "checks": checks, "runs": runs }))?;
    } else {
        tell(app, &checks, &runs)?;
    }
    Ok(exit)
}

/// The kinds of steps there are: those of this program, then those of each executable, which is started and asked.
fn plugins(app: &App) -> Vec<Check> {
    let kinds: Vec<String> = workflow::builtin().iter().map(|plugin| plugin.kind().to_owned()).collect();
    let mut checks = vec![Check::new("plugins", "ok", kinds.join(", "))];
    let outside = app.outside();
    for brought in outside.brought.chunk_by(|one, next| one.program == next.program) {
        let kinds: Vec<&str> = brought.iter().map(|brought| brought.plugin.kind()).collect();
        let text = format!("{}: {}", kinds.join(", "), brought[0].program);
        checks.push(Check::new("plugin", "ok", text));
    }
    checks.extend(outside.refused().iter().map(|problem| Check::of("plugin", problem)));
    checks
}

/// Whether scripts can be confined here.
fn sandbox() -> Check {
    let report = SandboxReport::of_this_machine();
    let landlock = match report.landlock {
        0 => "no Landlock".to_owned(),
        version => format!("Landlock {version}"),
    };
    let seccomp = if report.seccomp { "seccomp" } else { "no seccomp" };
    let store = match (report.available, report.hides) {
        (true, true) => "; the store is hidden by a mount",
        (true, false) => "; scripts make nothing new directly beside the store",
        (false, _) => "",
    };
    let text = format!("{landlock}, {seccomp}{store}");
    if report.available {
        return Check::new("sandbox", "ok", text);
    }
    let mut check = Check::new("sandbox", "warn", format!("{text}: scripts are refused"));
    check.hint = Some("they need Linux 6.12 or newer, with both, or `sandbox: none` on each step".to_owned());
    check
}

fn configuration(app: &App) -> Vec<Check> {
    let mut checks = Vec::new();
    match (&app.broken_settings, &app.settings.file) {
        (Some(problem), _) => checks.push(Check::of("config", problem)),
        (None, Some(path)) => checks.push(Check::new("config", "ok", path.display().to_string())),
        (None, None) => {
            checks.push(Check::new("config", "ok", "no file; defaults, environment and flags hold"));
        }
    }
    let known = || KEYS.iter().map(|key| key.env).chain(OTHER_VARIABLES);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_secret = name.starts_with(app.settings.secrets_prefix());
        if name.starts_with("ORCHESTRATOR_") && !is_secret && !known().any(|known| known == name) {
            let mut check =
                Check::new("config", "warn", format!("the variable {} means nothing", escape::line(&name)));
            check.hint = suggest::nearest(&name, known()).map(|near| format!("did you mean {near}?"));
            checks.push(check);
        }
    }
    checks
}

/// The bell: whether it answers, and whether something was buried. Everything works without it.
async fn look_at_bell(app: &App) -> Option<Check> {
    let bell = match app.bell() {
        Ok(bell) => bell?,
        Err(problem) => return Some(Check::of("bell", &problem)),
    };
    let place = bell.describe().location;
    let (counts, is_more) = match queue_dead(&*bell).await {
        Ok(found) => found,
        Err(error) => {
            let hint = "runs go on without it; what is rung for is found in the store, a little later";
            let check = Check::new("bell", "warn", error.to_string());
            return Some(Check { hint: Some(hint.to_owned()), ..check });
        }
    };
    let dead: u64 = counts.values().sum();
    if dead == 0 {
        return Some(Check::new("bell", "ok", place));
    }
    let more = if is_more { " and more" } else { "" };
    let text =
        format!("{place}: {}{more}", counted(usize::try_from(dead).unwrap_or(usize::MAX), "dead letter"));
    let hint = Some(app.shell.command("queue dead list"));
    Some(Check { hint, ..Check::new("bell", "warn", text) })
}

/// The file of secrets; no value of it is looked at.
async fn secrets_file(app: &App) -> Check {
    let path = app.settings.secrets_file();
    match secrets::file(path).await {
        None => Check::new("secrets", "ok", format!("no file {}", path.display())),
        Some(Ok(())) => Check::new("secrets", "ok", path.display().to_string()),
        Some(Err(why)) => Check::new("secrets", "failed", why),
    }
}

async fn look_at_store(app: &App, checks: &mut Vec<Check>) -> Option<Arc<dyn Store>> {
    let url = &app.settings.store().value;
    if let Ok(Location::Sqlite(path)) = Location::parse(url)
        && !path.exists()
    {
        checks.push(Check::new(
            "store",
            "ok",
            format!("{}: none yet; the first run makes it", path.display()),
        ));
        return None;
    }
    let store = match store::open(&app.settings, Access::Existing).await {
        Ok(store) => store,
        // Its runs go on elsewhere: none of them is open here.
        Err(problem) if problem.exit() == Exit::Conflict => {
            checks.push(Check { status: "warn", ..Check::of("store", &problem) });
            return None;
        }
        Err(problem) if problem.exit() == Exit::NotFound => {
            let text = format!("{}; the first run makes it", problem.title());
            checks.push(Check::new("store", "ok", text));
            return None;
        }
        Err(problem) => {
            checks.push(Check::of("store", &problem));
            return None;
        }
    };
    let info = store.describe();
    let text = format!("{} {} at {}; {}", info.kind, info.version, info.location, durability(&info));
    checks.push(Check::new("store", if info.durable || info.kind == "memory" { "ok" } else { "warn" }, text));
    if let Err(error) = store.health().await {
        checks.push(Check::of("store", &store::of_error(&error)));
    }
    Some(store)
}

/// A run that has not ended, with what it waits for.
async fn open_run(
    app: &App,
    store: &Arc<dyn Store>,
    row: &RunRow,
    now: Timestamp,
    checks: &mut Vec<Check>,
) -> Result<Option<OpenRun>, StoreError> {
    if let Some(why) = stranded(&**store, row.run).await? {
        let text = format!("{} is stranded: {why}", row.run);
        let hint = Some(app.shell.runs("resume", row.run));
        checks.push(Check { hint, ..Check::new("run", "failed", text) });
    }
    for why in store.inbox(row.run).await?.unreadable {
        let hint = Some(app.shell.command("store check"));
        checks.push(Check { hint, ..Check::new("run", "failed", why) });
    }
    // What carries out a step of another run is told with that one.
    if row.new.parent.is_some() {
        return Ok(None);
    }
    let driver = situation::driver(store, row, now).await?;
    let Some(report) = read_report(&**store, row.run).await? else { return Ok(None) };
    let situation = situation::of(row, driver.as_ref(), &report, now, &app.shell);
    Ok(situation.map(|situation| OpenRun {
        run_id: row.run,
        workflow: row.new.workflow.clone(),
        status: row.status.clone(),
        situation,
    }))
}

/// Every run that has not ended, with what it waits for.
async fn open_runs(
    app: &App,
    store: &Arc<dyn Store>,
    checks: &mut Vec<Check>,
) -> Result<Vec<OpenRun>, Problem> {
    // The dead are known to be dead from here on, so that nobody is told to wait for them.
    store.sweep().await?;
    let now = store.now().await?;
    let mut runs = Vec::new();
    let mut after = None;
    let mut looked_at = 0;
    loop {
        let page = store.list_runs(RunQuery { open: true, after, limit: 500, ..RunQuery::default() }).await?;
        for row in &page.items {
            looked_at += 1;
            match open_run(app, store, row, now, checks).await {
                Ok(run) => runs.extend(run),
                // The others are told of all the same.
                Err(StoreError::Corrupt(why)) => {
                    let text = format!("{} cannot be read: {why}", row.run);
                    let hint = Some(app.shell.command("store check"));
                    checks.push(Check { hint, ..Check::new("run", "failed", text) });
                }
                Err(error) => return Err(store::of_error(&error)),
            }
        }
        after = page.items.last().map(|row| row.run);
        if !page.more || after.is_none() {
            let none = "each is driven, waits for something named, or is due";
            if looked_at > 0 && !checks.iter().any(|check| check.name == "run") {
                checks.push(Check::new("runs", "ok", format!("{looked_at} open; {none}")));
            }
            return Ok(runs);
        }
    }
}

/// The schedules: which of them start no runs, and whether anybody is there who does.
async fn schedules(app: &App, store: &Arc<dyn Store>) -> Result<Vec<Check>, Problem> {
    let (mut checks, mut active, mut after) = (Vec::new(), 0, None);
    loop {
        let query = DocumentQuery { after, limit: 500, ..DocumentQuery::default() };
        let page = read_schedules(&**store, query).await?;
        for stored in &page.items {
            active += usize::from(stored.next.is_some());
            if let (false, Some(failing)) = (stored.paused, &stored.past.last_error) {
                let text = format!("{} could not start its run: {}", stored.name, failing.message);
                let show = app.shell.command(&format!("schedule show {}", quoted(&stored.name)));
                checks.push(Check { hint: Some(show), ..Check::new("schedule", "failed", text) });
            } else if scheduled::status(stored) == "over" {
                let text = format!("{} has no time left: it never starts a run", stored.name);
                checks.push(Check::new("schedule", "warn", text));
            }
        }
        after = page.items.last().map(|row| (row.project.to_string(), row.name.to_string()));
        if !page.more {
            break;
        }
    }
    if active > 0 && !worker::has_worker(store).await {
        let text = format!("{} active, and no worker starts their runs", counted(active, "schedule"));
        let hint = Some(app.shell.command("worker"));
        checks.push(Check { hint, ..Check::new("schedules", "warn", text) });
    } else if active > 0 {
        checks.push(Check::new("schedules", "ok", format!("{} active", counted(active, "schedule"))));
    }
    Ok(checks)
}

/// The queues that are paused.
async fn queues(app: &App, store: &Arc<dyn Store>) -> Result<Vec<Check>, Problem> {
    let paused = paused_queues(&**store).await?.into_iter().map(|paused| {
        let hint = app.shell.resume_queue(&paused.queue);
        Check { hint: Some(hint), ..Check::new("queue", "warn", paused.told()) }
    });
    Ok(paused.collect())
}

fn tell(app: &App, checks: &[Check], runs: &[OpenRun]) -> Result<(), Problem> {
    let style = app.output.out();
    let mut lines = Vec::new();
    for check in checks {
        lines.push(format!("{} {:<8} {}", style.mark(check.status), check.name, escape::line(&check.text)));
        if let Some(hint) = &check.hint {
            lines.push(format!("           {}", escape::line(hint)));
        }
    }
    lines.push(String::new());
    if runs.is_empty() {
        lines.push("no run is open".to_owned());
    } else {
        lines.push(format!("{} open:", counted(runs.len(), "run")));
    }
    for run in runs {
        let mark = style.mark(if run.situation.needs_someone { "waiting" } else { "running" });
        let workflow = escape::line(&run.workflow).into_owned();
        lines.push(format!("{mark} {} {}", style.tint(Tint::Strong, &workflow), run.situation.text));
        lines.push(format!("  {}", run.situation.command));
    }
    app.output.print(&lines.join("\n"))
}

/// Where a program is, if the search path leads to it.
fn found(tool: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(tool)).find(|path| path.is_file())
}
