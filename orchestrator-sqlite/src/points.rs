//! Named points within transactions, at which a test makes the process die. See [`failpoint!`].
//!
//! SQLite tells of each row only in tables that have numbers for their rows: within a commit, runs come before events
//! and steps after them, before values.

use orchestrator_core::failpoint;
use sqlx::sqlite::{SqliteConnection, SqliteOperation};

/// Sets the points of a connection that writes.
pub(crate) async fn set(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut handle = connection.lock_handle().await?;
    handle.set_update_hook(|change| match (change.table, change.operation) {
        ("orchestrator_revisions", SqliteOperation::Insert) => failpoint!("run.create.in_tx"),
        ("orchestrator_events", SqliteOperation::Insert) => failpoint!("commit.events.in_tx"),
        ("orchestrator_events", SqliteOperation::Delete) => failpoint!("prune.in_tx"),
        ("orchestrator_outputs", SqliteOperation::Insert) => failpoint!("commit.values.in_tx"),
        ("orchestrator_decisions", SqliteOperation::Insert) => failpoint!("policy.decided.in_tx"),
        ("orchestrator_migrations", SqliteOperation::Insert) => failpoint!("migrate.in_tx"),
        _ => {}
    });
    handle.set_commit_hook(|| {
        failpoint!("commit.end.in_tx");
        true
    });
    Ok(())
}
