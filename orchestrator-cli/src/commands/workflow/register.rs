//! `workflow register`.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::engine::{Synced, sync_schedules};
use orchestrator_core::id::{DocumentId, Ids, SystemIds};
use orchestrator_core::port::store::{NewRevision, Registered, RevisionRow, Store};
use orchestrator_core::spec::parse_stored;
use serde::Serialize;

use crate::app::App;
use crate::args::Register;
use crate::below::Below;
use crate::exit::Exit;
use crate::output::registered::RevisionItem;
use crate::output::shapes::ListShape;
use crate::output::style::Tint;
use crate::output::{Problem, escape};
use crate::registered::PROJECT;
use crate::shell::quoted;
use crate::store::{self, Access};
use crate::user;
use crate::workflow::{self, Loaded};

/// What became of a file.
#[derive(Debug, Serialize)]
struct RegisteredItem {
    #[serde(flatten)]
    revision: RevisionItem,
    is_new: bool,
    file: String,
    /// The schedules of its text, where they are not what they were.
    #[serde(skip_serializing_if = "Synced::is_empty")]
    schedules: Synced,
    #[serde(skip)]
    number: u64,
}

pub(crate) async fn carry_out(app: &App, args: &Register) -> Result<Exit, Problem> {
    let mut files = checked(app, args)?;
    for loaded in files.values() {
        for warning in &loaded.warnings {
            app.output.note(warning.to_human(app.output.err()).trim_end());
        }
    }
    let store = store::open(&app.settings, Access::Create).await?;
    let texts: Vec<(String, Arc<str>)> =
        files.iter().map(|(name, loaded)| (name.clone(), loaded.workflow.text.clone())).collect();
    let plugins = app.plugins()?;
    for (name, mut loaded) in std::mem::take(&mut files) {
        for (other, text) in &texts {
            loaded.know(other, text.clone());
        }
        files.insert(name, loaded.complete(&store, &plugins).await?);
    }
    let ids = SystemIds::default();
    let mut items = Vec::new();
    for (name, loaded) in &files {
        let mut item = register(app, &store, &ids, name, loaded, args.expect).await?;
        item.schedules = sync_schedules(&*store, &ids, PROJECT, name).await?;
        items.push(item);
    }
    if app.output.json().is_some() {
        app.output.print_json(&ListShape { items, next: None })?;
        return Ok(Exit::Ok);
    }
    let style = app.output.out();
    for (name, item) in files.keys().zip(&items) {
        let what = match (item.is_new, item.number) {
            (true, 1) => style.tint(Tint::Good, "registered"),
            (true, _) => style.tint(Tint::Good, "changed"),
            (false, _) => style.tint(Tint::Dim, "unchanged"),
        };
        app.output.print(&format!("{}: {what}, revision {}", escape::line(name), item.number))?;
        tell_schedules(app, &item.schedules)?;
    }
    if let ([item], Some(name)) = (items.as_slice(), files.keys().next()) {
        let verb = if item.is_new && item.number > 1 { "diff" } else { "execute" };
        let next = app.shell.command(&format!("workflow {verb} {}", quoted(name)));
        app.output.note(&format!("  {next}"));
    }
    Ok(Exit::Ok)
}

/// Reads and checks all files, before anything is written. By name.
fn checked(app: &App, args: &Register) -> Result<BTreeMap<String, Loaded>, Problem> {
    let usage = |title: String| Problem::new(Exit::Usage, "usage", title);
    for (flag, given) in [("--name", args.name.is_some()), ("--expect", args.expect.is_some())] {
        if given && args.files.len() > 1 {
            return Err(usage(format!("{flag} is for one file, and {} are given", args.files.len())));
        }
    }
    if let Some(name) = &args.name
        && !is_name(name)
    {
        let problem =
            Problem::new(Exit::Invalid, "invalid_name", format!("`{name}` cannot be the name of a workflow"));
        return Err(problem.hint("a name has 1 to 100 letters, digits, `-`, `_`, `.` and single spaces"));
    }
    let plugins = app.plugins()?;
    let mut files: BTreeMap<String, Loaded> = BTreeMap::new();
    for file in &args.files {
        let loaded = workflow::load_above(file, &plugins, Below::of_registered())?;
        let name = args.name.clone().unwrap_or_else(|| loaded.workflow.name.to_string());
        if let Some(other) =
            files.get(&name).filter(|other| other.workflow.revision != loaded.workflow.revision)
        {
            let title = format!("{} and {} are both called `{name}`", other.name, loaded.name);
            return Err(usage(title).hint("register them under different names, one by one with --name"));
        }
        files.insert(name, loaded);
    }
    Ok(files)
}

/// Whether a workflow may have this name: whatever its own `name:` may say.
fn is_name(name: &str) -> bool {
    let quoted = serde_json::Value::from(name);
    parse_stored(&format!("name: {quoted}\nsteps: {{ a: {{ uses: x }} }}\n"), "").is_ok()
}

async fn register(
    app: &App,
    store: &Arc<dyn Store>,
    ids: &SystemIds,
    name: &str,
    loaded: &Loaded,
    expected: Option<u64>,
) -> Result<RegisteredItem, Problem> {
    let new = NewRevision {
        id: DocumentId::from_uuid(ids.uuid()),
        project: PROJECT.into(),
        name: name.into(),
        revision: loaded.workflow.revision,
        text: loaded.workflow.text.clone(),
        by: user::name(),
        at: store.now().await?,
        expected,
    };
    let mut row = RevisionRow { number: 0, revision: new.revision, by: new.by.clone(), at: new.at };
    let is_new = match store.register_workflow(new).await? {
        Registered::New(number) => {
            row.number = number;
            true
        }
        Registered::Same(number) => {
            let there = store.workflow_revisions(crate::registered::query(name, Some(number + 1), 1)).await?;
            row = there.items.into_iter().next().unwrap_or(row);
            false
        }
        Registered::Stale(latest) => return Err(stale(app, name, &row, latest.as_ref(), expected)),
    };
    let revision = RevisionItem::new(PROJECT, name, &row);
    let (file, schedules) = (loaded.name.clone(), Synced::default());
    Ok(RegisteredItem { revision, is_new, file, schedules, number: row.number })
}

fn tell_schedules(app: &App, synced: &Synced) -> Result<(), Problem> {
    let all = [("created", &synced.created), ("changed", &synced.changed), ("removed", &synced.removed)];
    for (what, names) in all {
        for name in names {
            app.output.print(&format!("  schedule {}: {what}", escape::line(name)))?;
        }
    }
    Ok(())
}

fn stale(
    app: &App,
    name: &str,
    given: &RevisionRow,
    latest: Option<&RevisionRow>,
    expected: Option<u64>,
) -> Problem {
    let expected = expected.unwrap_or_default();
    let Some(latest) = latest else {
        let title = format!("there is no `{name}` yet, and revision {expected} was expected");
        return Problem::new(Exit::Conflict, "spec_conflict", title).hint("--expect 0 registers a new name");
    };
    let title = if expected == 0 {
        format!("there is a `{name}` already, with another text")
    } else {
        format!("the latest revision of `{name}` is {}, not {expected}", latest.number)
    };
    Problem::new(Exit::Conflict, "spec_conflict", title)
        .detail(format!("registered: {}\ngiven:      {}", latest.revision, given.revision))
        .tries(app.shell.command(&format!("workflow show {}", quoted(name))))
}
