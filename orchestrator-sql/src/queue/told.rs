//! Waiting: looking, and knowing when to look again.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::port::queue::{Counted, QueueError, Wait, Woken};
use orchestrator_core::port::store::{Store as _, StoreError};
use sea_orm::{ConnectionTrait as _, Statement, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::handle::{closed, refusal};
use super::text;
use crate::dialect::Dialect;
use crate::store::SqlStore;

/// How often it is asked whether another process has written something, where the database does not tell; and how long it is
/// at least from one look to the next, whatever it tells.
const LOOK: Duration = Duration::from_millis(20);

/// How long something may stay unnoticed of which nobody has told: whoever should have may have died.
const UNTOLD: Duration = Duration::from_secs(1);

/// What those who wait by one handle are told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// How often something was published or released by it.
    pub(super) rings: u64,
    pub(super) is_closed: bool,
}

/// In how long there is something in these queues; `None`: as far as is known, never. Of each queue, an index knows what comes
/// out first.
async fn look<D: Dialect>(store: &SqlStore<D>, queues: &[Arc<str>]) -> Result<Option<Duration>, StoreError> {
    let queues = text::rounded(queues);
    let places = queues.len();
    let of = |at| format!(", (SELECT min(t.due_at) FROM orchestrator_tickets AS t WHERE t.queue = ${at})");
    let query = format!("SELECT {}{}", D::CLOCK, (1..=places).map(of).collect::<String>());
    let db = store.shared.db();
    let asked = Statement::from_sql_and_values(
        db.get_database_backend(),
        query,
        queues.into_iter().map(|queue| Value::from(&**queue)),
    );
    let row = store.shared.read(db.query_one_raw(asked)).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("it does not tell the time".to_owned()))?;
    let now: i64 = store.shared.explained(row.try_get_by_index(0))?;
    let mut next = None::<i64>;
    for at in 1..=places {
        let due: Option<i64> = store.shared.explained(row.try_get_by_index(at))?;
        next = next.into_iter().chain(due).min();
    }
    let left = |due: i64| Duration::from_millis(u64::try_from(due.saturating_sub(now)).unwrap_or(0));
    Ok(next.map(left))
}

/// How much there is in these queues.
pub(super) async fn count<D: Dialect>(
    store: &SqlStore<D>,
    queues: Vec<Arc<str>>,
) -> Result<Vec<Counted>, StoreError> {
    let of = |at: usize| {
        let ticket =
            format!("SELECT count(*) FROM orchestrator_tickets AS t WHERE t.queue = ${at} AND t.due_at");
        format!(
            "({ticket} <= w.now), ({ticket} > w.now), \
             (SELECT count(*) FROM orchestrator_letters AS l WHERE l.queue = ${at})"
        )
    };
    let all: Vec<String> = (1..=queues.len()).map(of).collect();
    let query = format!("SELECT {} FROM (SELECT {} AS now) AS w", all.join(", "), D::CLOCK);
    let db = store.shared.db();
    let asked = Statement::from_sql_and_values(
        db.get_database_backend(),
        query,
        queues.iter().map(|queue| Value::from(&**queue)),
    );
    let row = store.shared.read(db.query_one_raw(asked)).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("it does not count".to_owned()))?;
    let mut counted = Vec::with_capacity(queues.len());
    for (at, queue) in queues.into_iter().enumerate() {
        let number = |nth| -> Result<u64, StoreError> {
            let number: i64 = store.shared.explained(row.try_get_by_index(3 * at + nth))?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        counted.push(Counted { ready: number(0)?, hidden: number(1)?, letters: number(2)?, queue });
    }
    Ok(counted)
}

/// Returns when the store may have changed since this mark, and not before `soonest`.
async fn changed<D: Dialect>(store: &SqlStore<D>, mark: u64, soonest: Instant) {
    let told = async {
        store.changed_since(mark).await;
        tokio::time::sleep_until(soonest).await;
    };
    let asked = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if store.change_mark().await.is_ok_and(|now| now != mark) {
                break;
            }
        }
    };
    tokio::select! {
        () = told => {}
        () = asked => {}
    }
}

pub(super) async fn wait<D: Dialect>(
    store: &SqlStore<D>,
    mut told: watch::Receiver<Told>,
    wait: Wait,
) -> Result<Woken, QueueError> {
    let deadline = Instant::now() + wait.timeout;
    loop {
        // First the ears, then the look: what is told from here on ends the waiting below.
        if told.borrow_and_update().is_closed {
            return Err(closed());
        }
        let mark = store.change_mark().await.map_err(refusal)?;
        let looked = Instant::now();
        let next = look(store, &wait.queues).await.map_err(refusal)?;
        if next == Some(Duration::ZERO) {
            return Ok(Woken::Rung);
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(Woken::TimedOut);
        }
        let soon = now + next.map_or(UNTOLD, |due| due.min(UNTOLD));
        tokio::select! {
            // The sender lives as long as the handle.
            _ = told.changed() => {}
            () = tokio::time::sleep_until(deadline.min(soon)) => {}
            () = changed(store, mark, looked + LOOK) => {}
        }
    }
}
