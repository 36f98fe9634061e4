//! Noticing commits of other processes: they are told by `NOTIFY` after them, on a connection of its own, once for all
//! commits of some milliseconds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::open;

const CHANNEL: &str = "orchestrator";

/// The shortest time between two rings of one process.
const BETWEEN: Duration = Duration::from_millis(5);

/// How long the bell's own connections are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The wait before a connection is opened again that could not be had.
const AGAIN: Duration = Duration::from_millis(500);

/// How long nothing may be heard before the connection that listens is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(30);

/// How long the last ring may take when the store is closed.
const LAST: Duration = Duration::from_secs(1);

/// Tells others of commits, and hears of theirs.
#[derive(Debug)]
pub(crate) struct Bell {
    options: PgConnectOptions,
    /// One more with everything that may have been a commit.
    mark: watch::Sender<u64>,
    pull: watch::Sender<Pull>,
    tasks: Mutex<Tasks>,
}

/// What is to be told.
#[derive(Debug, Clone, Copy, Default)]
struct Pull {
    /// How many commits there were.
    commits: u64,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Tasks {
    rings: Option<JoinHandle<()>>,
    listens: Option<JoinHandle<()>>,
    is_over: bool,
}

fn bump(mark: &watch::Sender<u64>) {
    mark.send_modify(|mark| *mark += 1);
}

impl Bell {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        Self { options, mark: watch::Sender::new(0), pull: watch::Sender::default(), tasks: Mutex::default() }
    }

    /// Something has been committed here.
    pub(crate) fn ring(&self) {
        bump(&self.mark);
        self.pull.send_modify(|pull| pull.commits += 1);
        let mut tasks = self.tasks();
        if tasks.rings.is_none() && !tasks.is_over {
            let ringing = ring(self.options.clone(), self.pull.subscribe(), self.name());
            tasks.rings = Some(tokio::spawn(ringing));
        }
    }

    /// See [`orchestrator_core::port::store::Store::change_mark`].
    pub(crate) fn mark(&self) -> u64 {
        self.listen();
        *self.mark.borrow()
    }

    /// See [`orchestrator_core::port::store::Store::changed_since`].
    pub(crate) async fn changed_since(&self, seen: u64) {
        self.listen();
        // The sender lives as long as this.
        let _ = self.mark.subscribe().wait_for(|mark| *mark != seen).await;
    }

    fn listen(&self) {
        let mut tasks = self.tasks();
        if tasks.listens.is_none() && !tasks.is_over {
            let listening = listen(self.options.clone(), self.mark.clone(), self.name());
            tasks.listens = Some(tokio::spawn(listening));
        }
    }

    /// What this store signs with, so that it does not hear itself: the number of its process, and an address that
    /// nothing else has there. One on another host that signs so too would go unheard for a while, and no longer.
    fn name(&self) -> String {
        format!("{:x}-{:p}", std::process::id(), std::ptr::from_ref(self))
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of the last commits, and ends.
    pub(crate) async fn close(&self) {
        let rings = {
            let mut tasks = self.tasks();
            tasks.is_over = true;
            if let Some(listens) = tasks.listens.take() {
                listens.abort();
            }
            tasks.rings.take()
        };
        self.pull.send_modify(|pull| pull.is_over = true);
        if let Some(mut rings) = rings
            && tokio::time::timeout(LAST, &mut rings).await.is_err()
        {
            rings.abort();
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut tasks = self.tasks();
        for task in [tasks.rings.take(), tasks.listens.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

/// Tells of commits until it is over.
async fn ring(options: PgConnectOptions, mut pull: watch::Receiver<Pull>, name: String) {
    // The name is made of hexadecimal digits and signs.
    let text = format!("SELECT pg_notify('{CHANNEL}', '{name}')");
    let mut told = 0;
    let mut connection: Option<PgConnection> = None;
    while let Ok(due) = pull.wait_for(|pull| pull.is_over || pull.commits != told).await.map(|due| *due) {
        if due.commits != told {
            match tell(&options, &mut connection, &text).await {
                Ok(()) => told = due.commits,
                Err(error) => {
                    tracing::debug!(%error, "cannot tell other processes of commits");
                    connection = None;
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            }
        }
        if due.is_over {
            break;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    if let Some(connection) = connection {
        let _ = tokio::time::timeout(LAST, connection.close()).await;
    }
}

async fn tell(
    options: &PgConnectOptions,
    connection: &mut Option<PgConnection>,
    text: &str,
) -> Result<(), orchestrator_core::port::store::StoreError> {
    let open = async {
        if let Some(open) = connection {
            return Ok(open);
        }
        let mut opened = options.connect().await?;
        // What it says need not last.
        opened.execute("SET synchronous_commit = off; SET statement_timeout = 5000").await?;
        Ok(connection.insert(opened))
    };
    let open = open::within(PATIENCE, open).await?;
    open::within(PATIENCE, sqlx::query(AssertSqlSafe(text)).execute(open)).await.map(drop)
}

async fn listen(options: PgConnectOptions, mark: watch::Sender<u64>, name: String) {
    loop {
        let listening = async {
            let pool = open::pool(options.clone(), 1);
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        match open::within(PATIENCE, listening).await {
            Ok(mut listener) => {
                // Whatever was told meanwhile was not heard.
                bump(&mark);
                loop {
                    match tokio::time::timeout(QUIET, listener.try_recv()).await {
                        // Without a telling: the connection was lost, and is opened anew.
                        Ok(Ok(told)) if told.as_ref().is_none_or(|told| told.payload() != name) => {
                            bump(&mark);
                        }
                        Ok(Ok(_)) => {}
                        Ok(Err(_)) => break,
                        // Nobody has anything to tell, or the network has lost the connection without a word.
                        Err(_) => {
                            let sign = listener.execute("SELECT 1");
                            if open::within(PATIENCE, sign).await.is_err() {
                                break;
                            }
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "cannot hear of commits of other processes"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
