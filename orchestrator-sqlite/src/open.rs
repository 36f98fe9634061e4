//! Where a database is, and how its connections are opened.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orchestrator_core::port::store::StoreError;
use orchestrator_sql::Options;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use crate::error;

/// How long a reader waits for one of the connections that read.
const READER: Duration = Duration::from_secs(30);

/// How long it takes until a database that is being made is opened once more.
const AGAIN: Duration = Duration::from_millis(5);

/// How many texts a connection keeps prepared.
const PREPARED: usize = 64;

/// How long a page is, in bytes: SQLite's default, which nothing here changes.
const PAGE: u64 = 4096;

/// The oldest library that is used: earlier ones can corrupt a database in WAL mode when a checkpoint meets a writer
/// of another process.
const OLDEST: (u32, u32, u32) = (3, 51, 3);

/// The path that a location names.
pub(crate) fn path_of(location: &str) -> Result<PathBuf, StoreError> {
    let path =
        location.strip_prefix("sqlite:").map_or(location, |path| path.strip_prefix("//").unwrap_or(path));
    if path.is_empty() {
        return Err(StoreError::Invalid(format!("`{location}` names no file: write sqlite:PATH")));
    }
    if path.starts_with(":memory:") || path.contains("mode=memory") {
        return Err(StoreError::Invalid(
            "SQLite in memory keeps nothing and cannot be shared: use the memory store, or name a file"
                .to_owned(),
        ));
    }
    if path.contains('\0') {
        return Err(StoreError::Invalid("a path cannot hold a NUL character".to_owned()));
    }
    // An absolute path: SQLite takes a relative one that begins with `file:` for a URL.
    std::path::absolute(path).map_err(|error| cannot(Path::new(path), "use", &error))
}

/// Makes the folder and the file if they are not there: for their owner alone. The file is made only where there is
/// none, never opened otherwise: closing a file that SQLite has open in this process would drop its locks.
pub(crate) fn prepare(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(StoreError::Invalid(format!("{} is a folder: name a file in it", path.display())));
        }
        Ok(found) if found.len() > 0 => return Ok(()),
        // Whoever has made it may not have synced its folder yet.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot(path, "open", &error)),
    }
    if let Some(parent) = path.parent() {
        lasting_folder(parent).map_err(|error| cannot(parent, "make", &error))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot(path, "make", &error)),
    }
}

/// A folder for its owner alone, and the folders above it that are missing.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// As [`private_folder`], and a loss of power does not take it.
pub(crate) fn lasting_folder(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists()).count();
    private_folder(path)?;
    // At least one: somebody else may have made the folder just now.
    for above in path.ancestors().skip(1).take(missing.max(1)) {
        // One that may not be read has been there before.
        if let Ok(above) = File::open(above) {
            above.sync_all()?;
        }
    }
    Ok(())
}

pub(crate) fn cannot(path: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {what} {}: {error}", path.display()))
}

