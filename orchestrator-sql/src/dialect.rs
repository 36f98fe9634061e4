//! What a database must say of itself. The store never asks for its name.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::artifact::ArtifactStore;
use orchestrator_core::port::store::{StoreError, StoreInfo};
use orchestrator_core::time::Timestamp;
use sea_orm::DatabaseConnection;
use sea_orm::sea_query::{ColumnDef, ColumnType};

use crate::script::{Arg, Kind, Script, Words};

/// A kind of SQL database, and one database of that kind.
#[async_trait]
pub trait Dialect: fmt::Debug + Send + Sync + Sized + 'static {
    /// A pool of a host's.
    type Pool: Send;

    /// The database at a location: a URL, or what else this kind of database takes. Makes it if that is possible and
    /// it is not there.
    ///
    /// # Errors
    /// [`StoreError`] if there is none that could be worked with.
    async fn connect(location: &str, options: &Options) -> Result<Self, StoreError>;

    /// The database behind a host's pool.
    ///
    /// # Errors
    /// As [`Dialect::connect`].
    async fn over(pool: Self::Pool, options: &Options) -> Result<Self, StoreError>;

    /// Opens a pool of one connection for changing tables.
    ///
    /// # Errors
    /// [`StoreError`] if there is no connection to be had.
    async fn alterations(&self) -> Result<DatabaseConnection, StoreError>;

    /// How tables are made.
    const FORMS: Forms;

    /// How texts are made.
    const WORDS: Words;

    /// The database's clock as an expression, in milliseconds since 1970: what needs the time is one statement, and one
    /// journey to the database.
    const CLOCK: &'static str;

    /// Whether several connections write at the same time: then owners are kept alive by one of their own, which waits
    /// for no commit, and each queue has one as well.
    const CONCURRENT: bool = false;

    /// Whether a query in `FROM` may be one that refers to what stands before it there (`LATERAL`).
    const LATERAL: bool = false;

    /// What a query ends with that takes rows of `t`, where several connections write at the same time: those that somebody
    /// else is taking are passed over, and not waited for.
    const PASSING: &'static str = "";

    /// How many batches are written at the same time, each by a connection of its own.
    const LANES: usize = 1;

    /// What a transaction that changes tables begins with, where two could otherwise change them at the same time.
    const ALONE: Option<&'static str> = None;

    /// How others are kept from writing.
    const SEALS: Seals;

    /// An expression for the bytes that a table takes with its indexes, where the database tells that of a table.
    const WEIGHT: Option<fn(&str) -> String> = None;

    /// A connection that writes.
    type Writer: Writer;

    /// What this store is.
    fn describe(&self) -> StoreInfo;

    /// The pool for reading.
    fn reads(&self) -> &DatabaseConnection;

    /// A new connection for writing.
    async fn connect_writer(&self) -> Result<Self::Writer, StoreError>;

    /// The database's clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// As [`orchestrator_core::port::store::Store::change_mark`].
    async fn change_mark(&self) -> Result<u64, StoreError>;

    /// As [`orchestrator_core::port::store::Store::changed_since`].
    async fn changed_since(&self, seen: u64) {
        let _ = seen;
        std::future::pending::<()>().await;
    }

    /// Is told of everything written here that others may wait for.
    fn committed(&self) {}

    /// How long an answer to a reader may take, where it may never come.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// What an error of sea-orm means, while reading.
    fn explain(&self, error: &sea_orm::DbErr) -> StoreError;

    /// The texts that a query of one column gives, asked of a connection that is open and that nobody uses yet. `None`
    /// where there is none: then it is asked of [`Dialect::reads`]. What is asked while a store is opened needs no
    /// connection of its own so.
    async fn ask_ahead(&self, query: &str) -> Option<Result<Vec<String>, sea_orm::DbErr>> {
        let _ = query;
        None
    }

    /// Whether an error of sea-orm says that a table does not exist.
    fn is_missing_table(&self, error: &sea_orm::DbErr) -> bool;

    /// Holds, for as long as this process lives, whatever proves that the owner is alive.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be had.
    async fn hold(&self, owner: OwnerId) -> Result<(), StoreError>;

    /// Lets go of it; clears away what a dead owner has left of it.
    async fn let_go(&self, owner: OwnerId);

    /// Which of these owners, who are not known to be dead, can be proved to be.
    async fn proven_dead(&self, alive: HashSet<OwnerId>) -> HashSet<OwnerId>;

    /// Where large values are kept instead of the database; `None`, as it is unless said otherwise, keeps all of them
    /// in the database.
    fn artifacts(&self) -> Option<Arc<dyn ArtifactStore>> {
        None
    }

    /// Closes every connection but the writer.
    async fn close(&self);
}

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether missing tables are made and older ones brought up to date. If not, a store without them is refused.
    pub migrate: bool,
    /// Whether a store whose tables are older than this version is refused, where they are not brought up to date.
    pub require_current: bool,
    /// How long a statement waits for another process to finish writing, before it is
    /// [`orchestrator_core::port::store::Commit::Busy`].
    pub busy_timeout: Duration,
    /// How long a write-ahead log may grow, in bytes, before it is moved into the database, for databases that work so.
    /// Moving costs time, so longer is faster; but whoever opens the store first reads all of it. Default: 16 MB.
    pub log_limit: u64,
    /// How many connections read at the same time, at least 1; each is opened when it is first needed. Default: 4.
    pub readers: u32,
    /// Whether commits are on the disk when they are acknowledged. Default: true.
    pub durable: bool,
    /// How long an answer may take, where a network is in between that may lose it. What was asked is then asked again, or
    /// looked for, by another connection. Default: 5 s.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            migrate: true,
            require_current: true,
            busy_timeout: Duration::from_secs(5),
            log_limit: 16_384_000,
            readers: 4,
            durable: true,
            answer_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// The same, with tables left as they are.
    #[must_use]
    pub const fn without_migration(mut self) -> Self {
        self.migrate = false;
        self
    }

    /// The same, with tables left as they are, however old: for looking at a store before it is brought up to date.
    #[must_use]
    pub const fn as_it_is(mut self) -> Self {
        self.migrate = false;
        self.require_current = false;
        self
    }

    /// The same, with another [`Options::log_limit`].
    #[must_use]
    pub const fn log_limit(mut self, bytes: u64) -> Self {
        self.log_limit = bytes;
        self
    }

    /// The same, with another number of [`Options::readers`].
    #[must_use]
    pub const fn readers(mut self, connections: u32) -> Self {
        self.readers = connections;
        self
    }

    /// The same, with commits that are on the disk some time after they were acknowledged: a loss of power takes the
    /// last of them, whole ones, and leaves the store sound. The end of a process takes none. The store then says in
    /// [`StoreInfo::durable`] that it is so.
    #[must_use]
    pub const fn relaxed(mut self) -> Self {
        self.durable = false;
        self
    }

    /// The same, with another [`Options::answer_timeout`].
    #[must_use]
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// The same, with another [`Options::busy_timeout`].
    #[must_use]
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }
}

