//! Keeping a file well: copying it while it is in use, putting a copy back, giving space back.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator_core::failpoint;
use orchestrator_core::port::store::StoreError;
use orchestrator_core::value::Digest;
use orchestrator_sql::{CHECKS, NAMED_ARTIFACTS, Options, SqlStore, is_mark};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::artifacts::{BESIDE, Folder, Missing, apart};
use crate::open::{cannot, lasting_folder, path_of};
use crate::{Sqlite, error, open};

/// The most faults of pages that are told.
const MOST: &str = "20";

/// How long a file is waited for that somebody writes to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How large a store is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Size {
    /// The file.
    pub file: u64,
    /// What was committed lately and is not in the file yet.
    pub log: u64,
    /// The part of the file that is free, and will be used again.
    pub free: u64,
    /// Large values, which are files of their own.
    pub artifacts: u64,
}

/// How large the store at a location is.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub async fn size(location: &str) -> Result<Size, StoreError> {
    let path = path_of(location)?;
    let mut connection = connect(&path).await?;
    let free: i64 = ask(
        &path,
        &mut connection,
        "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
    )
    .await?;
    leave(connection).await;
    let len = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let folder = Folder::beside(&path);
    let artifacts = apart(move || folder.all()).await?.iter().map(|artifact| artifact.len).sum();
    Ok(Size { file: len(&path), log: len(&beside(&path, "-wal")), free: free.unsigned_abs(), artifacts })
}

/// The folder with the large values of the store, or of the copy, in this file; `None` if it has none.
#[must_use]
pub fn artifacts_of(file: &Path) -> Option<PathBuf> {
    Some(beside(file, BESIDE)).filter(|folder| folder.is_dir())
}

/// Looks at every page of the file, and says what is wrong with it.
///
/// # Errors
/// [`StoreError`] if it cannot be read at all.
pub async fn damage(location: &str) -> Result<Vec<String>, StoreError> {
    let path = path_of(location)?;
    let mut connection = connect(&path).await?;
    let damage = damage_of(&path, &mut connection).await;
    leave(connection).await;
    damage
}

/// Copies the store at a location into a new file, as it is at one moment, while others go on using it; its artifacts
/// into a folder beside the file, `TARGET-artifacts`, which belongs to the copy. The copy is looked at before it gets its
/// name, and is on the disk when this returns. Gives the size of the file in bytes.
///
/// # Errors
/// [`StoreError::Invalid`] if the target cannot be one, or exists and is not to be replaced;
/// [`StoreError::Corrupt`] if the copy is not whole; [`StoreError::Unavailable`] if it cannot be written.
pub async fn backup(location: &str, target: &Path, replace: bool) -> Result<u64, StoreError> {
    let path = path_of(location)?;
    let target = free_place(target, replace)?;
    if same_file(&path, &target) {
        return Err(StoreError::Invalid(format!("{} is the store itself", target.display())));
    }
    let Some(partial) = partial(&target) else {
        return Err(StoreError::Invalid(format!("{} is no name of a file", target.display())));
    };
    let done = async {
        new_file(&partial).map_err(|error| cannot(&partial, "make", &error))?;
        let mut connection = connect(&path).await?;
        // What is named now and is gone in a moment will not be named by the copy; what others name meanwhile is too
        // young to be swept before it is copied.
        let folders = (Folder::beside(&path), Folder::beside(&target));
        carry(&folders, named(&path, &mut connection).await?, Missing::IsFine).await?;
        let copied = sqlx::query("VACUUM INTO ?").bind(text_of(&partial)?).execute(&mut connection).await;
        leave(connection).await;
        copied.map_err(|error| error::at(&partial, error::of_read(&error)))?;
        let named = verify(&partial).await?;
        carry(&folders, named.clone(), Missing::IsFault).await?;
        let bytes = publish(&partial, &target, replace)?;
        // What the copy that was replaced has left.
        let folder = folders.1;
        apart(move || folder.clear(&named.into_iter().collect(), Duration::ZERO)).await?;
        Ok(bytes)
    }
    .await;
    if done.is_err() {
        let _ = fs::remove_file(&partial);
    }
    done
}

