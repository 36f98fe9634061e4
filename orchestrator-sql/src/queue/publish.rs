//! Publishing.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::port::queue::{NewTicket, QueueError};
use uuid::Uuid;

use super::text::AHEAD;
use crate::script::Kind::{Id, Int, Text};
use crate::script::{Arg, Batch, IntoArg, Rows, Section, Verb};

const TICKETS: usize = 0;
const TURNS: usize = 1;

static SECTIONS: [Section; 2] = [
    Section::new(
        Verb::Insert,
        "orchestrator_tickets (id, queue, project, priority, due_at, place, arrival, count, ticket) \
         SELECT v.column1, v.column2, v.column3, v.column4, {clock} + v.column5, {clock} + v.column5 - v.column6, \
         {last} + v.column7, 0, v.column8 FROM ",
        &[Id, Text, Text, Int, Int, Int, Int, Text],
        " AS v WHERE v.column1 IS NOT NULL",
    ),
    // A project that has none is as if it had been given a ticket just now: who waits already is before it, and whoever is
    // given one from here on is behind it. Those that have one are not asked for: others may be writing it.
    Section::new(
        Verb::Insert,
        "orchestrator_turns (project, turn) SELECT v.column1, {last} + v.column2 FROM ",
        &[Text, Int],
        " AS v WHERE v.column1 IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM orchestrator_turns AS u WHERE u.project = v.column1) ON CONFLICT DO NOTHING",
    ),
];

/// What publishes these tickets.
///
/// # Errors
/// [`QueueError::Invalid`] if one of them cannot be written down.
pub(super) fn batch(tickets: &[NewTicket]) -> Result<Batch, QueueError> {
    let mut rows = Rows::default();
    // By name: two who write the same new projects never wait for each other.
    let mut projects: BTreeMap<&Arc<str>, i64> = BTreeMap::new();
    for (nth, new) in (1i64..).zip(tickets) {
        let ticket = serde_json::to_string(&new.ticket)
            .map_err(|error| QueueError::Invalid(format!("a ticket cannot be written down: {error}")))?;
        projects.entry(&new.project).or_insert(nth);
        rows.push([
            Arg::Id(Uuid::now_v7()),
            new.queue.clone().arg(),
            new.project.clone().arg(),
            i64::from(new.priority).arg(),
            super::settle::millis(new.after),
            (i64::from(new.priority) * AHEAD).arg(),
            nth.arg(),
            ticket.arg(),
        ]);
    }
    let mut batch = Batch::of_one(&SECTIONS, TICKETS, rows);
    let mut turns = Rows::default();
    for (project, nth) in projects {
        turns.push([project.clone().arg(), nth.arg()]);
    }
    batch.add(TURNS, turns);
    Ok(batch)
}
