//! Where a database is, and how its connections are opened.

use std::str::FromStr;
use std::time::Duration;

use orchestrator_core::port::store::StoreError;
use orchestrator_sql::Options;
use percent_encoding::percent_decode_str;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::error;

/// How long a reader waits for one of the connections that read, and how long one may take to open.
const CONNECTION: Duration = Duration::from_secs(10);

/// How long a statement may take.
const STATEMENT: Duration = Duration::from_secs(30);

/// A connection that nobody has used for so long is asked for a sign of life before it is used: the server may have been
/// restarted, or something in between may have forgotten it.
const STALE: Duration = Duration::from_secs(1);

/// The oldest server that is used.
const OLDEST: i32 = 140_000;

/// What a URL may say after its question mark: what the driver knows.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The options of every connection to the database that a URL names.
pub(crate) fn options_of(url: &str) -> Result<PgConnectOptions, StoreError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(StoreError::Invalid(
            "the URL of a PostgreSQL database begins with postgres:// or postgresql://".to_owned(),
        ));
    }
    // A password may hold a question mark: it is never taken for what stands after one.
    let behind_login = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    if let Some((_, parameters)) = behind_login.split_once('?') {
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or(parameter);
            let name = percent_decode_str(name).decode_utf8_lossy();
            let is_known = PARAMETERS.contains(&&*name) || name.starts_with("options[");
            if !is_known {
                return Err(StoreError::Invalid(format!(
                    "the URL has a parameter `{name}`, which means nothing"
                )));
            }
        }
    }
    PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Invalid(format!("the URL cannot be read: {error}")))
}

/// Where a database is, without a password.
pub(crate) fn location(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{}@{place}:{}/{database}", options.get_username(), options.get_port())
}

/// The options of every connection, on top of those that say where the database is.
pub(crate) fn options(base: PgConnectOptions) -> PgConnectOptions {
    let named = base.get_application_name().is_some();
    let base = if named { base } else { base.application_name("orchestrator") };
    // What no column of ours is, poolers need not be asked to pass on.
    base.extra_float_digits(None).statement_cache_capacity(256).disable_statement_logging()
}

/// What a session that writes is set to. The one statement of a batch finds every row by its key: plans that read whole
/// tables are never better, and one plan fits all batches. Nor are those that gather rows to sort them which an index has in
/// order: of a table that grows and shrinks as fast as that of tickets, the server knows too little to see the difference.
fn session(asked: &Options) -> String {
    let synchronous = if asked.durable { "" } else { "SET synchronous_commit = off;" };
    format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_mergejoin = off; \
         SET enable_bitmapscan = off; \
         SET jit = off; {synchronous}",
        // The server gives up before we do, so that what became of it is known.
        asked.busy_timeout.min(asked.answer_timeout / 2).as_millis().max(1),
        STATEMENT.as_millis(),
        STATEMENT.as_millis(),
    )
}

/// A connection that writes.
pub(crate) async fn writer(options: &PgConnectOptions, asked: &Options) -> Result<PgConnection, StoreError> {
    let opened = async {
        let mut connection = options.connect().await?;
        connection.execute(AssertSqlSafe(session(asked))).await?;
        Ok(connection)
    };
    within(CONNECTION, opened).await
}

/// Does something that the network may lose.
pub(crate) async fn within<T>(
    patience: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, StoreError> {
    answered(patience, work).await?.map_err(|error| error::of_read(&error))
}

/// The answer, if it comes in time.
pub(crate) async fn answered<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable(format!("no answer within {patience:?}"));
    tokio::time::timeout(patience, work).await.map_err(late)
}

