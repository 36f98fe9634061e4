//! PostgreSQL as a dialect.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::{StoreError, StoreInfo};
use orchestrator_core::time::Timestamp;
use orchestrator_sql::{Dialect, Forms, Kind, Options, Seals, WithWords, Words, Writer as _};
use sea_orm::sea_query::{ColumnDef, ColumnType};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::bell::Bell;
use crate::writer::PostgresWriter;
use crate::{error, open, seal};

/// How long the end of the connections that read is waited for when the store is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// One PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    location: String,
    /// The version of the server.
    version: String,
    options: PgConnectOptions,
    asked: Options,
    readers: DatabaseConnection,
    /// The first connection, until somebody writes.
    first: Mutex<Option<PgConnection>>,
    bell: Bell,
}

impl Postgres {
    async fn open(base: PgConnectOptions, asked: &Options) -> Result<Self, StoreError> {
        let options = open::options(base);
        let location = open::location(&options);
        let opened = async {
            let mut one = open::writer(&options, asked).await?;
            let mut other = open::writer(&options, asked).await?;
            let version = open::look(&mut one, &mut other, asked).await?;
            if let Err(error) = other.close().await {
                tracing::debug!(%error, "closing the second connection");
            }
            Ok((version, one))
        };
        let (version, first) = opened.await.map_err(|error| error::at(&location, error))?;
        Ok(Self {
            location,
            version,
            first: Mutex::new(Some(first)),
            bell: Bell::new(options.clone()),
            readers: open::pool(options.clone(), asked.readers).into(),
            options,
            asked: asked.clone(),
        })
    }
}

#[async_trait]
impl Dialect for Postgres {
    type Pool = PgPool;

    type Writer = PostgresWriter;

    const FORMS: Forms = Forms {
        key: |name| ColumnDef::new(name).big_integer().auto_increment().primary_key().take(),
        id: || ColumnType::Uuid,
        // The order of bytes, whatever language the database speaks: as every other store orders.
        text: || ColumnType::custom("text COLLATE \"C\""),
        // Rows that change find room beside their last version: then no index has to learn of it.
        clustered: "WITH (fillfactor = 60)",
    };

    const WORDS: Words = Words::With(WithWords {
        types: |kind| match kind {
            Kind::Id => "uuid",
            Kind::Int => "int8",
            Kind::Text => "text",
            Kind::Digest => "bytea",
        },
        // A text that is no number, as the server will say; the time is what keeps it from being looked at before.
        refuse: "('orchestrator: a check did not hold, at ' || clock_timestamp()::text)::int",
    });

    const CLOCK: &'static str = "(extract(epoch FROM clock_timestamp()) * 1000)::int8";

    const CONCURRENT: bool = true;

    const PASSING: &'static str = "FOR UPDATE OF t SKIP LOCKED";

    // One is executed while another is made ready; more only wait for the same disk.
    const LATERAL: bool = true;
    const LANES: usize = 2;

    const ALONE: Option<&'static str> = Some("SELECT pg_advisory_xact_lock(7308895133)");

    const SEALS: Seals = Seals { alone: seal::alone, seal: seal::seal, unseal: seal::unseal };

    const WEIGHT: Option<fn(&str) -> String> = Some(|table| format!("pg_total_relation_size('{table}')"));

    async fn connect(location: &str, options: &Options) -> Result<Self, StoreError> {
        Self::open(open::options_of(location)?, options).await
    }

    async fn over(pool: PgPool, options: &Options) -> Result<Self, StoreError> {
        Self::open(pool.connect_options().as_ref().clone(), options).await
    }

    async fn alterations(&self) -> Result<DatabaseConnection, StoreError> {
        Ok(open::pool(self.options.clone(), 1).into())
    }

    fn describe(&self) -> StoreInfo {
        StoreInfo {
            kind: "postgres",
            location: self.location.clone(),
            version: self.version.clone(),
            durable: self.asked.durable,
            lanes: Self::LANES,
        }
    }

    fn reads(&self) -> &DatabaseConnection {
        &self.readers
    }

    async fn connect_writer(&self) -> Result<PostgresWriter, StoreError> {
        let first = self.first.lock().await.take();
        let connection = match first {
            Some(first) => first,
            None => open::writer(&self.options, &self.asked).await?,
        };
        Ok(PostgresWriter::new(connection, self.asked.answer_timeout))
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let text = format!("SELECT {}", Self::CLOCK);
        let asked = Statement::from_string(self.readers.get_database_backend(), text);
        let asked = self.readers.query_one_raw(asked);
        let row = open::answered(self.asked.answer_timeout, asked).await?;
        let row = row.map_err(|error| self.explain(&error))?;
        let millis = row.map(|row| row.try_get_by_index::<i64>(0)).transpose();
        let millis = millis.map_err(|error| self.explain(&error))?;
        millis
            .map(Timestamp::from_millis)
            .ok_or_else(|| StoreError::Unavailable("the server does not tell the time".to_owned()))
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        Ok(self.bell.mark())
    }

    async fn changed_since(&self, seen: u64) {
        self.bell.changed_since(seen).await;
    }

    fn committed(&self) {
        self.bell.ring();
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.asked.answer_timeout)
    }

    fn explain(&self, error: &DbErr) -> StoreError {
        error::at(&self.location, error::of_orm(error))
    }

    fn is_missing_table(&self, error: &DbErr) -> bool {
        error::is_missing_table(error)
    }

    /// Nothing but its deadline: what a connection holds is lost with any restart of the server, while its owner lives.
    async fn hold(&self, _owner: OwnerId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn let_go(&self, _owner: OwnerId) {}

    async fn proven_dead(&self, _alive: HashSet<OwnerId>) -> HashSet<OwnerId> {
        HashSet::new()
    }

    async fn close(&self) {
        self.bell.close().await;
        if let Some(first) = self.first.lock().await.take() {
            PostgresWriter::new(first, self.asked.answer_timeout).close().await;
        }
        // Nobody is owed anything by what reads; and it may wait for a connection that never answers again.
        match tokio::time::timeout(FAREWELL, self.readers.close_by_ref()).await {
            Ok(Ok(())) => {}
            error => tracing::debug!(?error, "closing the connections that read"),
        }
    }
}