/// Puts a copy made by [`backup`], with its artifacts, in the place of the store at a location. The copy is looked at
/// before. Gives the size of the file in bytes.
///
/// # Errors
/// [`StoreError::Busy`] if someone else has the store open; [`StoreError::Invalid`] if there is a store and it is not to
/// be replaced, or the copy is none; [`StoreError::Incompatible`] if a newer version has made the copy;
/// [`StoreError::Corrupt`] if the copy is not whole. In each case nothing has changed.
pub async fn restore(copy: &Path, location: &str, replace: bool) -> Result<u64, StoreError> {
    let path = path_of(location)?;
    let target = free_place(&path, replace)?;
    if same_file(copy, &target) {
        return Err(StoreError::Invalid(format!("{} is the store itself", copy.display())));
    }
    let log = beside(copy, "-wal");
    if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
        let why = format!("{} belongs to it: it is a store in use, not a backup", log.display());
        return Err(StoreError::Invalid(format!("{}: {why}", copy.display())));
    }
    let named = verify(copy).await?;
    let folders = (Folder::beside(copy), Folder::beside(&target));
    let (from, all) = (folders.0.clone(), named.clone());
    apart(move || from.verify(&all)).await?;
    let Some(partial) = partial(&target) else {
        return Err(StoreError::Invalid(format!("{} is no name of a file", target.display())));
    };
    let done = async {
        if let Some(folder) = target.parent() {
            lasting_folder(folder).map_err(|error| cannot(folder, "make", &error))?;
        }
        let mut from = File::open(copy).map_err(|error| cannot(copy, "open", &error))?;
        let mut into = new_file(&partial).map_err(|error| cannot(&partial, "make", &error))?;
        io::copy(&mut from, &mut into).map_err(|error| cannot(&partial, "write", &error))?;
        verify(&partial).await?;
        carry(&folders, named, Missing::IsFault).await?;
        let alone = if target.exists() { take_alone(&target).await? } else { None };
        for end in ["-wal", "-shm", "-journal"] {
            let left = beside(&target, end);
            match fs::remove_file(&left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot(&left, "remove", &error));
                }
                _ => {}
            }
        }
        let published = publish(&partial, &target, replace);
        if let Some(alone) = alone {
            leave(alone).await;
        }
        published
    }
    .await;
    if done.is_err() {
        let _ = fs::remove_file(&partial);
    }
    done
}

/// Gives the space back that the store at a location does not use. Others who write wait meanwhile; the time grows with
/// the size of the file.
///
/// # Errors
/// [`StoreError::Busy`] if others are writing; nothing has changed then.
pub async fn compact(location: &str) -> Result<(), StoreError> {
    let path = path_of(location)?;
    let mut connection = connect(&path).await?;
    let mut compacted = Ok(());
    for statement in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        if compacted.is_ok() {
            compacted = sqlx::query(statement).execute(&mut connection).await.map(drop);
        }
    }
    leave(connection).await;
    compacted.map_err(|error| error::at(&path, error::of_read(&error)))
}

/// A connection to a store that is there.
async fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    let asked = Options::default().busy_timeout(PATIENCE);
    let options = open::options(SqliteConnectOptions::new().filename(path), &asked);
    let mut connection = options.connect().await.map_err(|error| error::at(path, error::of_read(&error)))?;
    open::look(&mut connection).await.map_err(|error| error::at(path, error))?;
    Ok(connection)
}

async fn leave(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing a connection");
    }
}

/// The one number that a query answers with.
async fn ask(path: &Path, connection: &mut SqliteConnection, query: &'static str) -> Result<i64, StoreError> {
    let answer = sqlx::query_scalar(query).fetch_one(connection).await;
    answer.map_err(|error| error::at(path, error::of_read(&error)))
}

async fn damage_of(path: &Path, connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    // Safe: the text is made of constants alone.
    let query = AssertSqlSafe(format!("PRAGMA integrity_check({MOST})"));
    let found: Result<Vec<String>, _> = sqlx::query_scalar(query).fetch_all(connection).await;
    let mut found = found.map_err(|error| error::at(path, error::of_read(&error)))?;
    found.retain(|line| line != "ok");
    Ok(found)
}

/// The artifacts that a store names.
async fn named(path: &Path, connection: &mut SqliteConnection) -> Result<Vec<Digest>, StoreError> {
    let found: Result<Vec<Vec<u8>>, _> = sqlx::query_scalar(NAMED_ARTIFACTS).fetch_all(connection).await;
    let found = found.map_err(|error| error::at(path, error::of_read(&error)))?;
    let digest = |bytes: Vec<u8>| bytes.try_into().map(Digest::from_bytes);
    found.into_iter().map(digest).collect::<Result<_, _>>().map_err(|_| {
        StoreError::Corrupt(format!("{}: a value is called by something that is no digest", path.display()))
    })
}

