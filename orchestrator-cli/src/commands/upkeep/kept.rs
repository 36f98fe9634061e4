//! A store that is to be kept well, of either kind.

use orchestrator_core::port::store::{Store, StoreError};
use orchestrator_postgres::PostgresStore;
use orchestrator_sqlite::{Options, SqliteStore, Survey, upkeep};

use super::place::in_memory;
use crate::app::App;
use crate::output::Problem;
use crate::store::{self, Location};

/// A store.
#[derive(Debug)]
pub(super) enum Kept {
    /// A SQLite file, with the path under which it was asked for.
    Sqlite { store: SqliteStore, path: String, location: String },
    /// A PostgreSQL database.
    Postgres(PostgresStore),
}

/// How large a store is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// The file, or the tables with their indexes.
    pub(super) bytes: u64,
    /// What of it is free and what is in the log; `None` where nobody knows that of a few tables among others.
    pub(super) of_file: Option<FileSize>,
}

/// What is told of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSize {
    pub(super) free: u64,
    pub(super) log: u64,
}

impl Kept {
    /// The store of the settings, which must be there, with tables as they are.
    pub(super) async fn as_it_is(app: &App) -> Result<Self, Problem> {
        let place = Location::parse(&app.settings.store().value)?;
        if let Location::Sqlite(path) = &place
            && !path.exists()
        {
            return Err(store::missing(path, &app.settings.store().origin));
        }
        Self::at(place, store::options(&app.settings)).await
    }

    /// The same, with tables of this version.
    pub(super) async fn current(app: &App) -> Result<Self, Problem> {
        let kept = Self::as_it_is(app).await?;
        kept.migrate().await?;
        Ok(kept)
    }

    /// The same, for changing what is in it.
    pub(super) async fn to_change(app: &App) -> Result<Self, Problem> {
        let kept = Self::current(app).await?;
        store::refuse_moved(kept.moved_to())?;
        Ok(kept)
    }

    /// The store at a place, with tables as they are. A database must be there; a file is made if it is not.
    pub(super) async fn at(place: Location, options: Options) -> Result<Self, Problem> {
        match place {
            Location::Memory => Err(in_memory()),
            Location::Sqlite(path) => {
                let location = store::sqlite_url(&path)?;
                let store = SqliteStore::open(&location, options.as_it_is()).await?;
                Ok(Self::Sqlite { store, path: path.display().to_string(), location })
            }
            Location::Postgres(url) => Ok(Self::Postgres(store::existing_postgres(&url, options).await?)),
        }
    }

    /// What every store can do.
    pub(super) fn store(&self) -> &dyn Store {
        match self {
            Self::Sqlite { store, .. } => store,
            Self::Postgres(store) => store,
        }
    }

    /// Its place, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Sqlite { path, .. } => path.clone(),
            Self::Postgres(store) => store.describe().location,
        }
    }

    /// The newest version of its tables.
    pub(super) fn schema() -> String {
        SqliteStore::migrations().pop().unwrap_or_default()
    }

    pub(super) fn moved_to(&self) -> Option<&str> {
        match self {
            Self::Sqlite { store, .. } => store.moved_to(),
            Self::Postgres(store) => store.moved_to(),
        }
    }

    pub(super) async fn pending(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite { store, .. } => store.pending().await,
            Self::Postgres(store) => store.pending().await,
        }
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite { store, .. } => store.migrate().await,
            Self::Postgres(store) => store.migrate().await,
        }
    }

    pub(super) async fn survey(&self) -> Result<Survey, StoreError> {
        match self {
            Self::Sqlite { store, .. } => store.survey().await,
            Self::Postgres(store) => store.survey().await,
        }
    }

    /// What of it does not fit together.
    pub(super) async fn faults(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite { store, .. } => store.faults().await,
            Self::Postgres(store) => store.faults().await,
        }
    }

    /// What is wrong with its pages. A server looks after its own.
    pub(super) async fn damage(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite { location, .. } => upkeep::damage(location).await,
            Self::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// How large it is, without its artifacts.
    pub(super) async fn size(&self, survey: &Survey) -> Result<Size, StoreError> {
        match self {
            Self::Sqlite { location, .. } => {
                let size = upkeep::size(location).await?;
                let of_file = Some(FileSize { free: size.free, log: size.log });
                Ok(Size { bytes: size.file, of_file })
            }
            Self::Postgres(_) => Ok(Size { bytes: survey.bytes.unwrap_or_default(), of_file: None }),
        }
    }

    /// What to do first with one that is not whole.
    pub(super) const fn first_aid(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => {
                "copy the file before anything else; `orchestrator restore` takes a backup"
            }
            Self::Postgres(_) => "pg_dump it before anything else; pg_restore takes what was dumped before",
        }
    }

    /// The bytes that its file takes with its log and its artifacts; `None` where space is given back by a server.
    pub(super) async fn footprint(&self) -> Result<Option<u64>, StoreError> {
        let Self::Sqlite { location, .. } = self else { return Ok(None) };
        let size = upkeep::size(location).await?;
        Ok(Some(size.file + size.log + size.artifacts))
    }

    /// Gives space back that is not used, where nobody else does; not while somebody is writing.
    pub(super) async fn shrink(&self) -> Result<(), StoreError> {
        let Self::Sqlite { location, .. } = self else { return Ok(()) };
        match upkeep::compact(location).await {
            Err(StoreError::Busy) => Ok(()),
            done => done,
        }
    }
}