/// A pool that opens connections when they are needed, and keeps them.
pub(crate) fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    let session = format!("SET statement_timeout = {}; SET jit = off", STATEMENT.as_millis());
    PgPoolOptions::new()
        .min_connections(0)
        .max_connections(connections.max(1))
        .acquire_timeout(CONNECTION)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                if idle.idle_for < STALE {
                    return Ok(true);
                }
                Ok(tokio::time::timeout(CONNECTION / 4, connection.ping())
                    .await
                    .is_ok_and(|sign| sign.is_ok()))
            })
        })
        .after_release(|connection, _| {
            // Whoever was left without an answer leaves a connection that may never answer again.
            Box::pin(async move {
                match tokio::time::timeout(CONNECTION / 4, connection.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move { connection.execute(AssertSqlSafe(session)).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// What a server says of itself: the backend, its version as a text and as a number, the encoding, two settings, whether
/// it is a standby.
type Said = (i32, String, i32, String, String, String, bool);

const ASK: &str = "SELECT pg_backend_pid(), current_setting('server_version'), \
                   current_setting('server_version_num')::int4, current_setting('server_encoding'), \
                   current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()";

/// Makes sure that a server can be worked with, and gives its version. Takes two connections that nobody has used yet.
pub(crate) async fn look(
    one: &mut PgConnection,
    other: &mut PgConnection,
    asked: &Options,
) -> Result<String, StoreError> {
    let said: Said = pooled(within(CONNECTION, sqlx::query_as(ASK).fetch_one(&mut *one)).await)?;
    let (backend, version, number, encoding, synchronous, fsync, standby) = said;
    if number < OLDEST {
        return Err(StoreError::Incompatible(format!(
            "the server is PostgreSQL {version}; 14 or later is needed"
        )));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Incompatible(format!(
            "the encoding of the database is {encoding}; make one with ENCODING 'UTF8'"
        )));
    }
    if standby {
        return Err(StoreError::Unavailable("the server is a standby, which takes no commits".to_owned()));
    }
    if asked.durable {
        for (name, value) in [("synchronous_commit", &synchronous), ("fsync", &fsync)] {
            if value == "off" {
                return Err(StoreError::Incompatible(format!(
                    "the server has {name} = off: a loss of power would take commits that it has acknowledged; turn it \
                     on, or ask for a store that is not durable"
                )));
            }
        }
    }
    if pooled(is_shared(one, other, backend).await)? {
        return Err(StoreError::Incompatible(error::POOLED.to_owned()));
    }
    Ok(version)
}

/// A pooler may show itself by an error.
fn pooled<T>(answer: Result<T, StoreError>) -> Result<T, StoreError> {
    answer.map_err(|error| match error {
        StoreError::Unavailable(why) if why == error::POOLED => StoreError::Incompatible(why),
        other => other,
    })
}

/// Whether two connections are served by one backend, or one by several: a pooler does that between transactions.
async fn is_shared(
    one: &mut PgConnection,
    other: &mut PgConnection,
    backend: i32,
) -> Result<bool, StoreError> {
    const BACKEND: &str = "SELECT pg_backend_pid()";
    let asked = async {
        other.execute("BEGIN").await?;
        let second: i32 = sqlx::query_scalar(BACKEND).fetch_one(&mut *other).await?;
        let again: i32 = sqlx::query_scalar(BACKEND).fetch_one(&mut *one).await?;
        other.execute("COMMIT").await?;
        Ok(second == backend || again != backend)
    };
    within(CONNECTION, asked).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_held_to_what_it_may_say() {
        let options = options_of("postgres://me:s3cret@db.example:6000/flows?sslmode=disable").unwrap();
        assert_eq!(location(&options), "postgres://me@db.example:6000/flows");
        let error = options_of("postgres://me@db/flows?ssl_mode=disable").unwrap_err().to_string();
        assert!(error.contains("`ssl_mode`"), "{error}");
        let error = options_of("postgres://me:a?s3cret@db/flows?x=1").unwrap_err().to_string();
        assert!(error.contains("`x`") && !error.contains("s3cret"), "{error}");
        for wrong in ["mysql://h/d", "postgres:h", "postgres://h:port/d"] {
            assert!(matches!(options_of(wrong), Err(StoreError::Invalid(_))), "{wrong}");
        }
    }
}
