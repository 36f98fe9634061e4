//! The store for fleets: a PostgreSQL database, durable on every commit.
//!
//! [`PostgresStore::connect`] takes a URL, `postgres://USER@HOST/DATABASE`, and makes its tables, which stand beside
//! those of others: their names begin with `orchestrator_`. [`PostgresStore::from_pool`] puts the store beside a host's
//! own tables, and [`PostgresStore::create_in`] starts a run inside a host's own transaction.
//!
//! PostgreSQL 14 or later, with the encoding UTF8. A server that acknowledges commits before they are on the disk
//! (`synchronous_commit = off`, `fsync = off`) is refused, unless [`Options::relaxed`] asks for that; so is a pooler that
//! gives every transaction another connection.
//!
//! A batch of commits is one statement, and so one round trip and one transaction: nothing is left open by a process that
//! dies or that the network loses. Processes tell each other of commits by `NOTIFY`, after them.
//!
//! [`PostgresStore::queue`] is a queue in the same database, of which many receive at once without waiting for each other.

mod bell;
mod dialect;
mod error;
mod open;
mod seal;
#[cfg(feature = "testkit")]
pub mod testkit;
mod writer;

pub use dialect::Postgres;
pub use orchestrator_sql::{Options, Survey};
pub use writer::PostgresWriter;

/// A store in a PostgreSQL database.
pub type PostgresStore = orchestrator_sql::SqlStore<Postgres>;

/// A queue in a PostgreSQL database: that of a store, [`PostgresStore::queue`].
pub type PostgresQueue = orchestrator_sql::SqlQueue<Postgres>;
