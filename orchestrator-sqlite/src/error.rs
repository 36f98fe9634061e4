//! What the errors of SQLite mean.

use std::path::Path;

use orchestrator_core::port::store::StoreError;
use orchestrator_sql::{SEALED, WriteError};
use sea_orm::{DbErr, RuntimeErr};

/// <https://www.sqlite.org/rescode.html>: the primary codes, which are the last byte of the extended ones.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
}

/// `SQLITE_IOERR_READ` and `SQLITE_IOERR_SHORT_READ`: nothing can have been written.
const READ_ERRORS: [i32; 2] = [266, 522];

/// The extended result code, if the error is SQLite's own.
fn code_of(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// What an error while writing means.
pub(crate) fn of_write(error: &sqlx::Error) -> WriteError {
    let why = error.to_string();
    let Some(code) = code_of(error) else {
        return match error {
            // Before anything was sent.
            sqlx::Error::Encode(_) | sqlx::Error::Configuration(_) => WriteError::Invalid(why),
            sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut => WriteError::Unavailable(why),
            _ => WriteError::Ambiguous(why),
        };
    };
    match code & 0xff {
        // The guard of a script: a check did not hold.
        code::ERROR if why.contains("integer overflow") => WriteError::Refused,
        code::BUSY | code::LOCKED => WriteError::Busy,
        code::FULL => WriteError::Unavailable("the disk is full".to_owned()),
        code::IOERR if READ_ERRORS.contains(&code) => WriteError::Unavailable(why),
        // A failed fsync, or a write of which nobody knows how far it got.
        code::IOERR => WriteError::Ambiguous(why),
        code::CORRUPT | code::NOTADB => WriteError::Corrupt(why),
        code::PERM | code::NOMEM | code::READONLY | code::CANTOPEN | code::PROTOCOL => {
            WriteError::Unavailable(why)
        }
        code::CONSTRAINT if why.contains(SEALED) => WriteError::Unavailable(SEALED.to_owned()),
        _ => WriteError::Invalid(why),
    }
}

/// What an error while reading means.
pub(crate) fn of_read(error: &sqlx::Error) -> StoreError {
    match of_write(error) {
        WriteError::Busy => StoreError::Busy,
        WriteError::Corrupt(why) => StoreError::Corrupt(why),
        WriteError::Invalid(why) if code_of(error).is_some() => StoreError::Incompatible(why),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// What an error of sea-orm means, while reading.
pub(crate) fn of_orm(error: &DbErr) -> StoreError {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => of_read(inner),
        DbErr::ConnectionAcquire(_) => StoreError::Unavailable(error.to_string()),
        DbErr::Type(_) | DbErr::TryIntoErr { .. } | DbErr::Json(_) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Incompatible(error.to_string()),
    }
}

/// Whether the error says that a table does not exist.
pub(crate) fn is_missing_table(error: &DbErr) -> bool {
    matches!(error, DbErr::Query(RuntimeErr::SqlxError(inner))
        if inner.as_database_error().is_some_and(|inner| inner.message().starts_with("no such table")))
}

/// Names the place.
pub(crate) fn at(path: &Path, error: StoreError) -> StoreError {
    let place = |why: String| format!("{}: {why}", path.display());
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(place(why)),
        StoreError::Corrupt(why) => StoreError::Corrupt(place(why)),
        StoreError::Incompatible(why) => StoreError::Incompatible(place(why)),
        other => other,
    }
}

/// Whether the error says that there was no transaction to roll back.
pub(crate) fn is_no_transaction(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("no transaction is active"))
}
