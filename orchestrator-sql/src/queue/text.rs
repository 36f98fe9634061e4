//! What the texts of all statements have in common.

use std::sync::Arc;

use orchestrator_core::port::queue::AGEING;

use crate::script::Script;

/// Where the moment of a statement stands in a text.
pub(super) const CLOCK: &str = "{clock}";

/// The last number that was given. Two who ask at the same moment may be told the same: then neither of what they number came
/// first.
const LAST: &str = "(SELECT coalesce(max(l.number), 0) FROM (SELECT max(arrival) AS number FROM orchestrator_tickets \
                    UNION ALL SELECT max(turn) FROM orchestrator_turns) AS l)";

/// Where that stands in a text.
pub(super) const LAST_PLACE: &str = "{last}";

/// How much earlier than it came a ticket stands for each of its priority, in milliseconds.
// One minute.
pub(super) const AHEAD: i64 = AGEING.as_millis() as i64;

/// These queues, as many as a power of two: some of them twice. So there are few different texts, however many queues are asked
/// for.
pub(super) fn rounded(queues: &[Arc<str>]) -> Vec<&Arc<str>> {
    queues.iter().cycle().take(queues.len().next_power_of_two()).collect()
}

/// A text with the clock and the last number in their places: each is asked for once, whatever the number of rows.
pub(super) fn timed(script: Script, clock: &str) -> Script {
    let text = script.text.replace(CLOCK, &format!("(SELECT {clock})")).replace(LAST_PLACE, LAST);
    Script { text: text.into(), ..script }
}