/// How a database wants its tables.
#[derive(Clone, Copy)]
pub struct Forms {
    /// A column with a small integer that the database gives to each row; the primary key.
    pub key: fn(&'static str) -> ColumnDef,
    /// The type for ids.
    pub id: fn() -> ColumnType,
    /// The type for texts, which are ordered by their bytes.
    pub text: fn() -> ColumnType,
    /// What ends the definition of a table whose rows are found by their primary key and may change; may be empty.
    pub clustered: &'static str,
}

/// How others are kept from writing to tables; each gives the statements that do it.
#[derive(Debug, Clone, Copy)]
pub struct Seals {
    /// What a transaction begins with beside which nobody else is to write to these tables. It may take long.
    pub alone: fn(&[&str]) -> Vec<String>,
    /// What lets nobody write to these tables from the end of the transaction on, those among them who have had them open
    /// for long. Whoever tries hears [`crate::SEALED`], as [`WriteError::Unavailable`].
    pub seal: fn(&[&str]) -> Vec<String>,
    /// What takes that back; does nothing where there is no seal.
    pub unseal: fn(&[&str]) -> Vec<String>,
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forms").field("clustered", &self.clustered).finish_non_exhaustive()
    }
}

/// A connection that writes. Used by one task at a time.
#[async_trait]
pub trait Writer: fmt::Debug + Send + 'static {
    /// Runs a text of one or more statements in one awaited call, and gives the number of rows it has written.
    ///
    /// # Errors
    /// [`WriteError`]. A transaction may then be open.
    async fn run(&mut self, script: Script) -> Result<u64, WriteError>;

    /// As [`Writer::run`], for one statement whose loss in a power cut would do no harm: it need not be on the disk when
    /// this returns. What is written after it is never there without it.
    ///
    /// # Errors
    /// As [`Writer::run`].
    async fn run_relaxed(&mut self, script: Script) -> Result<u64, WriteError> {
        self.run(script).await
    }

    /// As [`Writer::run`], while nobody else changes the runs or the documents: what the script finds to be named by none
    /// of them stays so until it has been carried out. Not for what is done often.
    ///
    /// # Errors
    /// As [`Writer::run`].
    async fn run_undisturbed(&mut self, script: Script) -> Result<u64, WriteError>;

    /// Runs one statement that gives a number for each row that it has written, and gives that of the first. As
    /// [`Writer::run_relaxed`] in all else.
    ///
    /// # Errors
    /// As [`Writer::run`].
    async fn number(&mut self, script: Script) -> Result<Option<i64>, WriteError>;

    /// Runs a text of one or more statements that are a transaction by themselves, and gives the rows that they answer
    /// with: each has columns of these kinds. As [`Writer::run_relaxed`] in all else.
    ///
    /// # Errors
    /// As [`Writer::run`].
    async fn rows(&mut self, script: Script, kinds: &'static [Kind]) -> Result<Vec<Vec<Arg>>, WriteError>;

    /// Makes sure that no transaction is open.
    ///
    /// # Errors
    /// If that is not certain: then the connection is not used again.
    async fn rollback(&mut self) -> Result<(), WriteError>;

    /// Closes the connection.
    async fn close(self);
}

/// Why writing has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Someone else was writing for too long. Nothing was written.
    #[error("busy")]
    Busy,
    /// A check did not hold: fewer rows were written than should have been. Nothing was written in the end.
    #[error("a check did not hold")]
    Refused,
    /// It is not certain whether it was written. The connection is not used again.
    #[error("uncertain: {0}")]
    Ambiguous(String),
    /// The database cannot be written now. Nothing was written.
    #[error("{0}")]
    Unavailable(String),
    /// The statement or its values are at fault. Nothing was written.
    #[error("{0}")]
    Invalid(String),
    /// The database is damaged.
    #[error("{0}")]
    Corrupt(String),
}