/// Copies artifacts from the first folder to the second.
async fn carry(
    (from, into): &(Folder, Folder),
    named: Vec<Digest>,
    missing: Missing,
) -> Result<(), StoreError> {
    let (from, into) = (from.clone(), into.clone());
    apart(move || into.copy(&from, &named, missing)).await
}

/// Makes sure that a file is a whole store of a version that is known, and gives the artifacts that it names. Writes
/// nothing, not even beside it.
async fn verify(path: &Path) -> Result<Vec<Digest>, StoreError> {
    let metadata = fs::metadata(path).map_err(|error| cannot(path, "open", &error))?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Err(StoreError::Invalid(format!("{} is no backup of a store", path.display())));
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let failed = |error: sqlx::Error| error::at(path, error::of_read(&error));
    let mut connection = options.disable_statement_logging().connect().await.map_err(failed)?;
    let verified = async {
        open::look(&mut connection).await.map_err(|error| error::at(path, error))?;
        let damage = damage_of(path, &mut connection).await?;
        if let Some(first) = damage.first() {
            return Err(StoreError::Corrupt(format!("{}: {first}", path.display())));
        }
        let applied: Result<Vec<String>, _> =
            sqlx::query_scalar("SELECT version FROM orchestrator_migrations")
                .fetch_all(&mut connection)
                .await;
        let Ok(applied) = applied else {
            return Err(StoreError::Invalid(format!("{} is a database, but no store", path.display())));
        };
        let known = SqlStore::<Sqlite>::migrations();
        if let Some(unknown) = applied.iter().find(|name| !known.contains(name) && !is_mark(name)) {
            return Err(StoreError::Incompatible(format!(
                "{}: a newer version has made it (`{unknown}`); use that version or a later one",
                path.display()
            )));
        }
        for (what, query) in CHECKS {
            let count = ask(path, &mut connection, query).await?;
            if count > 0 {
                return Err(StoreError::Corrupt(format!("{}: {count} {what}", path.display())));
            }
        }
        named(path, &mut connection).await
    }
    .await;
    leave(connection).await;
    verified
}

/// A connection that nobody else can come beside, with all that was committed in the file itself. `None` if the file is
/// none that anybody could have open.
async fn take_alone(path: &Path) -> Result<Option<SqliteConnection>, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO);
    let failed = |error: sqlx::Error| error::of_read(&error);
    let taken = async {
        let mut connection = options.disable_statement_logging().connect().await.map_err(failed)?;
        // Leaving WAL mode takes that no other connection is open.
        for statement in
            ["PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE"]
        {
            sqlx::query(statement).execute(&mut connection).await.map_err(failed)?;
        }
        Ok(connection)
    }
    .await;
    match taken {
        Ok(connection) => Ok(Some(connection)),
        Err(StoreError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error::at(path, error)),
    }
}

/// The path as an absolute one, if a file may be put there.
fn free_place(path: &Path, replace: bool) -> Result<PathBuf, StoreError> {
    let path = std::path::absolute(path).map_err(|error| cannot(path, "use", &error))?;
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => Err(StoreError::Invalid(format!("{} is a folder", path.display()))),
        Ok(_) if !replace => Err(StoreError::Invalid(format!("{} exists", path.display()))),
        _ => Ok(path),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Where a file is written before it gets its name.
fn partial(target: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(target.file_name()?);
    name.push(format!(".{}.partial", std::process::id()));
    Some(target.with_file_name(name))
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn text_of(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| StoreError::Invalid(format!("{} is not valid UTF-8", path.display())))
}

/// Gives a file that is complete its name, so that a power loss leaves the old file or the new one.
fn publish(partial: &Path, target: &Path, replace: bool) -> Result<u64, StoreError> {
    let failed = |error: io::Error| cannot(target, "write", &error);
    let file = File::open(partial).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if !replace && target.exists() {
        return Err(StoreError::Invalid(format!("{} exists", target.display())));
    }
    failpoint!("backup.rename.before");
    fs::rename(partial, target).map_err(failed)?;
    failpoint!("backup.rename.after");
    if let Some(folder) = target.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(len)
}
