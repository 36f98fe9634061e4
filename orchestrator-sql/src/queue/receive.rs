//! Receiving: one statement, or one text of them, finds the tickets whose turn it is, and gives them.

use std::sync::Arc;

use orchestrator_core::port::queue::{Delivery, Receive, unreadable};
use uuid::Uuid;

use super::settle::{millis, receipt};
use super::text::{self, AHEAD, CLOCK, LAST_PLACE};
use crate::dialect::Dialect;
use crate::script::Kind::{Id, Int, Text};
use crate::script::{Arg, IntoArg, Kind, Script, Words};

/// How many more are looked at than are asked for, in each line and of projects: so many may be passed over because others
/// are taking them at the same moment.
const ROOM: usize = 16;

/// The columns of the answer, in order.
pub(super) const GIVEN: [Kind; 7] = [Id, Text, Text, Int, Int, Text, Int];

/// How they are asked for.
const COLUMNS: &str = "orchestrator_tickets.id, orchestrator_tickets.queue, orchestrator_tickets.project, \
                       orchestrator_tickets.priority, orchestrator_tickets.count, orchestrator_tickets.ticket, \
                       orchestrator_tickets.arrival";

/// Which queues are asked for, from `$5` on, each once.
fn asked(queues: usize) -> String {
    let places: Vec<String> =
        (5..5 + queues).map(|at| format!("SELECT CAST(${at} AS TEXT) AS queue")).collect();
    format!("({})", places.join(" UNION "))
}

/// The tickets whose turn it is: `given` (their id, a moment, and the number of the delivery). `$1` of them at most; `$2` are
/// looked at in each line and of projects.
///
/// A line is all tickets of one queue and one project. The lines are found one after the other, by looking for what comes
/// next in the index, and so is the first of each that can be received. Projects are taken in the order of their turns; of
/// each the first ticket, in whichever queue, then of each the second …
///
/// `due_at + 0` keeps the index of what is due from being taken for that of the lines: it has all of a queue that can be
/// received, in no order that counts. And what stands left of a `CROSS JOIN` is found first, where the order is not chosen.
fn turns(queues: usize, is_lateral: bool, passing: &str) -> String {
    let line = "FROM orchestrator_tickets AS n WHERE n.queue";
    let ready = |of: &str| {
        format!(
            "{line} = {of}.queue AND n.project = {of}.project AND n.due_at + 0 <= w.now ORDER BY n.place, n.arrival LIMIT"
        )
    };
    let firsts = if is_lateral {
        format!("CROSS JOIN LATERAL (SELECT n.id, n.place, n.arrival {} $2) AS f", ready("h"))
    } else {
        format!("CROSS JOIN orchestrator_tickets AS f WHERE f.id IN (SELECT n.id {} $2)", ready("h"))
    };
    let asked = asked(queues);
    let head = ready("l");
    format!(
        "WITH RECURSIVE whole (now, number) AS MATERIALIZED (SELECT {CLOCK}, {LAST_PLACE}), \
         lines (queue, project) AS (\
         SELECT a.queue, (SELECT n.project {line} = a.queue ORDER BY n.project LIMIT 1) FROM {asked} AS a UNION ALL \
         SELECT l.queue, (SELECT n.project {line} = l.queue AND n.project > l.project ORDER BY n.project LIMIT 1) \
         FROM lines AS l WHERE l.project IS NOT NULL), \
         heads (queue, project, place) AS (\
         SELECT l.queue, l.project, (SELECT n.place {head} 1) FROM lines AS l CROSS JOIN whole AS w \
         WHERE l.project IS NOT NULL), \
         projects (project, turn, head) AS (\
         SELECT h.project, coalesce(max(u.turn), 0), min(h.place) FROM heads AS h \
         LEFT JOIN orchestrator_turns AS u ON u.project = h.project WHERE h.place IS NOT NULL \
         GROUP BY h.project ORDER BY 2, 3, 1 LIMIT $2), \
         ready (queue, project, turn, head) AS (\
         SELECT h.queue, h.project, p.turn, p.head FROM projects AS p JOIN heads AS h ON h.project = p.project \
         WHERE h.place IS NOT NULL), \
         firsts (id, project, turn, head, nth) AS (\
         SELECT f.id, h.project, h.turn, h.head, row_number() OVER (PARTITION BY h.project ORDER BY f.place, f.arrival) \
         FROM ready AS h CROSS JOIN whole AS w {firsts}), \
         picked (id, project, turn, head, nth) AS MATERIALIZED (\
         SELECT t.id, c.project, c.turn, c.head, c.nth FROM firsts AS c CROSS JOIN whole AS w \
         CROSS JOIN orchestrator_tickets AS t WHERE t.id = c.id AND t.due_at <= w.now ORDER BY c.nth, c.turn, c.head, c.project LIMIT $1 {passing}), \
         given (picked, now, number) AS MATERIALIZED (\
         SELECT c.id, w.now, w.number + row_number() OVER (ORDER BY c.nth, c.turn, c.head, c.project) \
         FROM picked AS c CROSS JOIN whole AS w)"
    )
}

