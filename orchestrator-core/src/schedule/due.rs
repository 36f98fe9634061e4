//! Which of the times of a schedule are due, and what becomes of those that were missed.

use std::collections::VecDeque;
use std::time::Duration;

use super::model::Missed;
use crate::time::Timestamp;

/// A time that is looked at later than this was missed: nobody was there at that time.
pub const GRACE: Duration = Duration::from_secs(60);

/// The most missed times that are made up for at once, the latest ones.
pub const CATCH_UP: usize = 100;

/// How far it is looked back first for the latest times; then eight times as far.
const LOOK_BACK: Duration = Duration::from_secs(60);

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The times for each of which a run is to be started, in order.
    pub fires: Vec<Timestamp>,
    /// The latest time that was missed and for which there will be no run.
    pub missed: Option<Timestamp>,
    /// The first time after now; `None` if there is none.
    pub next: Option<Timestamp>,
}

/// What is due now of a schedule that was not looked at since `first`, one of its times. `next_after` gives the first time
/// after another. What was missed before `window` is not made up for, whatever `missed` says.
pub fn due(
    next_after: impl Fn(Timestamp) -> Option<Timestamp>,
    first: Timestamp,
    now: Timestamp,
    missed: Missed,
    window: Option<Duration>,
) -> Due {
    let next = next_after(now);
    if first > now {
        return Due { fires: Vec::new(), missed: None, next: Some(first) };
    }
    let late = now - GRACE;
    let on_time = latest(&next_after, first.max(late), now, usize::MAX);
    // The moment before the first that is on time.
    let until = late - Duration::from_millis(1);
    let made_up = match missed {
        Missed::Skip => 0,
        // What is on time makes up for what came before.
        Missed::RunOnce => usize::from(on_time.is_empty()),
        Missed::RunAll => CATCH_UP,
    };
    // One more than is made up for: the latest that is not.
    let mut past = latest(&next_after, first, until, made_up + 1);
    let begin = window.map_or(first, |window| first.max(now - window));
    let given_up = past.iter().filter(|at| **at < begin).count().max(past.len().saturating_sub(made_up));
    let mut fires = past.split_off(given_up);
    fires.extend(on_time);
    Due { fires, missed: past.last().copied(), next }
}

/// The last `most` times from `from` to `until`, both included, in order. It looks back in strides, so that a long absence
/// costs no more than a short one.
fn latest(
    next_after: &impl Fn(Timestamp) -> Option<Timestamp>,
    from: Timestamp,
    until: Timestamp,
    most: usize,
) -> Vec<Timestamp> {
    let mut stride = LOOK_BACK;
    loop {
        let begin = from.max(until - stride);
        let mut found = VecDeque::new();
        let mut is_cut = false;
        let mut at = begin - Duration::from_millis(1);
        while let Some(next) = next_after(at).filter(|next| *next <= until) {
            found.push_back(next);
            if found.len() > most {
                found.pop_front();
                is_cut = true;
            }
            at = next;
        }
        if is_cut || begin == from || from > until {
            return found.into();
        }
        stride = stride.saturating_mul(8);
    }
}
