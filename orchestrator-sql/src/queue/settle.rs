//! Settling, and what a delivery is called.

use std::time::Duration;

use orchestrator_core::port::queue::{Receipt, Settle, Settlement};
use uuid::Uuid;

use super::letters;
use super::text::{self, AHEAD};
use crate::dialect::Dialect;
use crate::script::Kind::{Id, Int};
use crate::script::{Arg, Batch, IntoArg, Rows, Script, Section, Verb};

const DONE: usize = 0;
const RELEASE: usize = 1;

static SECTIONS: [Section; 2] = [
    Section::new(
        Verb::Delete,
        "orchestrator_tickets WHERE (id, held) IN (SELECT v.column1, v.column2 FROM ",
        &[Id, Id],
        " AS v) AND due_at > {clock} RETURNING 1",
    ),
    Section::new(
        Verb::Update,
        "orchestrator_tickets SET held = NULL, due_at = {clock} + v.column3, \
         place = {clock} + v.column3 - priority * v.column4, arrival = {last} + v.column5 FROM ",
        &[Id, Id, Int, Int, Int],
        " AS v WHERE id = v.column1 AND held = v.column2 AND due_at > {clock} RETURNING 1",
    ),
];

/// What a delivery is called: by the ticket, and by the call that has given it.
pub(super) fn receipt(ticket: Uuid, call: Uuid) -> Receipt {
    Receipt::new(format!("{}.{}", ticket.simple(), call.simple()))
}

fn read(receipt: &Receipt) -> Option<(Uuid, Uuid)> {
    let (ticket, call) = receipt.as_str().split_once('.')?;
    Some((Uuid::try_parse(ticket).ok()?, Uuid::try_parse(call).ok()?))
}

/// What settles a delivery, and answers with a row if it was there; `None` if no delivery was ever called so.
pub(super) fn script<D: Dialect>(settle: &Settle, most_letters: u32) -> Option<Script> {
    let (ticket, call) = read(&settle.receipt)?;
    let delivery = (Arg::Id(ticket), Arg::Id(call));
    let batch = match &settle.how {
        Settlement::Bury { reason } => {
            return Some(letters::bury::<D>(ticket, call, reason, most_letters, false));
        }
        Settlement::Done => Batch::of_one(&SECTIONS, DONE, Rows::one([delivery.0, delivery.1])),
        Settlement::Release { after } => Batch::of_one(
            &SECTIONS,
            RELEASE,
            Rows::one([delivery.0, delivery.1, millis(*after), AHEAD.arg(), 1i64.arg()]),
        ),
    };
    Some(text::timed(batch.alone(D::WORDS), D::CLOCK))
}

/// What gives back what this call was given, in the order in which it was: for somebody who has gone away meanwhile. Otherwise
/// it would be hidden from all until its visibility has passed.
pub(super) fn give_back<D: Dialect>(given: &[Vec<Arg>], call: Uuid) -> Script {
    let mut rows = Rows::default();
    for (nth, row) in (1i64..).zip(given) {
        let ticket = row.first().cloned().unwrap_or(Arg::Null);
        rows.push([ticket, Arg::Id(call), 0i64.arg(), AHEAD.arg(), nth.arg()]);
    }
    text::timed(Batch::of_one(&SECTIONS, RELEASE, rows).alone(D::WORDS), D::CLOCK)
}

/// A span in whole milliseconds; what is below is cut.
pub(super) fn millis(span: Duration) -> Arg {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2).arg()
}