/// Hides them for `$3`, and says that they are with `$4`.
fn update(verb: &str) -> String {
    format!(
        "{verb} orchestrator_tickets SET held = $4, due_at = g.now + $3, place = g.now + $3 - priority * {AHEAD}, \
         arrival = g.number, count = count + 1 FROM given AS g WHERE orchestrator_tickets.id = g.picked \
         RETURNING {COLUMNS}"
    )
}

/// All of it as one statement. A turn that somebody else is writing is left to them: theirs is of the same moment. One that is
/// missing, because the project was thought to have no tickets, is made.
fn as_one(turns: &str, update: &str, passing: &str) -> String {
    format!(
        "{turns}, taken AS ({update}), \
         latest (project, turn) AS (SELECT project, max(arrival) FROM taken GROUP BY project), \
         free AS MATERIALIZED (SELECT t.project FROM orchestrator_turns AS t JOIN latest AS l ON l.project = t.project \
         {passing}), \
         turned AS (UPDATE orchestrator_turns SET turn = l.turn FROM latest AS l JOIN free AS f ON f.project = l.project \
         WHERE orchestrator_turns.project = l.project AND orchestrator_turns.turn < l.turn), \
         made AS (INSERT INTO orchestrator_turns (project, turn) SELECT l.project, l.turn FROM latest AS l \
         WHERE NOT EXISTS (SELECT 1 FROM orchestrator_turns AS u WHERE u.project = l.project) ORDER BY l.project \
         ON CONFLICT DO NOTHING) \
         SELECT * FROM taken"
    )
}

/// What was given has the last numbers of all.
const TURN: &str = "INSERT INTO orchestrator_turns (project, turn) SELECT l.project, max(l.arrival) FROM \
                    (SELECT project, arrival, held FROM orchestrator_tickets ORDER BY arrival DESC LIMIT $1) AS l \
                    WHERE l.held = $4 GROUP BY l.project ON CONFLICT (project) DO UPDATE SET turn = excluded.turn";

/// What gives these tickets, in a delivery of this name.
pub(super) fn script<D: Dialect>(receive: &Receive, call: Uuid) -> Script {
    let queues = text::rounded(&receive.queues);
    let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX).arg();
    let mut args =
        vec![most(receive.max), most(receive.max + ROOM), millis(receive.visibility), Arg::Id(call)];
    let turns = turns(queues.len(), D::LATERAL, D::PASSING);
    args.extend(queues.into_iter().map(|queue| queue.clone().arg()));
    let query = match D::WORDS {
        Words::Text(words) => {
            let (begin, update, commit) = (words.begin, update(words.update), words.commit);
            format!("{begin}{turns} {update};\n{TURN};\n{commit}")
        }
        Words::With(_) => as_one(&turns, &update("UPDATE"), D::PASSING),
    };
    text::timed(Script { text: query.into(), args }, D::CLOCK)
}

/// The rows of an answer in the order of what was given: no database promises that.
pub(super) fn in_order(mut rows: Vec<Vec<Arg>>) -> Vec<Vec<Arg>> {
    rows.sort_unstable_by_key(|row| match row.last() {
        Some(Arg::Int(number)) => *number,
        _ => i64::MAX,
    });
    rows
}

/// What came of an answer.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) deliveries: Vec<Delivery>,
    /// The tickets that cannot be read, by their ids, and why not.
    pub(super) unreadable: Vec<(Uuid, Arc<str>)>,
}

/// What is in an answer.
pub(super) fn came(rows: &[Vec<Arg>], call: Uuid) -> Came {
    let mut came = Came::default();
    for row in rows {
        let [
            Arg::Id(id),
            Arg::Text(queue),
            Arg::Text(project),
            Arg::Int(priority),
            Arg::Int(count),
            Arg::Text(written),
            _,
        ] = &row[..]
        else {
            // No row of the table is so: the columns that are asked for always hold something.
            tracing::warn!(?row, "a ticket without some of its parts");
            continue;
        };
        match serde_json::from_str(written) {
            Ok(ticket) => came.deliveries.push(Delivery {
                receipt: receipt(*id, call),
                queue: queue.clone(),
                project: project.clone(),
                // As it was published.
                priority: i32::try_from(*priority).unwrap_or_default(),
                count: u32::try_from(*count).unwrap_or(u32::MAX),
                ticket,
            }),
            Err(error) => came.unreadable.push((*id, unreadable(error))),
        }
    }
    came
}
