//! `store copy`.

use orchestrator_core::port::store::Store as _;
use orchestrator_core::time::wall_clock;
use orchestrator_postgres::PostgresStore;
use orchestrator_sqlite::{Copied, CopyError, CopyProgress, Options};
use serde_json::json;

use super::kept::Kept;
use super::place::in_memory;
use crate::app::App;
use crate::args::CopyStore;
use crate::exit::Exit;
use crate::output::{Problem, escape, moment, size};
use crate::progress::Counter;
use crate::shell::quoted;
use crate::signals::Signals;
use crate::store::{self, Location};

/// The digits of a digest that are shown to people.
const DIGITS: usize = 12;

pub(super) async fn copy(app: &App, args: &CopyStore) -> Result<Exit, Problem> {
    let (from, to) = (Location::parse(&args.from)?, Location::parse(&args.to)?);
    if is_same(&from, &to) {
        let title = format!("{} cannot be copied into itself", store::masked(&args.from));
        return Err(Problem::new(Exit::Usage, "usage", title).hint("the order is: store copy FROM TO"));
    }
    let mut signals = Signals::catch()?;
    let from = source(from).await?;
    let to = target(app, to).await?;
    let counter = Counter::new(&app.output);
    let told = |progress: CopyProgress| {
        let what = if progress.comparing { "comparing" } else { "copying" };
        counter.set(what, progress.done, progress.all);
    };
    let copied = tokio::select! {
        copied = carry(&from, &to, &told) => copied,
        exit = signals.next() => {
            drop(counter);
            app.output.note("stopped: what was copied does not count, and copying again begins anew");
            return Ok(exit);
        }
    };
    drop(counter);
    let copied = copied.map_err(|error| refused(&error))?;
    for kept in [&from, &to] {
        kept.store().close().await?;
    }
    tell(app, (&url(&from), &url(&to)), &copied)
}

/// Whether both name one file, or one URL.
fn is_same(from: &Location, to: &Location) -> bool {
    match (from, to) {
        (Location::Sqlite(one), Location::Sqlite(other)) => {
            one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().ok() == Some(one))
        }
        _ => from == to,
    }
}

/// How both are opened. Whatever the settings say of others, here one store must be on the disk before the other is
/// changed.
fn options() -> Options {
    Options::default()
}

/// The store that moves, with tables of this version.
async fn source(place: Location) -> Result<Kept, Problem> {
    if let Location::Sqlite(path) = &place
        && !path.exists()
    {
        let title = format!("there is no store at {}", path.display());
        let problem = Problem::new(Exit::NotFound, "store_not_found", title);
        return Err(problem.hint("the order is: store copy FROM TO"));
    }
    let kept = Kept::at(place, options()).await?;
    kept.migrate().await?;
    Ok(kept)
}

/// The store that it moves into, with tables as they are, if there are any.
async fn target(app: &App, place: Location) -> Result<Kept, Problem> {
    match place {
        Location::Memory => Err(in_memory()),
        Location::Sqlite(path) => {
            store::make_folder(&path, &app.settings)?;
            Kept::at(Location::Sqlite(path), options()).await
        }
        Location::Postgres(url) => Ok(Kept::Postgres(PostgresStore::open(&url, options().as_it_is()).await?)),
    }
}

async fn carry(
    from: &Kept,
    to: &Kept,
    told: &(dyn Fn(CopyProgress) + Send + Sync),
) -> Result<Vec<Copied>, CopyError> {
    match (from, to) {
        (Kept::Sqlite { store: from, .. }, Kept::Sqlite { store: to, .. }) => from.copy_to(to, told).await,
        (Kept::Sqlite { store: from, .. }, Kept::Postgres(to)) => from.copy_to(to, told).await,
        (Kept::Postgres(from), Kept::Sqlite { store: to, .. }) => from.copy_to(to, told).await,
        (Kept::Postgres(from), Kept::Postgres(to)) => from.copy_to(to, told).await,
    }
}

/// How a store is named on the command line, without a password.
fn url(kept: &Kept) -> String {
    match kept {
        Kept::Sqlite { path, .. } => format!("sqlite:{path}"),
        Kept::Postgres(store) => store.describe().location,
    }
}

fn refused(error: &CopyError) -> Problem {
    let conflict = |code| Problem::new(Exit::Conflict, code, error.to_string());
    match error {
        CopyError::Itself { .. } => Problem::new(Exit::Usage, "usage", error.to_string()),
        CopyError::InUse { owner, .. } => {
            let dead = moment::relative(owner.deadline, wall_clock());
            conflict("store_in_use")
                .detail(format!("whoever is gone without a word counts as dead when its time is over: {dead}"))
                .hint(
                    "end a process with Ctrl-C, or let what it drives rest with `orchestrator runs pause`; end a claim with \
                     `orchestrator task complete` or `orchestrator task release`; then copy again",
                )
        }
        CopyError::Moved { to, .. } => conflict("store_moved").tries(format!("--store {}", quoted(to))),
        CopyError::Unfinished { source_url, place } => conflict("store_unfinished").tries(format!(
            "orchestrator store copy {} {}",
            quoted(source_url),
            quoted(place)
        )),
        CopyError::NotEmpty { .. } => {
            conflict("store_not_empty").hint("copy into a new one; the order is: store copy FROM TO")
        }
        CopyError::Differs { .. } => Problem::new(Exit::Unavailable, "copy_differs", error.to_string())
            .detail("the source is as it was, and the copy is refused by every command")
            .hint("something changes what is written there: a trigger, a rule, a disk"),
        CopyError::Store { place, error } => store::of_error(error).detail(format!("it is {place}")),
        _ => Problem::new(Exit::Unavailable, "store_failed", error.to_string()),
    }
}

fn tell(app: &App, (from, to): (&str, &str), copied: &[Copied]) -> Result<Exit, Problem> {
    let rows: u64 = copied.iter().map(|table| table.rows).sum();
    if app.output.json().is_some() {
        let tables: Vec<_> = copied
            .iter()
            .map(|copied| {
                json!({ "table": copied.table, "rows": copied.rows, "digest": copied.digest.to_string() })
            })
            .collect();
        app.output.print_json(
            &json!({ "from": from, "to": to, "rows": rows, "tables": tables, "verified": true }),
        )?;
        return Ok(Exit::Ok);
    }
    let lines = copied.iter().map(|copied| {
        let digest = copied.digest.to_string();
        let digits = digest.trim_start_matches("sha256:").chars().take(DIGITS).collect();
        vec![copied.table.to_owned(), size::count(copied.rows), digits]
    });
    app.output.table(&["TABLE", "ROWS", "SHA-256"], lines.collect())?;
    app.output.print(&format!(
        "\nmoved to {}: {} rows, each table the same in both stores",
        escape::line(to),
        size::count(rows)
    ))?;
    app.output.note(&format!(
        "  {} is only looked at from now on; name the new one where it was named:",
        escape::line(from)
    ));
    app.output.note(&format!("  store = \"{}\"", escape::line(to)));
    Ok(Exit::Ok)
}