/// The options of every connection, on top of those that say where the database is.
pub(crate) fn options(base: SqliteConnectOptions, asked: &Options) -> SqliteConnectOptions {
    let count = AtomicU64::new(0);
    base.journal_mode(SqliteJournalMode::Wal)
        .synchronous(if asked.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
        .busy_timeout(asked.busy_timeout)
        .foreign_keys(false)
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", (asked.log_limit / PAGE).max(1).to_string())
        .statement_cache_capacity(PREPARED)
        .row_buffer_size(1024)
        .thread_name(move |_| format!("orc-sqlite-{}", count.fetch_add(1, Ordering::Relaxed)))
        .disable_statement_logging()
}

/// The first connection. Those who make a database at the same moment all want to turn on its log, and there SQLite waits
/// for nobody, whatever its timeout: it is asked again until that is over.
pub(crate) async fn patiently(
    options: &SqliteConnectOptions,
    patience: Duration,
) -> sqlx::Result<SqliteConnection> {
    let begun = Instant::now();
    loop {
        match options.connect().await {
            Err(error)
                if matches!(error::of_read(&error), StoreError::Busy) && begun.elapsed() < patience =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}

/// A pool that opens connections when they are needed, and keeps them.
pub(crate) fn pool(options: SqliteConnectOptions, connections: u32) -> SqlitePool {
    let pool = SqlitePoolOptions::new();
    #[cfg(feature = "failpoints")]
    let pool = pool.after_connect(|connection, _| Box::pin(crate::points::set(connection)));
    pool.min_connections(0)
        .max_connections(connections)
        .acquire_timeout(READER)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options)
}

/// The pool for reading.
pub(crate) fn readers(options: SqliteConnectOptions, asked: &Options) -> SqlitePool {
    pool(options, asked.readers.max(1))
}

/// Makes sure that the definitions of our tables can be read, and gives the version of the library. The driver does not
/// survive one that is no text, and takes the end of its thread for the end of the rows: nothing would be told.
pub(crate) async fn look(connection: &mut SqliteConnection) -> Result<String, StoreError> {
    // All of them are written in letters that every code has.
    let query = "SELECT sqlite_version(), EXISTS (SELECT 1 FROM sqlite_schema WHERE name GLOB 'orchestrator_*' \
                 AND sql GLOB '*[^' || char(9, 10) || ' -~]*')";
    let answer: Result<(String, bool), _> = sqlx::query_as(query).fetch_one(connection).await;
    match answer.map_err(|error| error::of_read(&error))? {
        (_, true) => Err(StoreError::Corrupt("the definition of a table is damaged".to_owned())),
        (version, false) => Ok(version),
    }
}

/// The version of the SQLite library in use, whatever store there may be.
///
/// # Errors
/// None in practice: no file is touched.
pub async fn library_version() -> Result<String, StoreError> {
    let failed = |error: sqlx::Error| StoreError::Unavailable(error.to_string());
    let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.map_err(failed)?;
    sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.map_err(failed)
}

/// Refuses a library that is too old.
pub(crate) fn require_library(version: &str) -> Result<(), StoreError> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let found = (next(), next(), next());
    if found >= OLDEST {
        return Ok(());
    }
    let (major, minor, patch) = OLDEST;
    Err(StoreError::Incompatible(format!(
        "the SQLite library is {version}, and {major}.{minor}.{patch} is the oldest that is safe: build with the \
         bundled library"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        prepare(&path).unwrap();
        let asked = Options::default();
        let pool = readers(options(SqliteConnectOptions::new().filename(&path), &asked), &asked);
        for (pragma, expected) in [("journal_mode", "wal"), ("synchronous", "2"), ("trusted_schema", "0")] {
            let query = sqlx::AssertSqlSafe(format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}"));
            let found: String = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
            assert_eq!(found, expected, "{pragma}");
        }
    }

    #[tokio::test]
    async fn whoever_opens_what_another_makes_waits_as_long_as_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let base =
            SqliteConnectOptions::new().filename(folder.path().join("state.db")).create_if_missing(true);
        let mut maker = base.clone().journal_mode(SqliteJournalMode::Delete).connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut maker).await.unwrap();
        let asked = Options::default().busy_timeout(Duration::from_millis(200));
        let options = options(base, &asked);
        let begun = Instant::now();
        let refused = patiently(&options, asked.busy_timeout).await.unwrap_err();
        assert!(matches!(error::of_read(&refused), StoreError::Busy), "{refused}");
        assert!(begun.elapsed() >= asked.busy_timeout, "it was not waited for");
        sqlx::query("ROLLBACK").execute(&mut maker).await.unwrap();
        patiently(&options, asked.busy_timeout).await.unwrap();
    }

    #[test]
    fn a_location_is_a_path_with_or_without_a_scheme() {
        for location in ["/tmp/a b.db", "sqlite:/tmp/a b.db", "sqlite:///tmp/a b.db"] {
            assert_eq!(path_of(location).unwrap(), Path::new("/tmp/a b.db"));
        }
        assert!(path_of("sqlite:x.db").unwrap().is_absolute());
        for location in
            ["", "sqlite:", "sqlite://", "sqlite::memory:", ":memory:", "sqlite:x?mode=memory", "a\0b"]
        {
            assert!(matches!(path_of(location), Err(StoreError::Invalid(_))), "{location}");
        }
    }

    #[test]
    fn libraries_that_can_corrupt_are_refused() {
        for old in ["3.51.2", "3.50.9", "2.99.99", "x"] {
            assert!(matches!(require_library(old), Err(StoreError::Incompatible(_))), "{old}");
        }
        for new in ["3.51.3", "3.52.0", "4.0.0"] {
            require_library(new).unwrap();
        }
    }
}
