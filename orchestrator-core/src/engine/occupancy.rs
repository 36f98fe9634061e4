//! How much of their time slots are taken up by what is executed, and not by commits that are waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::shared::Shared;
use crate::time::{Clock, Timestamp};

/// For how long at least it is looked at them.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// Which share of their time slots must be taken up before others are asked for help. To offer an attempt takes a commit, to claim it
/// one, and one to deliver how it has ended: where the slots wait for commits most of the time, that makes it worse.
const BUSY: f64 = 0.5;

/// What is executed in the slots of a process.
#[derive(Debug)]
pub(crate) struct Occupancy {
    slots: usize,
    seen: Mutex<Seen>,
}

/// What was seen since one began to look.
#[derive(Debug, Default)]
struct Seen {
    since: Timestamp,
    /// Until when it is added up.
    until: Timestamp,
    /// How many slots are taken up since then.
    executing: usize,
    /// The time of all slots until then that was taken up.
    spent: Duration,
    /// What came of the last look.
    was_busy: bool,
}

impl Occupancy {
    pub(crate) fn of(slots: usize) -> Self {
        Self { slots, seen: Mutex::default() }
    }

    /// Adds up until now, and looks anew if that is long enough.
    fn seen(&self, now: Timestamp) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let more = now.since(seen.until) * u32::try_from(seen.executing).unwrap_or(u32::MAX);
        seen.spent += more;
        seen.until = now;
        let span = now.since(seen.since);
        if span >= LOOK {
            let all = span.as_secs_f64() * self.slots as f64;
            seen.was_busy = seen.spent.as_secs_f64() >= BUSY * all;
            (seen.since, seen.spent) = (now, Duration::ZERO);
        } else if now < seen.since {
            // The clock was set back.
            seen.since = now;
        }
        seen
    }

    fn begin(&self, now: Timestamp) {
        self.seen(now).executing += 1;
    }

    fn end(&self, now: Timestamp) {
        self.seen(now).executing -= 1;
    }

    /// Whether slots were taken up most of the time when they were last looked at.
    pub(crate) fn is_busy(&self, now: Timestamp) -> bool {
        self.seen(now).was_busy
    }
}

/// An attempt that takes up a slot, until this goes.
pub(crate) struct TakenUp<'a>(&'a Occupancy, &'a dyn Clock);

impl Drop for TakenUp<'_> {
    fn drop(&mut self) {
        self.0.end(self.1.now());
    }
}

impl Shared {
    /// An attempt is executed that has a slot. Nobody wants to know where nothing is offered to others.
    pub(crate) fn take_up_a_slot(&self) -> Option<TakenUp<'_>> {
        self.shares.then(|| {
            self.occupancy.begin(self.clock.now());
            TakenUp(&self.occupancy, &*self.clock)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn slots_are_busy_that_execute_most_of_the_time() {
        let two = Occupancy::of(2);
        assert!(!two.is_busy(at(1_000)), "nothing was executed yet");
        two.begin(at(1_000));
        two.begin(at(1_001));
        assert!(!two.is_busy(at(1_009)), "not long enough to tell");
        assert!(two.is_busy(at(1_010)));
        two.end(at(1_011));
        two.end(at(1_012));
        assert!(two.is_busy(at(1_019)), "not long enough to tell");
        assert!(!two.is_busy(at(1_020)), "3 ms of 20");
        for moment in 1_020..1_040 {
            two.begin(at(moment));
            two.end(at(moment));
        }
        assert!(!two.is_busy(at(1_040)), "what ends at once takes up nothing");
        two.begin(at(1_040));
        assert!(two.is_busy(at(5_000)), "one of two, all the time");
        two.end(at(5_000));
        assert!(!two.is_busy(at(9_000)));
    }

    #[test]
    fn a_clock_that_is_set_back_ends_no_look() {
        let one = Occupancy::of(1);
        one.begin(at(9_000));
        one.is_busy(at(9_010));
        one.end(at(9_010));
        one.is_busy(at(5));
        assert!(!one.is_busy(at(15)), "nothing is executed");
    }
}
