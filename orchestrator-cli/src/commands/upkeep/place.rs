//! Where the file is that is to be copied, or replaced.

use std::path::PathBuf;

use orchestrator_core::port::store::StoreError;
use orchestrator_sqlite::{Options, SqliteStore};

use crate::app::App;
use crate::exit::Exit;
use crate::output::Problem;
use crate::store::{self, Location};

/// A SQLite file.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// The same as a store takes it.
    pub(super) location: String,
    options: Options,
}

impl Place {
    /// The place of the settings' store, whether it is there or not.
    pub(super) fn of(app: &App) -> Result<Self, Problem> {
        let path = match Location::parse(&app.settings.store().value)? {
            Location::Sqlite(path) => path,
            Location::Memory => return Err(in_memory()),
            Location::Postgres(_) => {
                let title =
                    "this command is for SQLite files; a PostgreSQL server has programs of its own for it";
                let problem = Problem::new(Exit::Usage, "not_supported_yet", title);
                return Err(
                    problem.hint("pg_dump and pg_restore copy a database, tables `orchestrator_*` and all")
                );
            }
        };
        let location = store::sqlite_url(&path)?;
        Ok(Self { path, location, options: store::options(&app.settings) })
    }

    /// The same, where it must be there.
    pub(super) fn existing(app: &App) -> Result<Self, Problem> {
        let place = Self::of(app)?;
        if place.path.exists() {
            return Ok(place);
        }
        Err(store::missing(&place.path, &app.settings.store().origin))
    }

    /// The store, with tables as they are.
    pub(super) async fn as_it_is(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.location, self.options.clone().as_it_is()).await
    }
}

/// There is nothing to be kept well.
pub(super) fn in_memory() -> Problem {
    let title = "the memory store is gone with its process: there is nothing to keep";
    Problem::new(Exit::Usage, "usage", title).tries("--store sqlite:PATH")
}
