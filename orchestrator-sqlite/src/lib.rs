//! The embedded store: one SQLite file, durable on every commit (WAL, `synchronous=FULL`).
//!
//! [`SqliteStore::connect`] takes a path, `sqlite:PATH` or `sqlite://PATH`, makes what is missing and brings the tables
//! up to date. [`SqliteStore::from_pool`] puts the store beside a host's own tables, and [`SqliteStore::create_in`]
//! starts a run inside a host's own transaction.
//!
//! Large values are files in a folder beside it, `PATH-artifacts`: [`upkeep::backup`] copies both.
//!
//! [`SqliteStore::queue`] is a queue in the same file, for whoever executes work elsewhere.
//!
//! Several processes may use one file. It must be on a local disk: network file systems do not lock as SQLite needs it.

mod artifacts;
mod dialect;
mod error;
mod holds;
mod open;
#[cfg(feature = "failpoints")]
mod points;
pub mod upkeep;
mod watch;
mod writer;

pub use dialect::Sqlite;
pub use open::library_version;
pub use orchestrator_sql::{Copied, CopyError, CopyProgress, Options, Survey};
pub use writer::SqliteWriter;

/// A store in a SQLite file.
pub type SqliteStore = orchestrator_sql::SqlStore<Sqlite>;

/// A queue in a SQLite file: that of a store, [`SqliteStore::queue`].
pub type SqliteQueue = orchestrator_sql::SqlQueue<Sqlite>;
