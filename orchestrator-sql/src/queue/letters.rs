//! Dead letters: a table, in which each has a number in the order in which they were buried, and the id of the ticket that it
//! was.

use std::sync::Arc;

use orchestrator_core::port::queue::{
    DeadLetter, LetterId, LetterOrder, ListLetters, MAX_LETTER_TEXT, MAX_REASON, QueueError, within,
};
use orchestrator_core::port::store::StoreError;
use orchestrator_core::time::Timestamp;
use sea_orm::{ConnectionTrait as _, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::handle::refusal;
use super::text::{self, AHEAD, CLOCK, LAST_PLACE};
use crate::dialect::Dialect;
use crate::script::{Arg, IntoArg, Script, Words};
use crate::store::SqlStore;

/// The columns that a letter has of its ticket.
const OF_TICKET: &str = "id, queue, project, priority, count";

/// What is kept is what can be settled, by a receipt, or what is at fault itself, whatever its time: then nobody else has it.
fn held(is_forced: bool) -> String {
    let time = if is_forced { String::new() } else { format!(" AND t.due_at > {CLOCK}") };
    format!("t.id = $1 AND t.held = $2{time}")
}

/// All letters of a queue but the newest: `$4` of them are left.
fn rest(queue: &str) -> String {
    format!(
        "l.queue = {queue} AND l.number <= (SELECT n.number FROM orchestrator_letters AS n WHERE n.queue = {queue} \
         ORDER BY n.number DESC LIMIT 1 OFFSET $4)"
    )
}

/// Buries a ticket, `$1`, that is with a delivery, `$2`, for a reason, `$3`. Answers with a row if it was there.
pub(super) fn bury<D: Dialect>(
    ticket: Uuid,
    call: Uuid,
    reason: &Arc<str>,
    most: u32,
    is_forced: bool,
) -> Script {
    let held = held(is_forced);
    let columns = format!("{OF_TICKET}, number, at, reason, ticket");
    let last = "(SELECT coalesce(max(n.number), 0) FROM orchestrator_letters AS n)";
    let values = format!(
        "id, t.queue, t.project, t.priority, t.count, {last} + 1, {CLOCK}, $3, substr(t.ticket, 1, {MAX_LETTER_TEXT})"
    );
    let query = match D::WORDS {
        Words::Text(words) => {
            let (begin, insert, commit) = (words.begin, words.insert, words.commit);
            let queue = format!("(SELECT t.queue FROM orchestrator_tickets AS t WHERE {held})");
            let rest = rest(&queue);
            // Whether its time has passed is asked once.
            format!(
                "{begin} DELETE FROM orchestrator_letters AS l WHERE {rest};\n\
                 {insert} orchestrator_letters ({columns}) SELECT t.{values} FROM orchestrator_tickets AS t WHERE {held};\n\
                 DELETE FROM orchestrator_tickets WHERE id = $1 AND EXISTS \
                 (SELECT 1 FROM orchestrator_letters AS l WHERE l.id = $1) RETURNING 1;\n{commit}"
            )
        }
        Words::With(_) => {
            let rest = rest("t.queue");
            format!(
                "WITH gone AS (DELETE FROM orchestrator_tickets AS t WHERE {held} RETURNING {OF_TICKET}, ticket), \
                 rest AS (DELETE FROM orchestrator_letters AS l USING gone AS t WHERE {rest}), \
                 kept AS (INSERT INTO orchestrator_letters ({columns}) SELECT t.{values} FROM gone AS t RETURNING 1) \
                 SELECT * FROM kept"
            )
        }
    };
    let most = i64::from(most.saturating_sub(1));
    let args = vec![Arg::Id(ticket), Arg::Id(call), reason.clone().arg(), most.arg()];
    text::timed(Script { text: query.into(), args }, D::CLOCK)
}

/// Takes a letter away. Answers with a row if it was there.
pub(super) fn drop_one(id: Uuid) -> Script {
    let query = "DELETE FROM orchestrator_letters WHERE id = $1 RETURNING 1";
    Script { text: query.into(), args: vec![Arg::Id(id)] }
}

/// Publishes what is on a letter. Answers with a row if it was there.
pub(super) fn publish<D: Dialect>(id: Uuid) -> Script {
    let turn = format!(
        "orchestrator_turns (project, turn) SELECT l.project, {LAST_PLACE} + 1 FROM {{letters}} AS l WHERE NOT EXISTS \
         (SELECT 1 FROM orchestrator_turns AS u WHERE u.project = l.project) AND l.id = $1 ON CONFLICT DO NOTHING"
    );
    let ticket = format!(
        "orchestrator_tickets (id, queue, project, priority, due_at, place, arrival, count, ticket) \
         SELECT $2, l.queue, l.project, l.priority, {CLOCK}, {CLOCK} - l.priority * {AHEAD}, {LAST_PLACE} + 1, 0, l.ticket \
         FROM {{letters}} AS l WHERE l.id = $1"
    );
    let query = match D::WORDS {
        Words::Text(words) => {
            let (begin, insert, commit) = (words.begin, words.insert, words.commit);
            format!(
                "{begin} {insert} {turn};\n{insert} {ticket};\n\
                 DELETE FROM orchestrator_letters WHERE id = $1 RETURNING 1;\n{commit}"
            )
            .replace("{letters}", "orchestrator_letters")
        }
        Words::With(_) => format!(
            "WITH gone AS (DELETE FROM orchestrator_letters WHERE id = $1 RETURNING *), \
             turned AS (INSERT INTO {turn}), kept AS (INSERT INTO {ticket} RETURNING 1) SELECT * FROM kept"
        )
        .replace("{letters}", "gone"),
    };
    text::timed(Script { text: query.into(), args: vec![Arg::Id(id), Arg::Id(Uuid::now_v7())] }, D::CLOCK)
}

/// What a letter is called: by its number, and by the ticket that it was.
fn name(number: i64, id: Uuid) -> LetterId {
    LetterId::new(format!("{number}.{}", id.simple()))
}

/// The number and the id of a letter, `None` if none was ever called so.
pub(super) fn read(letter: &LetterId) -> Option<(i64, Uuid)> {
    let (number, id) = letter.as_str().split_once('.')?;
    Some((number.parse().ok()?, Uuid::try_parse(id).ok()?))
}

const QUERY: &str = "SELECT l.id, l.number, l.queue, l.project, l.priority, l.count, l.at, l.reason, l.ticket \
                     FROM orchestrator_letters AS l";

async fn all<D: Dialect>(
    store: &SqlStore<D>,
    query: String,
    values: Vec<Value>,
) -> Result<Vec<DeadLetter>, QueueError> {
    let db = store.shared.db();
    let asked = Statement::from_sql_and_values(db.get_database_backend(), query, values);
    let rows = store.shared.read(db.query_all_raw(asked)).await.map_err(refusal)?;
    let letters = rows.iter().map(letter).collect::<Result<_, DbErr>>();
    letters.map_err(|error| refusal(StoreError::Corrupt(error.to_string())))
}

fn letter(row: &QueryResult) -> Result<DeadLetter, DbErr> {
    let int = |at| row.try_get_by_index::<i64>(at);
    let text = |at| row.try_get_by_index::<String>(at);
    let ticket = text(8)?;
    Ok(DeadLetter {
        id: name(int(1)?, row.try_get_by_index(0)?),
        queue: text(2)?.into(),
        project: text(3)?.into(),
        priority: i32::try_from(int(4)?).unwrap_or_default(),
        count: u32::try_from(int(5)?).unwrap_or(u32::MAX),
        at: Timestamp::from_millis(int(6)?),
        reason: within(&text(7)?, MAX_REASON).into(),
        ticket: serde_json::from_str(&ticket).ok(),
        text: within(&ticket, MAX_LETTER_TEXT).into(),
    })
}

/// One of them.
pub(super) async fn one<D: Dialect>(store: &SqlStore<D>, id: Uuid) -> Result<Option<DeadLetter>, QueueError> {
    let found = all(store, format!("{QUERY} WHERE l.id = $1"), vec![id.into()]).await?;
    Ok(found.into_iter().next())
}

/// A page of them.
pub(super) async fn list<D: Dialect>(
    store: &SqlStore<D>,
    list: ListLetters,
) -> Result<Vec<DeadLetter>, QueueError> {
    let (compared, way) = match list.order {
        LetterOrder::NewestFirst => ("<", "DESC"),
        LetterOrder::OldestFirst => (">", "ASC"),
    };
    let (mut conditions, mut values) = (Vec::new(), Vec::<Value>::new());
    if let Some(queue) = &list.queue {
        values.push((&**queue).into());
        conditions.push(format!("l.queue = ${}", values.len()));
    }
    if let Some(after) = &list.after {
        let (number, id) = read(after)
            .ok_or_else(|| QueueError::Invalid(format!("no dead letter was ever called {after}")))?;
        values.extend([number.into(), id.into()]);
        conditions.push(format!("(l.number, l.id) {compared} (${}, ${})", values.len() - 1, values.len()));
    }
    let only =
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let limit = list.limit;
    all(store, format!("{QUERY}{only} ORDER BY l.number {way}, l.id {way} LIMIT {limit}"), values).await
}
