//! What an error of PostgreSQL means. The codes are those of its manual, appendix A.

use orchestrator_core::port::store::StoreError;
use orchestrator_sql::WriteError;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What the server says of a check that did not hold, before what it says of the text: see `refuse` of the dialect.
pub(crate) const REFUSED: &str = "orchestrator: a check did not hold";

const INVALID_TEXT: &str = "22P02";
const UNIQUE: &str = "23505";
const UNDEFINED_TABLE: &str = "42P01";
const READ_ONLY: &str = "25006";

const CROWDED: &str = "53300";

/// What is said of a server that takes no more connections.
const NO_ROOM: &str = "the server has no room for another connection (53300); raise max_connections, or put a pooler with \
                       pool_mode = session in front of it";

/// What is said of a pooler that changes connections between transactions.
pub(crate) const POOLED: &str = "a pooler in between gives every transaction another connection, with which neither prepared \
                                 statements nor LISTEN nor settings of a session last; connect to the server itself, or set \
                                 pool_mode = session";

/// The key of lines of output: two who number them at the same time give one number twice.
const NUMBERED: &str = "orchestrator_logs_pkey";

/// What an error while writing means.
pub(crate) fn of_write(error: &sqlx::Error) -> WriteError {
    let Some(said) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    else {
        return match error {
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
                WriteError::Invalid(error.to_string())
            }
            sqlx::Error::Configuration(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                WriteError::Unavailable(error.to_string())
            }
            // The connection is gone, and with it the answer.
            _ => WriteError::Ambiguous(error.to_string()),
        };
    };
    let why = told(said);
    if matches!(said.severity(), PgSeverity::Fatal | PgSeverity::Panic) {
        // The session has ended: perhaps after the commit, before the answer.
        return WriteError::Ambiguous(why);
    }
    let code = said.code();
    match (code, &code[..2]) {
        (INVALID_TEXT, _) if said.message().contains(REFUSED) => WriteError::Refused,
        (UNIQUE, _) if said.constraint() == Some(NUMBERED) => WriteError::Busy,
        // A deadlock, a conflict of transactions, a lock that was not given in time, a statement that took too long.
        (_, "40") | ("55P03" | "57014", _) => WriteError::Busy,
        ("XX001" | "XX002", _) => WriteError::Corrupt(why),
        // A prepared statement that another client has prepared, or that is gone.
        ("42P05" | "26000", _) => WriteError::Unavailable(POOLED.to_owned()),
        // Values, constraints, limits: no other time would be better.
        (_, "21" | "22" | "23" | "54") => WriteError::Invalid(why),
        // A standby, no room, no memory, no right to the table, an operator, the system: it may be better later.
        _ => WriteError::Unavailable(why),
    }
}

/// Whether the connection is not to be used again: what it keeps no longer fits what the server has, or the server has
/// become one that takes no commits.
pub(crate) fn is_spent(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "42P05" | "26000" | "0A000" | READ_ONLY))
}

fn told(said: &PgDatabaseError) -> String {
    if said.code() == CROWDED {
        return format!("{}: {NO_ROOM}", said.message());
    }
    match said.detail() {
        Some(detail) => format!("{} ({}): {detail}", said.message(), said.code()),
        None => format!("{} ({})", said.message(), said.code()),
    }
}

/// What an error while reading or connecting means.
pub(crate) fn of_read(error: &sqlx::Error) -> StoreError {
    match of_write(error) {
        WriteError::Busy => StoreError::Busy,
        WriteError::Corrupt(why) => StoreError::Corrupt(why),
        WriteError::Invalid(why) if error.as_database_error().is_some() => StoreError::Incompatible(why),
        WriteError::Ambiguous(why) | WriteError::Unavailable(why) => StoreError::Unavailable(why),
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
    matches!(error, DbErr::Query(RuntimeErr::SqlxError(inner) ) | DbErr::Exec(RuntimeErr::SqlxError(inner))
        if inner.as_database_error().and_then(|inner| inner.code()).is_some_and(|code| code == UNDEFINED_TABLE))
}

/// Names the place.
pub(crate) fn at(location: &str, error: StoreError) -> StoreError {
    let place = |why: String| format!("{location}: {why}");
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(place(why)),
        StoreError::Corrupt(why) => StoreError::Corrupt(place(why)),
        StoreError::Incompatible(why) => StoreError::Incompatible(place(why)),
        other => other,
    }
}
